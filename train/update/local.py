"""One client's local update: K AdamW steps on one trainable part (Algorithm 1 of the ParaBlock paper).

The part may be a block, an adapter or the whole model. It alone has gradients, moments and, where the model
is held in bfloat16, a float32 master copy; all of that is gone when the update is returned, unless the client keeps
its optimizer. The update is timed on the device, without what only a simulation does: drawing batches, warming up,
putting the model back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from parasim_core.sim.errors import ParaSimError
from parasim_core.train.data.task import Batch
from parasim_core.train.models.blocks import Part, Values, activate
from parasim_core.train.update.kept_optimizer import KeptOptimizer, go_on, state
from parasim_core.train.update.loss import Loss
from parasim_core.train.update.optimizers import OptimizerName, make_optimizer
from parasim_core.train.update.pauses import Pauses
from parasim_core.train.update.shares import Share, weighted
from parasim_core.train.update.timing import now

Schedule = Literal["constant", "cosine"]


class TrainingError(ParaSimError):
    """Local training cannot start, or went wrong."""


class DivergedError(TrainingError):
    """Training brought something that is no number any more."""

    exit_status = 4


@dataclass(frozen=True)
class LocalSettings:
    """How a client trains; the defaults are AdamW's.

    Parameters
    ----------
    learning_rate : float
        Step size, positive.
    steps : int
        Local steps K.
    weight_decay : float
        Decoupled weight decay.
    epsilon : float
        Added to the root of the second moment.
    schedule : {"constant", "cosine"}
        Learning rate within one update: the same in all K steps, or falling along a half cosine, where step
        k from 0 takes learning_rate (1 + cos(pi k / K)) / 2.
    clip_norm : float, optional
        Largest norm of the part's gradient; longer ones are scaled down.
    accumulation : int
        Batches per step. The step follows the mean loss over all that they predict together, as one batch of them all
        would: a batch counts by its answer tokens (or images), not as one of so many.
    master : bool
        Whether AdamW works on a float32 copy of parameters that are narrower, or on these themselves: moments,
        gradients and every step's change are then rounded to their precision.
    optimizer : {"adamw", "adamw-8bit", "paged-adamw-8bit"}
        PyTorch's AdamW, or that of bitsandbytes with moments of 8 bits, on a GPU.
    compiled : bool
        Whether the model's layers are compiled while it trains.

    Notes
    -----
    `train.runs.settings.TrainSettings` and `sim.scenario.sections` check the ranges of what users give.
    """

    learning_rate: float
    steps: int
    weight_decay: float = 0.0
    epsilon: float = 1e-8
    schedule: Schedule = "constant"
    clip_norm: float | None = None
    accumulation: int = 1
    master: bool = True
    optimizer: OptimizerName = "adamw"
    compiled: bool = False

    def kernels_of(self, item: int) -> int:
        """Tell apart items that are trained with kernels of their own, each made when it is first trained."""
        return item if self.compiled else 0

    def rate(self, step: int, before: int = 0, updates: int = 1) -> float:
        """Learning rate of one step, counted from 0, of an update with `before` others of `updates` before it.

        The schedule spans all of them: one update, unless AdamW goes on from one to the next (`KeptOptimizer`).
        """
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * (before * self.steps + step) / (updates * self.steps))) / 2


@dataclass(frozen=True)
class LocalUpdate:
    """What one client's local training produced.

    Parameters
    ----------
    delta : dict of str to torch.Tensor
        Part after training minus part before, float32, on the model's device.
    loss : float
        Mean training loss over the K steps, each taken before its step.
    seconds : float
        Time [s] that the update took on the device.
    adamw : dict of str to torch.Tensor
        What AdamW knows at the end, where it is kept, on the CPU: ``exp_avg.``, ``exp_avg_sq.``, ``step.`` before the
        name of each parameter. Otherwise empty.
    """

    delta: Values
    loss: float
    seconds: float
    adamw: Values = field(default_factory=dict)


def train_locally(
    model: nn.Module,
    part: Part,
    batches: Iterable[Batch],
    loss: Loss,
    settings: LocalSettings,
    *,
    start: Mapping[str, Tensor] | None = None,
    kept: KeptOptimizer | None = None,
    pauses: Pauses | None = None,
    warm_up: bool = False,
    seed: int = 0,
) -> LocalUpdate:
    """Train one part of a model for K steps and return what changed (Algorithm 1).

    Parameters
    ----------
    model : torch.nn.Module
        The model; every parameter outside the part stays as it is and receives no gradient.
    part : mapping of str to torch.nn.Parameter
        What is trained: parameters of this model, on one device.
    batches : iterable of mapping of str to torch.Tensor
        At least steps x accumulation batches; exactly so many are drawn.
    loss : callable
        Mean loss of a model on a batch, such as `Task.loss`.
    settings : LocalSettings
        How to train.
    start : mapping of str to torch.Tensor, optional
        Values that the part starts from, best in float32; by default those that the model holds.
    kept : KeptOptimizer, optional
        What AdamW and the schedule go on from; by default both start afresh at every call.
    pauses : Pauses, optional
        Keep the state now and then, and go on from one that was kept; loss and seconds are those of the steps that are
        still taken.
    warm_up : bool
        Run one untimed step first, so that one-time costs of a device (kernels loaded, memory reserved) do
        not count. Changes nothing but the measured time.
    seed : int
        Seed of what is random within the model, such as dropout.

    Returns
    -------
    LocalUpdate
        Delta, mean loss and measured seconds. The model is as it was before the call: whoever goes on with what was
        learned adds the delta to its start, as every receiver does, for clients and server must agree to the bit.

    Raises
    ------
    TrainingError
        If there is nothing to train, there are too few batches, or the loss or the result is not finite.
    """
    if not part:
        raise TrainingError("there is nothing to train: the part has no parameters")
    device = next(iter(part.values())).device
    prepared = _draw(batches, settings, device)
    values = part if start is None else start
    origin = {name: value.detach().to(device) for name, value in values.items()}
    # Dropout draws from torch's global state, which belongs to the caller.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if warm_up:
            torch.manual_seed(seed)
            _measure(model, part, origin, prepared[:1], loss, replace(settings, steps=1), None)
        torch.manual_seed(seed)
        delta, losses, seconds, adamw = _measure(model, part, origin, prepared, loss, settings, kept, pauses)
    _check_finite(losses, delta, settings)
    return LocalUpdate(delta, losses.mean().item(), seconds, {name: value.cpu() for name, value in adamw.items()})


def _draw(batches: Iterable[Batch], settings: LocalSettings, device: torch.device) -> list[list[Share]]:
    """Draw each step's batches and bring them to the device, so that no transfer interrupts the steps."""
    count = settings.steps * settings.accumulation
    drawn = [{name: tensor.to(device) for name, tensor in batch.items()} for batch in itertools.islice(batches, count)]
    if len(drawn) < count:
        raise TrainingError(f"local training needs {count} batches (steps x accumulation), got {len(drawn)}")
    if settings.accumulation == 1:
        return [[Share(batch, None)] for batch in drawn]
    steps = [drawn[first : first + settings.accumulation] for first in range(0, count, settings.accumulation)]
    return [weighted(step) for step in steps]


def _measure(
    model: nn.Module,
    part: Part,
    origin: Values,
    steps: Sequence[Sequence[Share]],
    loss: Loss,
    settings: LocalSettings,
    kept: KeptOptimizer | None,
    pauses: Pauses | None = None,
) -> tuple[Values, Tensor, float, Values]:
    """Train from `origin` and time it: the delta, each step's loss, the seconds, and AdamW's state if it is kept."""
    device = next(iter(part.values())).device
    with _on_copies(model, part, origin):
        began = now(device)
        # A float32 part is its own master; anything narrower gets one, from the unrounded start.
        masters = {
            name: own
            if own.dtype == torch.float32 or not settings.master
            else nn.Parameter(origin[name].to(torch.float32, copy=True))
            for name, own in part.items()
        }
        losses, adamw = _descend(model, part, masters, steps, loss, settings, kept, pauses)
        delta = {name: _changed(master, origin[name]) for name, master in masters.items()}
        return delta, losses, now(device) - began, adamw


def _changed(master: nn.Parameter, origin: Tensor) -> Tensor:
    """What training changed, in float32.

    Of a narrow parameter without a master, against what it began with: what its start lost in rounding is no change.
    """
    if master.dtype != torch.float32:
        return master.detach().float().sub_(origin.to(master.dtype))
    # In place: what was trained is of no further use, its memory becomes the delta's.
    return master.detach().sub_(origin)


@contextmanager
def _on_copies(model: nn.Module, part: Part, origin: Values) -> Iterator[None]:
    """Let a model train a part on copies of `origin` for a while; what it held before is never written to."""
    held, was_training = {name: parameter.data for name, parameter in part.items()}, model.training
    activate(model, part)
    model.train()
    try:
        for name, parameter in part.items():
            parameter.data = origin[name].to(parameter.dtype, copy=True)
        yield
    finally:
        model.train(was_training)
        for name, parameter in part.items():
            parameter.data, parameter.grad = held[name], None


def _descend(
    model: nn.Module,
    part: Part,
    masters: Part,
    steps: Sequence[Sequence[Share]],
    loss: Loss,
    settings: LocalSettings,
    kept: KeptOptimizer | None,
    pauses: Pauses | None,
) -> tuple[Tensor, Values]:
    """Take the K steps. No step waits for the device, losses stay there until the end.

    The model may: with an attention mask in the batch, transformers reads one flag per forward pass, whether anything
    is padded, because unpadded batches need no explicit mask.
    """
    parameters = list(masters.values())
    optimizer = make_optimizer(
        settings.optimizer,
        parameters,
        lr=settings.learning_rate,
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
    )
    if kept is not None:
        go_on(optimizer, masters, kept.adamw)
    lowered = [(part[name], master) for name, master in masters.items() if part[name] is not master]
    first = pauses.go_on(optimizer, masters) if pauses else 0
    if first:
        _lower(lowered)
    in_part = len(part) < sum(1 for _ in model.parameters())
    losses = []
    for number, step in enumerate(steps[first:], start=first):
        of_step: list[Tensor] = []
        for batch, weight in step:
            value = loss(model, batch) if weight is None else loss(model, batch) * weight
            of_step.append(value.detach())
            # A block that text does not pass, such as cross-attention to images, has nothing to learn from it.
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]
            if in_part:
                # The graph hangs on it: its nodes would settle between what the next forward pass keeps. Where all is
                # trained that costs little, and without them glibc would return and fetch the same pages every step.
                del value
            _lift_gradients(lowered)
        losses.append(of_step[0] if len(of_step) == 1 else torch.stack(of_step).sum())
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        before, updates = (kept.before, kept.updates) if kept else (0, 1)
        optimizer.param_groups[0]["lr"] = settings.rate(number, before, updates)
        optimizer.step()
        optimizer.zero_grad()
        _lower(lowered)
        if pauses and number + 1 < len(steps):
            pauses.after(number + 1, optimizer, masters)
    known = {} if kept is None else state(optimizer, masters)
    # The delta takes their place: whoever else holds the optimizer does not hold the moments.
    optimizer.state.clear()
    return torch.stack(losses), known


def _lower(lowered: Iterable[tuple[nn.Parameter, nn.Parameter]]) -> None:
    """Round masters to their narrower parameters."""
    with torch.no_grad():
        for parameter, master in lowered:
            parameter.copy_(master)


def _lift_gradients(lowered: Iterable[tuple[nn.Parameter, nn.Parameter]]) -> None:
    """Add gradients to their masters' in float32, where many batches sum up without rounding away."""
    for parameter, master in lowered:
        if parameter.grad is None:
            continue
        gradient, parameter.grad = parameter.grad.float(), None
        master.grad = gradient if master.grad is None else master.grad.add_(gradient)


def _check_finite(losses: Tensor, delta: Values, settings: LocalSettings) -> None:
    """Refuse a diverged update before it can reach a server."""
    advice = f"lower the learning rate ({settings.learning_rate:g}) or clip the gradients"
    broken = (~torch.isfinite(losses)).nonzero()
    if len(broken):
        if broken[0] == 0:
            advice = (
                "nothing was trained yet, so the weights that it started from have diverged: lower "
                "train.global_learning_rate, or look at the base model and the data"
            )
        raise DivergedError(
            f"local training diverged: the loss is {losses[broken[0]].item()} in step "
            f"{int(broken[0]) + 1} of {settings.steps}; {advice}"
        )
    # The last step's gradient shows in no loss any more.
    if not torch.isfinite(nn.utils.get_total_norm(delta.values())):
        raise DivergedError(f"local training diverged: the delta is not finite after the last step; {advice}")
