"""What is noted of a run, whenever a round has been aggregated: a row of metrics, and a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.engine.world import World
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.runs.checkpoint import Checkpoint, save, saved_rounds
from parasim_core.train.runs.metrics import MetricsRow
from parasim_core.train.runs.resume import state
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.update.local import DivergedError


class TargetReached(Exception):  # noqa: N818 - what is wanted is no error
    """The held-out loss is as low as was asked for: the run is over with the round that brought it there.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of that round.
    """

    def __init__(self, checkpoint: Checkpoint):
        super().__init__(checkpoint)
        self.checkpoint = checkpoint


@dataclass
class Recorder:
    """Metrics and checkpoints, taken whenever a round has been aggregated."""

    learner: TorchLearner
    folder: Path | None
    on_row: Callable[[list[MetricsRow]], None]
    target: float | None = None
    fingerprint: str = ""
    metrics: list[MetricsRow] = field(default_factory=list)
    # Bytes moved by the spans so far, by kind, and how many spans that are.
    moved: dict[Kind, float] = field(default_factory=lambda: dict.fromkeys(Kind, 0.0))
    counted: int = 0

    def __call__(self, world: World, round: int) -> None:
        """Note a round, unless an earlier process has.

        Raises
        ------
        TargetReached
            If its loss is the target or less, and it was not to be the last one anyway.
        """
        if round <= self.learner.replayed_until:
            return
        spans = world.timeline.spans
        for span in spans[self.counted :]:
            # Over the clients' own links: what aggregators send on is not theirs.
            if span.client >= 0:
                self.moved[span.kind] += span.size
        self.counted = len(spans)
        setup, losses = self.learner.setup, self.learner.losses.pop(round)
        last, longer = round + 1 == setup.scenario.rounds, last_alike(setup)
        row: MetricsRow = {
            "method": setup.method.name,
            "round": round,
            "simulated_s": world.env.now,
            # As the updates are: the mean of the clients' losses has the weights of the mean of their deltas.
            "train_loss": weighted_mean(losses),
            **self._evaluate(round, last),
            "uploaded_bytes": int(self.moved[Kind.UPLOAD]),
            "downloaded_bytes": int(self.moved[Kind.DOWNLOAD]),
        }
        self.metrics.append(row)
        reached = reaches(row, self.target)
        if last or reached or round == longer or (round + 1) % self.learner.settings.checkpoint_every == 0:
            record, tensors = state(self.learner)
            record |= {"metrics": self.metrics, "rounds": setup.scenario.rounds}
            checkpoint = Checkpoint(round, record, tensors)
            if self.folder is not None:
                best = best_round(self.metrics, [*saved_rounds(self.folder), round])
                save(self.folder, checkpoint, self.fingerprint, kept={longer} if best is None else {longer, best})
        self.on_row(self.metrics)
        if reached and not last:
            raise TargetReached(checkpoint)

    def _evaluate(self, round: int, last: bool) -> MetricsRow:
        every = self.learner.settings.evaluation
        with_accuracy = last or (every.accuracy_every is not None and (round + 1) % every.accuracy_every == 0)
        if not (last or with_accuracy or (round + 1) % every.every == 0):
            return {"eval_loss": None, "accuracy": None}
        self.learner.versions.show_newest()
        with not_compiled(self.learner.settings):
            measured = self.learner.task.evaluate(self.learner.model, accuracy=with_accuracy)
            if not with_accuracy and self.target is not None and measured.loss <= self.target:
                # It ends here, and the last round has one.
                measured = self.learner.task.evaluate(self.learner.model, accuracy=True)
        if not math.isfinite(measured.loss):
            raise DivergedError(
                f"the global model diverged in round {round}: its held-out loss is {measured.loss}; "
                f"{self.learner.advice}"
            )
        return {"eval_loss": measured.loss, "accuracy": measured.accuracy}


def not_compiled(settings: TrainSettings) -> AbstractContextManager[Any]:
    """Let compiled layers run as they are written: answers of ever new lengths would be compiled anew each time."""
    return torch.compiler.set_stance("force_eager") if settings.kernels == "compiled" else nullcontext()


def last_alike(setup: Setup) -> int:
    """Tell after which round a run is still what it would be if it were longer; -1 for none.

    Clients that overlap begin a round before as many others are aggregated as they may be behind: in a longer run, that
    happens during the last rounds of this one, too.
    """
    return max(setup.scenario.rounds - 1 - (setup.staleness or 0), -1)


def reaches(row: MetricsRow, target: float | None) -> bool:
    """Whether a round's held-out loss is a target or less."""
    loss = row["eval_loss"]
    return target is not None and isinstance(loss, float) and loss <= target


def best_round(metrics: Sequence[MetricsRow], rounds: Collection[int]) -> int | None:
    """Tell which of some rounds has the lowest held-out loss, the last one of equals; None if none was measured."""
    losses = [(row["eval_loss"], row["round"]) for row in metrics if row["round"] in rounds]
    measured = [(loss, -round) for loss, round in losses if isinstance(loss, float) and isinstance(round, int)]
    return -min(measured)[1] if measured else None


def weighted_mean(weighted: Sequence[tuple[float, float]]) -> float:
    """Mean of pairs of weight and value; each sum is rounded once, so that it does not depend on their order."""
    return math.fsum(weight * value for weight, value in weighted) / math.fsum(weight for weight, _ in weighted)
