"""What is noted of a run, whenever a round has been aggregated: a row of metrics, and a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sim.engine.timeline import Kind
from sim.engine.world import World
from train.federated.learner import TorchLearner
from train.runs.checkpoint import Checkpoint, save
from train.runs.metrics import MetricsRow
from train.runs.resume import state
from train.update.local import DivergedError


@dataclass
class Recorder:
    """Metrics and checkpoints, taken whenever a round has been aggregated."""

    learner: TorchLearner
    folder: Path | None
    on_row: Callable[[list[MetricsRow]], None]
    fingerprint: str = ""
    metrics: list[MetricsRow] = field(default_factory=list)
    # Bytes moved by the spans so far, by kind, and how many spans that are.
    moved: dict[Kind, float] = field(default_factory=lambda: dict.fromkeys(Kind, 0.0))
    counted: int = 0

    def __call__(self, world: World, round: int) -> None:
        """Note a round, unless an earlier process has."""
        if round <= self.learner.replayed_until:
            return
        spans = world.timeline.spans
        for span in spans[self.counted :]:
            # Over the clients' own links: what aggregators send on is not theirs.
            if span.client >= 0:
                self.moved[span.kind] += span.size
        self.counted = len(spans)
        setup, losses = self.learner.setup, self.learner.losses.pop(round)
        last = round + 1 == setup.scenario.rounds
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
        if self.folder is not None and (last or (round + 1) % self.learner.settings.checkpoint_every == 0):
            record, tensors = state(self.learner)
            save(self.folder, Checkpoint(round, record | {"metrics": self.metrics}, tensors), self.fingerprint)
        self.on_row(self.metrics)

    def _evaluate(self, round: int, last: bool) -> MetricsRow:
        every = self.learner.settings.evaluation
        with_accuracy = last or (every.accuracy_every is not None and (round + 1) % every.accuracy_every == 0)
        if not (last or with_accuracy or (round + 1) % every.every == 0):
            return {"eval_loss": None, "accuracy": None}
        self.learner.versions.show_newest()
        measured = self.learner.task.evaluate(self.learner.model, accuracy=with_accuracy)
        if not math.isfinite(measured.loss):
            raise DivergedError(
                f"the global model diverged in round {round}: its held-out loss is {measured.loss}; "
                f"{self.learner.advice}"
            )
        return {"eval_loss": measured.loss, "accuracy": measured.accuracy}


def weighted_mean(weighted: Sequence[tuple[float, float]]) -> float:
    """Mean of pairs of weight and value; each sum is rounded once, so that it does not depend on their order."""
    return math.fsum(weight * value for weight, value in weighted) / math.fsum(weight for weight, _ in weighted)
