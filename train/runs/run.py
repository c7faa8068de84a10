"""One method, trained: learner, checkpoints, metrics, and the model in the end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sim.engine.costs import Costs, GivenSeconds
from sim.engine.result import Result
from sim.engine.simulate import Setup, prepare, simulate
from sim.errors import OutputError
from sim.scenario.scenario import Scenario
from sim.support.deleted_results import check_results, note_result
from train.federated.learner import TorchLearner, Trace
from train.models.blocks import Values
from train.models.files import save_model
from train.models.out_of_memory import free_memory
from train.remote.ray_trainer import ClusterWorkers, RayTrainer
from train.runs.checkpoint import load
from train.runs.fingerprint import fingerprint
from train.runs.metrics import MetricsRow
from train.runs.recorder import Recorder
from train.runs.resume import restore
from train.runs.settings import TrainSettings
from train.runs.workbench import Workbench
from train.update.jobs import LocalTrainer
from train.update.local import LocalSettings, TrainingError
from train.update.trained_part import TrainedStack, trained_part


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
    workers: ClusterWorkers | None = None,
    on_row: Callable[[list[MetricsRow]], None] = lambda rows: None,
    on_update: Callable[[Trace, Values], None] = lambda trace, sent: None,
) -> Trained:
    """Train one method, going on from its last checkpoint if there is one.

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
    workers : ClusterWorkers or None
        Workers that train; None to train in this process.
    on_row : callable
        Given all metrics so far after every round.
    on_update : callable
        Given each newly trained update's trace and what was sent of it.

    Raises
    ------
    ParaSimError
        If training diverges, a checkpoint cannot be used or written, or the costs are not known.
    """
    setup = prepare(scenario, bench.architecture)
    # The model of the method before lives on in reference cycles until somebody looks for them.
    free_memory()
    model = copy.deepcopy(bench.model)
    predicted = costs(setup) if costs else None
    local = LocalSettings(
        learning_rate=settings.rate(setup.method.name),
        steps=scenario.local.steps,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        clip_norm=settings.clip_norm,
        accumulation=settings.accumulation,
    )
    trained = trained_part(setup.method.trains, model, setup.blocks, scenario.lora, seed=scenario.seed)
    trainer = LocalTrainer if workers is None else partial(RayTrainer, workers)
    learner = TorchLearner(setup, settings, trained, bench.task, local, predicted, trainer, on_update)
    recorder = Recorder(learner, folder, on_row)
    if folder is not None:
        recorder.fingerprint = fingerprint(scenario, settings, bench, predicted.provenance() if predicted else None)
        if found := load(folder, recorder.fingerprint):
            restore(learner, found.round, found.record, found.tensors)
            recorder.metrics = list(found.record["metrics"])
    try:
        result = simulate(
            setup, predicted or MeasuredCosts(scenario, next(model.parameters()).device), learner, recorder
        )
    except TrainingError as error:
        raise type(error)(f"{scenario.method.name}: {error}") from None
    learner.versions.show_newest()
    return Trained(result, recorder.metrics, learner)


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
