"""`parasim.train`: really train methods side by side, under the simulated clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch

from parasim.api import Overrides, Source, costs_of, several
from parasim.comparison import Base, Clock, Report, delta_saver, measure_base, missing_deltas, time_again
from parasim.figures.look import USUAL, Look
from parasim.ignored import doubtful, ignored_in_training
from parasim.loggers.logbook import Logbook, check_loggers
from parasim.outputs.trainings import leave_training
from parasim.progress import Progress
from parasim.sentences import say
from parasim.steering import Reached, about_target, as_long_as, check_goals, save_best, when_reached
from parasim.sweeping import PAPER_METHODS, check_parameters
from parasim_core.sim.analysis.failing import write_failures
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.errors import OutputError, ScenarioError
from parasim_core.sim.scenario.reading import fields_set, load, plain_fields
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.atomic_files import write_atomically
from parasim_core.sim.support.deleted_results import noticing_deletions
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.data.formats import Example
from parasim_core.train.data.partition import Partition
from parasim_core.train.models.adapters import target_modules
from parasim_core.train.models.four_bits import quantize
from parasim_core.train.models.pretraining import pretrain
from parasim_core.train.remote.device_trainer import DeviceWorkers, check_devices, device_workers
from parasim_core.train.remote.ray_trainer import ClusterWorkers, cluster_workers
from parasim_core.train.runs.checkpoint import metrics_until
from parasim_core.train.runs.directory import TrainingTerms, agree, described_in, keep
from parasim_core.train.runs.fingerprint import contents, own_settings, shared_settings
from parasim_core.train.runs.lock import locked
from parasim_core.train.runs.metrics import MetricsRow
from parasim_core.train.runs.run import train_method
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.trainable import check_recipe
from parasim_core.train.runs.workbench import Workbench, build, device_of
from parasim_core.train.update.compression import messages
from parasim_core.train.update.priced_only import catches_up, priced_only

DEMONSTRATION = Path(str(resources.files("parasim_demonstration"))) / "scenario.yaml"
"""What `paraSim train` does without arguments: a small Llama, word problems, 10 clients."""


@dataclass(frozen=True)
class TrainedComparison:
    """What a comparison gave.

    Attributes
    ----------
    metrics : list of dict
        One row per method and round, those of methods that were trained in the same directory before among them.
    base : mapping
        Held-out loss (`eval_loss`) and `accuracy` of the base, before anything is federated.
    results : dict of str to Result
        The simulated run of each method that was asked for.
    partition : Partition
        Who has which examples.
    notes : sequence of str
        What else the user should know, a sentence each: what was cut off the examples, what is not there.
    reached : dict of str to Reached or None
        When each method that was asked for had the held-out loss that was asked for; None if it never had.
    pictures : sequence of Path
        What was drawn of it, if anything.
    """

    metrics: list[MetricsRow]
    base: Base
    results: dict[str, Result]
    partition: Partition
    notes: Sequence[str]
    reached: dict[str, Reached | None] = field(default_factory=dict)
    pictures: Sequence[Path] = ()

    def summary(self) -> dict[str, Any]:
        """What each method that was asked for gave, as `paraSim train --format json` prints it."""
        last = {row["method"]: row for row in self.metrics}
        measured = ("eval_loss", "accuracy", "uploaded_bytes", "downloaded_bytes")
        methods = [
            {
                "method": name,
                "rounds": result.scenario.rounds,
                "wall_clock_s": result.wall_clock,
                "compute_s": result.mean("compute"),
                "exposed_communication_s": result.mean("exposed"),
                **{column: last[name][column] for column in measured},
            }
            for name, result in self.results.items()
        ]
        return {"base": dict(self.base), "methods": methods, "notes": [*self.notes]}


@dataclass(frozen=True)
class _Wanted:
    """What a training is asked for beside the scenario; see `train`."""

    clock: Clock
    loss: float | None
    deltas: bool
    loggers: tuple[str, ...]


def train(
    source: Source | None = None,
    set: Overrides = (),
    *,
    method: str | Sequence[str] = (),
    out: str | Path,
    clock: Clock = "measured",
    target_loss: float | None = None,
    epochs: float | None = None,
    deltas: bool = False,
    devices: str | Sequence[str] = (),
    log: str | Sequence[str] = (),
    look: Look = USUAL,
    report: Report = lambda what, done, total: None,
) -> TrainedComparison:
    """Train methods with a real model, going on where an earlier call was interrupted or had fewer rounds.

    Inside `parasim.on_ray`, the clients of a run are trained by workers of that cluster.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        A scenario with a `train` section; the demonstration if None.
    set : mapping, str, or iterable of str or (str, value)
        Fields of it to set first: ``{"train.learning_rate": 1e-4}``, or as the command line has them,
        ``["train.learning_rate=1e-4"]``.
    method : str or sequence of str
        What to compare; the scenario's own method if empty, those of the paper's Figure 2 for the demonstration.
    out : path
        Where everything goes: ``metrics.csv``, ``partition.json``, ``held-out.jsonl``, pictures, the pretrained
        ``base``, and per method ``timeline.csv``, ``model`` and ``checkpoints``. It belongs to one set of settings:
        other methods may be added to it, each with parameters that concern it alone.
    clock : str
        Simulated seconds of a local update: `measured` as it trains, predicted by the scenario's `profile` (or its
        given seconds), or `both`: measured, and the same run timed by the profile beside it.
    target_loss : float, optional
        Held-out loss [nats] with which a method's training is over.
    epochs : float, optional
        How many times clients go over their examples, on average: what decides about the number of rounds.
    deltas : bool
        Also keep what was sent of every update, as safetensors with its measured seconds.
    devices : str or sequence of str
        Train on several at a time, each with a process of its own: ``cuda:0`` and so on, or ``cpu`` as often as there
        are to be processes; not with seconds that are measured, for which updates are trained one after the other.
    log : str or sequence of str
        Loggers that are told every round: `tensorboard`, `wandb`, `mlflow` (`parasim.loggers`).
    look : Look
        How pictures are wanted.
    report : callable
        Told what is being done, the steps done and in total.

    Raises
    ------
    ParaSimError
        If anything is wrong with scenario, data or model, the directory belongs to other settings or another process
        trains in it, training diverges, results cannot be written, or a cluster's workers cannot be used.
    """
    overrides = fields_set(set)
    devices, log = several(devices), several(log)
    check_goals(target_loss, epochs, overrides)
    check_loggers(log)
    scenarios = scenarios_of(source, overrides, several(method))
    settings = TrainSettings.parse(scenarios[0].train)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ScenarioError(
            f"train.device: is cuda, but PyTorch {torch.__version__} finds no GPU here; allowed are cpu and auto"
        )
    check_recipe(settings, [scenario.method.name for scenario in scenarios], device_of(settings))
    if devices:
        check_devices(devices, device_of(settings))
        if clock != "profile":
            raise ScenarioError(
                f"--devices: with --clock {clock}, updates are trained one after the other, so that each is timed by "
                "itself; give --clock profile"
            )
    directory = Path(out)
    with noticing_deletions(), locked(directory):
        if seeds := sorted({path.parts[-4] for path in directory.glob("seed-*/*/checkpoints/round-*")}):
            raise OutputError(
                f"--out {directory}: holds a training with --seeds ({seeds[0]}, ...); choose another --out"
            )
        if epochs is None:
            # As early as can be: what is refused must not have cost anything, nor have changed what is there.
            agree(directory, _terms(scenarios, settings, clock))
        on_cluster = cluster_workers(device_of(settings), most=scenarios[0].clients)
        if on_cluster and devices:
            raise ScenarioError("--devices: are this machine's, and --engine ray trains on a cluster; give one of them")
        bench = build(scenarios[0], settings)
        if epochs is not None:
            scenarios = [as_long_as(scenario, epochs, settings, bench) for scenario in scenarios]
        with device_workers(devices, device_of(settings)) as on_devices:
            wanted = _Wanted(clock, target_loss, deltas, log)
            training = _train(scenarios, settings, bench, on_cluster or on_devices, directory, wanted, report)
        return replace(training, pictures=leave_training(training, directory, look))


def _terms(scenarios: Sequence[Scenario], settings: TrainSettings, clock: Clock) -> TrainingTerms:
    """What the directory has to agree on."""
    # Measured too, `both` only times the same run a second time.
    timing = {"--clock": "profile" if clock == "profile" else "measured"}
    own = {scenario.method.name: own_settings(scenario, settings) | timing for scenario in scenarios}
    rounds = {scenario.method.name: scenario.rounds for scenario in scenarios}
    return TrainingTerms(shared_settings(scenarios[0], settings), own, rounds)


def _train(
    scenarios: Sequence[Scenario],
    settings: TrainSettings,
    bench: Workbench,
    workers: ClusterWorkers | DeviceWorkers | None,
    directory: Path,
    wanted: _Wanted,
    report: Report,
) -> TrainedComparison:
    """Train in a directory that is this process's own and agrees as far as settings tell."""
    _check(scenarios, settings, bench, wanted.clock)
    terms = replace(_terms(scenarios, settings, wanted.clock), contents=contents(bench, scenarios[0]))
    agree(directory, terms)
    # What was trained before is taken from checkpoints, which are sealed, not from the file that shows it.
    metrics = {method: metrics_until(directory / method / "checkpoints", method) for method in described_in(directory)}
    pretrained = pretrain(bench, scenarios[0], settings, directory / "base", report)
    if settings.weights == "nf4":
        quantize(bench.model, device_of(settings))
    keep(directory, terms)
    base = measure_base(bench, directory, report, anew=not metrics)
    if wanted.loss is not None and (loss := base["eval_loss"]) is not None and loss <= wanted.loss:
        raise ScenarioError(f"--target-loss {wanted.loss:g}: the base has a held-out loss of {loss:.4f} already")
    bench.partition.save(directory / "partition.json")
    if bench.held_out:
        write_atomically(directory / "held-out.jsonl", lambda file: file.writelines(map(_line, bench.held_out)))
    left_out = (ignored_in_training(scenario, bench.architecture) for scenario in scenarios)
    unused = dict.fromkeys(chain.from_iterable(left_out))
    catching_up = any(catches_up(prepare(scenario, bench.architecture)) for scenario in scenarios)
    notes = [*bench.notes, *priced_only(scenarios[0].wire, catching_up=catching_up), *unused]
    if wanted.clock != "measured":
        notes += doubtful(costs_of(prepare(scenario, bench.architecture)).provenance() for scenario in scenarios)
    results, reached = {}, {}
    with Logbook(wanted.loggers, directory, base) as logbook:
        progress = Progress(directory, metrics, logbook, report)
        for scenario in scenarios:
            name = scenario.method.name
            base_name = str(directory / "base") if pretrained else scenario.model
            of_method = _train_method(scenario, settings, bench, workers, directory / name, base_name, wanted, progress)
            results[name], reached[name] = of_method.result, of_method.reached
            notes += of_method.notes
    if others := [name for name in progress.metrics if name not in results]:
        notes.append(f"Metrics and charts also show what was trained here before: {', '.join(others)}.")
    notes += [f"Logged: {place}" for place in logbook.places.values()]
    return TrainedComparison(progress.rows(), base, results, bench.partition, notes, reached)


class _OfMethod(NamedTuple):
    """What training one method gave."""

    result: Result
    reached: Reached | None
    notes: list[str]


def _train_method(
    scenario: Scenario,
    settings: TrainSettings,
    bench: Workbench,
    workers: ClusterWorkers | DeviceWorkers | None,
    folder: Path,
    base: str | None,
    wanted: _Wanted,
    progress: Progress,
) -> _OfMethod:
    """Train one method, and leave in its folder what came of it."""
    name, notes, costs = scenario.method.name, [], costs_of if wanted.clock == "profile" else None
    progress.begin(scenario)
    trained = train_method(
        scenario,
        settings,
        bench,
        folder / "checkpoints",
        costs=costs,
        workers=workers,
        target=wanted.loss,
        on_row=progress.of(scenario),
        on_update=delta_saver(folder) if wanted.deltas else lambda trace, sent: None,
    )
    # A run that was finished before reports no rows any more.
    progress.tell(scenario, trained.metrics)
    trained.result.write_timeline(folder / "timeline.csv")
    if write_failures(trained.result, folder):
        notes.append(say("run.cost", method=name, rounds=scenario.rounds, cost=trained.result.failures()))
    by_profile = time_again(trained, folder) if wanted.clock == "both" else ()
    reached = None
    if wanted.loss is not None:
        reached = when_reached(trained.metrics, wanted.loss, by_profile)
        notes.append(about_target(name, scenario.rounds, wanted.loss, trained.metrics, reached))
    if wanted.deltas:
        notes += missing_deltas(list(trained.learner.traces.values()), folder)
    trained.save_model(folder / "model", bench.tokenizer, base)
    if best := save_best(trained, bench, folder, base, costs):
        notes.append(best)
    return _OfMethod(trained.result, reached, notes)


def _check(scenarios: Sequence[Scenario], settings: TrainSettings, bench: Workbench, clock: Clock) -> None:
    """Refuse what is wrong with any method, or covered by no profile, before one is trained for an hour."""
    for scenario in scenarios:
        settings.rate(scenario.method.name)
        setup = prepare(scenario, bench.architecture)
        messages(setup, settings)
        if setup.method.trains in (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA):
            target_modules(bench.model, scenario.lora.targets)
        if clock != "measured":
            costs = costs_of(setup)
            for block in setup.blocks or (None,):
                costs.local_update(0, 0, block)
            if scenario.blocks.schedule == "gradient":
                costs.full_pass(0)


def scenarios_of(source: Source | None, overrides: Sequence[tuple[str, Any]], methods: Sequence[str]) -> list[Scenario]:
    """Read the scenario of each method of a training; those of the paper's Figure 2 for the demonstration.

    Raises
    ------
    ScenarioError
        If a method is named twice, or anything of the scenario is wrong.
    """
    if source is None:
        source, methods = DEMONSTRATION, methods or PAPER_METHODS
    if twice := sorted({method for method in methods if methods.count(method) > 1}):
        raise ScenarioError(f"methods: {', '.join(twice)} named twice; a method is trained once")
    # The model's name is the trainer's affair; what a message weighs follows from the model that it loads.
    fields = {"model": "demo", **plain_fields(source, overrides)}
    if methods:
        check_parameters(overrides, methods)
    return [load(fields, [("method.name", name)]) for name in methods] or [load(fields)]


def _line(example: Example) -> str:
    return json.dumps(example.as_row()) + "\n"
