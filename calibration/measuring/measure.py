"""Measure training steps: the trainer's own loop on random tokens, visited in turns until the spread is small.

Points are visited in rounds, one after the other, so that a slow minute of the machine falls on all of them alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.plan import Planned
from parasim_core.calibration.measuring.step_memory_guard import needed_bytes
from parasim_core.calibration.measuring.stopwatch import Stopwatch
from parasim_core.calibration.measuring.this_machine import available_bytes
from parasim_core.calibration.profiles.measured_file import StepSample
from parasim_core.calibration.profiles.points import StepPoint, Visit
from parasim_core.train.data.evaluate import model_loss
from parasim_core.train.data.task import Batch
from parasim_core.train.models.blocks import Part, layer_list
from parasim_core.train.models.out_of_memory import DeviceMemoryError, retry_with_free_memory
from parasim_core.train.update.local import LocalSettings, train_locally
from parasim_core.train.update.timing import Clock

FEWEST_STEPS = 3
_MOST_STEPS = 60
_VISIT_SECONDS = 0.6  # [s]
_HARMLESS_RATE = 1e-9
_MARKS_PER_STEP = 3


MeasuringProgress = Callable[[int, float, str], object]
"""Told visits made so far, seconds that the rest may take [s], and what is measured next."""


def silent(visits: int, seconds_left: float, label: str, /) -> None:
    """Progress that nobody is told of."""


@dataclass(frozen=True)
class Limits:
    """When measuring ends.

    Attributes
    ----------
    seconds : float
        Time budget [s]; every point is visited once all the same.
    fewest, most : int
        Visits of a point.
    spread : float
        Interquartile range over median at which a point has been visited enough.
    """

    seconds: float
    fewest: int = 3
    most: int = 12
    spread: float = 0.03

    def settled(self, sample: StepSample) -> bool:
        """Whether a point needs no further visit."""
        if not sample.fits or sample.repeats >= self.most:
            return True
        return sample.repeats >= self.fewest and sample.spread is not None and sample.spread <= self.spread


def measure_all(
    planned: Planned,
    samples: dict[StepPoint, StepSample],
    visit: Callable[[StepPoint, StepSample], tuple[Visit, int | None]],
    limits: Limits,
    *,
    finished: Callable[[], None],
    progress: MeasuringProgress = silent,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Visit points in rounds until all are settled or the time is up.

    Parameters
    ----------
    planned : dict of StepPoint to str
        The points, and what each is for.
    samples : dict of StepPoint to StepSample
        What is known so far; updated in place, and without visits where nothing is.
    visit : callable
        Measures a point once, given what is known of it: a visit and the peak memory [B]; a `DeviceMemoryError` if the
        point does not fit.
    limits : Limits
        When to stop.
    finished : callable
        Called after each visit, to save the samples.
    progress : MeasuringProgress
        Called before each visit.
    now : callable
        Clock of the time budget [s].
    """
    began, visits = now(), 0
    for point, role in planned.items():
        samples.setdefault(point, StepSample(point=point, role=role))
    while due := [known for known in samples.values() if not limits.settled(known)]:
        # The least known first, so that a budget that ends within a round leaves none out.
        for known in sorted(due, key=lambda sample: sample.repeats):
            if known.visits and now() - began >= limits.seconds:
                return
            point, role = known.point, known.role
            progress(visits, _time_left(samples.values(), limits, now() - began, visits), point.label())
            try:
                visited, peak = visit(point, known)
                samples[point] = StepSample.of(point, role, (*known.visits, visited), peak)
            except DeviceMemoryError as lack:
                samples[point] = StepSample(point=point, role=role, fits=False, reason=str(lack)[:200])
            visits += 1
            finished()


def _time_left(samples: Collection[StepSample], limits: Limits, spent: float, visits: int) -> float:
    """Seconds left at the pace so far, were every point settled after the fewest visits.

    No more than the budget has left, but never less than what the points take that were not visited yet.
    """
    budget = max(0.0, limits.seconds - spent)
    if not visits:
        return budget
    due = [max(1, limits.fewest - sample.repeats) for sample in samples if not limits.settled(sample)]
    pace = spent / visits
    return max(min(budget, sum(due) * pace), pace * sum(sample.fits and not sample.visits for sample in samples))


class Measurer:
    """Measures one point at a time.

    Parameters
    ----------
    subject : MeasuredModel
        The model.
    clock : str
        What is read; see `train.update.timing.clock_for`.
    """

    def __init__(self, subject: MeasuredModel, clock: Clock):
        self._subject = subject
        self._clock = clock
        self._warm = False

    def visit(self, point: StepPoint, known: StepSample) -> tuple[Visit, int | None]:
        """Train a few steps and time them.

        Returns
        -------
        tuple of Visit and int or None
            Times and, on a GPU, the peak memory [B].

        Raises
        ------
        DeviceMemoryError
            If the point does not fit.
        """
        if self._subject.device.type == "cpu":
            # Linux would kill the process instead of refusing it memory.
            needed, there = needed_bytes(self._subject.architecture, point), available_bytes()
            if needed > there:
                raise DeviceMemoryError(f"needs about {needed / 1e9:.1f} GB, {there / 1e9:.1f} GB are free")
        return retry_with_free_memory(lambda: self._train(point, known))

    def _train(self, point: StepPoint, known: StepSample) -> tuple[Visit, int | None]:
        with self._subject.part(point) as part:
            if known.step_s is not None:
                return self._timed_update(point, part, steps_per_visit(known.step_s))
            first = self._timed_update(point, part, FEWEST_STEPS)
            steps = steps_per_visit(first[0].step)
            # Where steps are short, three of them say how many it takes, and no more than that.
            return first if steps == FEWEST_STEPS else self._timed_update(point, part, steps)

    def _timed_update(self, point: StepPoint, part: Part, steps: int) -> tuple[Visit, int | None]:
        on_gpu = self._subject.device.type == "cuda"
        shape = (steps, point.batch_size, point.sequence_length)
        batches = random_batches(self._subject.architecture.vocabulary_size, shape)
        settings = LocalSettings(_HARMLESS_RATE, steps)
        watch = Stopwatch(self._clock)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self._subject.device)
        last: Any = layer_list(self._subject.model)[1][-1]
        with last.register_forward_hook(lambda *_: watch.mark()):
            # The first step of an update counts little anyway; only what a process does once must be over.
            update = train_locally(
                self._subject.model, part, batches, _marked_loss(watch), settings, warm_up=not self._warm
            )
        self._warm = True
        peak = int(torch.cuda.max_memory_allocated(self._subject.device)) if on_gpu else None
        return visit_of(watch.seconds(), steps, update.seconds), peak


def steps_per_visit(step: float) -> int:
    """Steps of one visit: few where one takes long [s], many where it is short."""
    return max(FEWEST_STEPS, min(_MOST_STEPS, math.ceil(_VISIT_SECONDS / step)))


def visit_of(moments: Sequence[float], steps: int, seconds: float) -> Visit:
    """Make times of moments.

    Parameters
    ----------
    moments : sequence of float
        Three of each step (its begin, all layers passed forward, loss known) [s]; those of warm-up steps may come
        before.
    steps : int
        Number of steps, at least 3.
    seconds : float
        What the whole local update took, as the trainer measures it [s]: from before its first step, when masters
        and optimizer are made, to its delta.

    Returns
    -------
    Visit
        Medians over all steps but the first, which also sets up the optimizer; what it takes longer for that, and
        what the trainer's seconds hold before the first step and after the last one, belong to the update.
    """
    marks = list(moments)[-_MARKS_PER_STEP * steps :]
    start, layers, loss = np.array(marks).reshape(steps, _MARKS_PER_STEP).T
    backward = start[1:] - loss[:-1]
    usual = float(np.median(backward[1:]))
    # The last backward pass ends unmarked, somewhere in the rest.
    rest_of_update = seconds - (loss[-1] - start[0])
    update = (backward[0] - usual) + (rest_of_update - usual)
    parts = (np.median((layers - start)[1:]), np.median((loss - layers)[1:]), usual, max(0.0, update))
    forward, head, back, rest = (round(float(part), 7) for part in parts)
    return Visit(forward=forward, head=head, backward=back, update=rest)


def random_batches(vocabulary: int, shape: tuple[int, int, int]) -> list[dict[str, Tensor]]:
    """Draw batches of random tokens, as the trainer collates them; which tokens they are costs no time.

    Parameters
    ----------
    vocabulary : int
        Tokens that there are.
    shape : tuple of int
        Batches, sequences in each, and tokens of each of these.
    """
    tokens = torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(0))
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids} for ids in tokens]


def _marked_loss(watch: Stopwatch) -> Callable[[nn.Module, Batch], Tensor]:
    def loss(model: nn.Module, batch: Batch) -> Tensor:
        watch.mark()
        value = model_loss(model, batch)
        watch.mark()
        return value

    return loss
