"""One method, trained: learner, checkpoints, metrics, and the model in the end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from parasim_core.sim.engine.costs import Costs, GivenSeconds
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Setup, prepare, simulate
from parasim_core.sim.errors import OutputError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.deleted_results import check_results, note_result
from parasim_core.train.data.task import Task
from parasim_core.train.federated.learner import TorchLearner, Trace
from parasim_core.train.models.blocks import Values
from parasim_core.train.models.files import save_model
from parasim_core.train.models.four_bits import dequantize
from parasim_core.train.models.out_of_memory import free_memory
from parasim_core.train.remote.device_trainer import DeviceWorkers
from parasim_core.train.remote.ray_trainer import ClusterWorkers
from parasim_core.train.runs.checkpoint import Checkpoint, CheckpointError, load, saved_rounds
from parasim_core.train.runs.fingerprint import fingerprint
from parasim_core.train.runs.metrics import MetricsRow
from parasim_core.train.runs.recorder import Recorder, TargetReached, best_round, last_alike, reaches
from parasim_core.train.runs.resume import restore
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import Workbench
from parasim_core.train.update.jobs import LocalTrainer
from parasim_core.train.update.local import LocalSettings, TrainingError
from parasim_core.train.update.loss import Loss, Mixed
from parasim_core.train.update.trained_part import TrainedStack, trained_part


@dataclass
class Trained:
    """What training one method gave.

    Attributes
    ----------
    result : Result
        The simulated run, under the clock that was asked for.
    metrics : list of dict
        One row per round: `train.runs.metrics.METRICS`.
    learner : TorchLearner
        Its model is the server's final one, adapters not yet merged.
    """

    result: Result
    metrics: list[MetricsRow]
    learner: TorchLearner

    def save_model(self, folder: Path, tokenizer: Any, base: str | None = None) -> None:
        """Save the final model as an ordinary Hugging Face folder, adapters merged.

        Parameters
        ----------
        folder : Path
            Where the model goes; an averaged adapter also goes, by itself, to ``adapter`` beside it.
        tokenizer : transformers.PreTrainedTokenizerBase or None
            Saved with the model.
        base : str, optional
            Folder or name of the base model; the adapter names it.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        from safetensors import SafetensorError

        trained, adapter = self.learner.trained, self.learner.trained.adapter
        check_results()
        try:
            if self.learner.settings.weights == "nf4":
                dequantize(trained.model)
            if adapter is not None:
                if not isinstance(trained, TrainedStack):
                    adapter.save(folder.parent / "adapter", base)
                    adapter.merge({name: parameter.detach() for name, parameter in adapter.part.items()})
                adapter.remove()
            save_model(trained.model, tokenizer, folder)
            note_result(folder / "config.json")
        except (OSError, SafetensorError) as error:
            raise OutputError(f"{folder}: the final model cannot be written: {error}") from None


def train_method(
    scenario: Scenario,
    settings: TrainSettings,
    bench: Workbench,
    folder: Path | None,
    *,
    costs: Callable[[Setup], Costs] | None,
    workers: ClusterWorkers | DeviceWorkers | None = None,
    target: float | None = None,
    on_row: Callable[[list[MetricsRow]], None] = lambda rows: None,
    on_update: Callable[[Trace, Values], None] = lambda trace, sent: None,
) -> Trained:
    """Train one method, going on from its last checkpoint if there is one, be it of a run that was to be shorter.

    Parameters
    ----------
    scenario : Scenario
        The method and everything simulated about it.
    settings : TrainSettings
        Everything else.
    bench : Workbench
        The base model and the data; left as they are.
    folder : Path or None
        Where checkpoints go; None to make none.
    costs : callable or None
        Gives the costs of a setup, for a simulated clock by profile; None for measured seconds.
    workers : ClusterWorkers, DeviceWorkers or None
        Workers that train; None to train in this process.
    target : float, optional
        Held-out loss [nats] at which it is over: what comes out is a run of as many rounds as were trained until then.
    on_row : callable
        Given all metrics so far after every round.
    on_update : callable
        Given each newly trained update's trace and what was sent of it.

    Raises
    ------
    ParaSimError
        If training diverges, a checkpoint cannot be used or written, or the costs are not known.
    """
    found = mark = None
    if folder is not None:
        clock = costs(prepare(scenario, bench.architecture)).provenance() if costs else None
        mark = fingerprint(scenario, settings, bench, clock)
        found = _last_alike(folder, mark, scenario, bench)
        if found and any(reaches(row, target) for row in found.record["metrics"]):
            scenario = _as_long_as(found, scenario)

    def go_on(scenario: Scenario, found: Checkpoint | None) -> Trained:
        learner, predicted = build_learner(scenario, settings, bench, costs, workers, on_update)
        recorder = Recorder(learner, folder, on_row, target, mark or "")
        if found:
            restore(learner, found.round, found.record, found.tensors)
            recorder.metrics = list(found.record["metrics"])
        try:
            device = next(learner.model.parameters()).device
            result = simulate(learner.setup, predicted or MeasuredCosts(scenario, device), learner, recorder)
        except TrainingError as error:
            raise type(error)(f"{scenario.method.name}: {error}") from None
        learner.versions.show_newest()
        return Trained(result, recorder.metrics, learner)

    try:
        return go_on(scenario, found)
    except TargetReached as reached:
        found = reached.checkpoint
    # Nothing is trained any more: the rounds that there were happen again, and the run ends with them.
    return go_on(_as_long_as(found, scenario), found)


def _last_alike(folder: Path, mark: str, scenario: Scenario, bench: Workbench) -> Checkpoint | None:
    """Read the last checkpoint, or, of a run that was to be shorter, the last one from which it may go on."""
    found = load(folder, mark)
    if found is None or found.record["rounds"] == scenario.rounds:
        return found
    if found.record["rounds"] > scenario.rounds:
        raise CheckpointError(f"{folder}: is of a run of {found.record['rounds']} rounds, more than {scenario.rounds}")
    shorter = scenario.model_copy(update={"rounds": found.record["rounds"]})
    alike = last_alike(prepare(shorter, bench.architecture))
    if found.round <= alike:
        return found
    return load(folder, mark, alike) if alike >= 0 else None


def _as_long_as(found: Checkpoint, scenario: Scenario) -> Scenario:
    """Have a run end with the last round that was trained."""
    return scenario.model_copy(update={"rounds": found.round + 1})


def best_learner(
    trained: Trained, bench: Workbench, folder: Path, costs: Callable[[Setup], Costs] | None
) -> TorchLearner | None:
    """Go back to the round with the lowest held-out loss among those whose checkpoints were kept.

    Parameters
    ----------
    trained : Trained
        The run, over.
    bench : Workbench
        Its base model and data.
    folder : Path
        Where its checkpoints are.
    costs : callable or None
        As of `train_method`.

    Returns
    -------
    TorchLearner or None
        Its model is the server's after that round; None if that is the last one.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged.
    """
    best = best_round(trained.metrics, saved_rounds(folder))
    if best is None or best == trained.metrics[-1]["round"]:
        return None
    scenario, settings = trained.learner.setup.scenario, trained.learner.settings
    learner, predicted = build_learner(scenario, settings, bench, costs, None, lambda trace, sent: None)
    mark = fingerprint(scenario, settings, bench, predicted.provenance() if predicted else None)
    found = load(folder, mark, best)
    assert found is not None
    restore(learner, best, found.record, found.tensors)
    learner.versions.show_newest()
    return learner


def build_learner(
    scenario: Scenario,
    settings: TrainSettings,
    bench: Workbench,
    costs: Callable[[Setup], Costs] | None,
    workers: ClusterWorkers | DeviceWorkers | None,
    on_update: Callable[[Trace, Values], None],
    kind: Callable[..., TorchLearner] = TorchLearner,
) -> tuple[TorchLearner, Costs | None]:
    """Put together who learns, on a copy of the base model, and what says how long that takes.

    Parameters
    ----------
    scenario, settings, bench, costs, workers, on_update
        Those of `train_method`.
    kind : callable
        Makes who learns.
    """
    setup = prepare(scenario, bench.architecture)
    # The model of the method before lives on in reference cycles until somebody looks for them.
    free_memory()
    model: Any = copy.deepcopy(bench.model)
    predicted = costs(setup) if costs else None
    local = LocalSettings(
        learning_rate=settings.rate(setup.method.name),
        steps=scenario.local.steps,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        clip_norm=settings.clip_norm,
        accumulation=settings.accumulation,
        master=settings.master,
        optimizer=settings.optimizer,
        compiled=settings.kernels == "compiled",
    )
    precision = torch.float32 if settings.adapters == "float32" else None
    trained = trained_part(
        setup.method.trains, model, setup.blocks, scenario.lora, seed=scenario.seed, precision=precision
    )
    task = bench.task
    if trained.adapter is not None and precision is not None and model.dtype != precision:
        # Adapters are wider than what is beside them: products are in bfloat16, as transformers' Trainer has them.
        task = _with_loss(task, Mixed(task.loss))
    trainer = LocalTrainer if workers is None else workers.trainer
    return kind(setup, settings, trained, task, local, predicted, trainer, on_update), predicted


def _with_loss(task: Task, loss: Loss) -> Task:
    """The same data under another loss."""
    changed: Any = copy.copy(task)
    changed.loss = loss
    return cast(Task, changed)


class MeasuredCosts(GivenSeconds):
    """Costs of a run whose seconds are measured while it trains; only their origin is ever asked for.

    Parameters
    ----------
    scenario : Scenario
        The run.
    device : torch.device
        Where it is trained.
    """

    def __init__(self, scenario: Scenario, device: torch.device):
        # Seconds that are given may be those of other methods.
        self._device = device

    def provenance(self) -> dict[str, object]:
        """Say where and with what they are measured."""
        return {
            "origin": "measured",
            "source": "each local update, as it was trained",
            "device": torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu",
            "torch": torch.__version__,
        }
