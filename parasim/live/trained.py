"""What a run with agents that train has learned: metrics by round, and the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from parasim.live.training_agents import TrainingAgents
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.world import World
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.models.blocks import Values
from parasim_core.train.models.pretraining import pretrain
from parasim_core.train.runs.metrics import MetricsRow
from parasim_core.train.runs.recorder import Recorder
from parasim_core.train.runs.run import Trained as Learned
from parasim_core.train.runs.run import build_learner
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import build


@dataclass(frozen=True)
class Trained:
    """What was learned.

    Attributes
    ----------
    metrics : list of dict
        A row per round, as of `paraSim train`.
    base_loss : float or None
        Held-out loss of the base [nats].
    learned : parasim_core.train.runs.run.Trained
        The model.
    tokenizer : object or None
        The model's.
    base : str or None
        Folder or name of the base.
    """

    metrics: list[MetricsRow]
    base_loss: float | None
    learned: Learned
    tokenizer: Any
    base: str | None

    def save_model(self, folder: Path) -> None:
        """Save the model as an ordinary Hugging Face folder."""
        self.learned.save_model(folder, self.tokenizer, self.base)


class Training:
    """The server's side of a training.

    Parameters
    ----------
    scenario : Scenario
        The scenario.
    out : Path
        The pretrained base goes below it, or is taken from there.
    report : callable
        Told what is being done, the steps done and in total.

    Attributes
    ----------
    learner : TrainingAgents
        The server's half.
    model : str
        What agents have to be allowed.
    data : list of str
        Likewise.
    base : bytes or None
        What all begin with, where that is not the model as it is loaded.
    """

    def __init__(self, scenario: Scenario, out: Path, report: Callable[[str, int, int], None]):
        settings = TrainSettings.parse(scenario.train)
        self._scenario, self._bench = scenario, build(scenario, settings)
        pretrained = pretrain(self._bench, scenario, settings, out / "base", report)
        self._base = str(out / "base") if pretrained else scenario.model
        self.base = _saved(self._bench.model) if pretrained else None
        learner, _ = build_learner(
            scenario, settings, self._bench, None, None, lambda trace, sent: None, TrainingAgents
        )
        self.learner = cast(TrainingAgents, learner)
        self.model = scenario.model or "demo"
        self.data = [data for data in (settings.data.source, settings.data.held_out) if data is not None]
        self._rounds: list[tuple[int, float, int, dict[int, dict[int, Values]]]] = []

    def note(self, world: World, round: int) -> None:
        """Keep the server's model after a round: measuring it would hold up the run."""
        values = self.learner.versions.values
        newest = {item: {(last := max(versions)): versions[last]} for item, versions in values.items()}
        self._rounds.append((round, float(world.env.now), len(world.timeline), newest))

    def trained(self, result: Result) -> Trained:
        """Measure what was learned, round by round."""
        task, versions, spans = self._bench.task, self.learner.versions, result.timeline.spans
        recorder = Recorder(self.learner, None, lambda rows: None)
        base_loss = task.evaluate(self._bench.model, accuracy=False).loss
        for round, now, count, newest in self._rounds:
            versions.replace(newest)
            # What the recorder looks at of a run, as it was then.
            then = SimpleNamespace(timeline=SimpleNamespace(spans=spans[:count]), env=SimpleNamespace(now=now))
            recorder(cast(World, then), round)
        versions.show_newest()
        learned = Learned(result, recorder.metrics, self.learner)
        return Trained(recorder.metrics, base_loss, learned, self._bench.tokenizer, self._base)


def _saved(model: Any) -> bytes:
    from safetensors.torch import save

    return save({name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()})
