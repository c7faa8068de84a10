"""`parasim.train`: really train methods side by side, under the simulated clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from parasim.api import PAPER_METHODS, Source, costs_of
from sim import scenario_file
from sim.errors import OutputError
from sim.methods import Trains
from sim.result import Result, write_atomically
from sim.scenario import Scenario
from sim.scenario_file import parse_override, with_field
from sim.simulate import Setup, prepare, simulate
from sim.timeline import Kind

if TYPE_CHECKING:
    from sim.architecture import Architecture
    from train.blocks import Values
    from train.crew import Crew
    from train.formats import Example
    from train.learner import Trace
    from train.partition import Partition
    from train.run import Row
    from train.settings import TrainSettings
    from train.workbench import Workbench

Clock = Literal["measured", "profile", "both"]
Report = Callable[[str, int, int], None]

DEMONSTRATION: dict[str, Any] = {
    "name": "demonstration",
    "model": "demo",
    "rounds": 32,
    # Four blocks of a layer each; FedCyBGD's ten clients share them.
    "blocks": {"count": 4, "schedule": "random"},
    "local": {"steps": 6, "batch_size": 8, "sequence_length": 64},
    "lora": {"rank": 8, "targets": ["q_proj", "v_proj"]},
    "fleet": [{"name": "client", "count": 10, "uplink": "8MB/s", "downlink": "8MB/s"}],
    "wire": {"bytes_per_parameter": 4},
    "train": {
        "learning_rate": {"default": 3e-3, "fedit": 6e-3},
        "partition": {"kind": "dirichlet", "alpha": 0.5},
        "evaluation": {"every": 2},
    },
}
"""What `paraSim train` does without arguments: a small Llama, word problems, 10 clients."""


@dataclass(frozen=True)
class Training:
    """What a comparison gave.

    Attributes
    ----------
    metrics : list of dict
        One row per method and round.
    results : dict of str to Result
        The simulated run of each method.
    partition : Partition
        Who has which examples.
    truncation : str
        What was cut off the training examples; empty if nothing is ever cut.
    """

    metrics: list[Row]
    results: dict[str, Result]
    partition: Partition
    truncation: str


def train(
    source: Source | None = None,
    *,
    methods: Sequence[str] = (),
    overrides: Iterable[str] = (),
    directory: str | Path,
    clock: Clock = "measured",
    save_deltas: bool = False,
    report: Report = lambda what, done, total: None,
) -> Training:
    """Train methods with a real model, going on where an earlier call was interrupted.

    Inside `parasim.on_ray`, the clients of a run are trained by workers of that cluster.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        A scenario with a `train` section; the demonstration if None.
    methods : sequence of str
        What to compare; the scenario's own method if empty, those of the paper's Figure 2 for the demonstration.
    overrides : iterable of str
        Such as ``train.learning_rate=1e-4``.
    directory : path
        Where everything goes: ``metrics.csv``, ``partition.json``, ``held-out.jsonl``, the pretrained ``base``,
        and per method ``timeline.csv``, ``model`` and ``checkpoints``.
    clock : str
        Simulated seconds of a local update: `measured` here, predicted by the scenario's `profile` (or its given
        seconds), or `both`: measured, and the same run timed by the profile beside it.
    save_deltas : bool
        Also keep what was sent of every update, as safetensors with its measured seconds.
    report : callable
        Told what is being done, the steps done and in total.

    Raises
    ------
    ParaSimError
        If anything is wrong with scenario, data or model, another process trains in the directory, training
        diverges, results cannot be written, or a cluster's workers cannot be used.
    """
    from train.crew import crew
    from train.lock import locked
    from train.pretraining import pretrain
    from train.settings import TrainSettings
    from train.workbench import build, device_of

    data = _data(source, overrides)
    if source is None:
        methods = methods or PAPER_METHODS
    scenarios = [_scenario(data, method) for method in methods or [_scenario(data, None).method.name]]
    settings = TrainSettings.parse(scenarios[0].train)
    directory = Path(directory)
    with locked(directory), crew(device_of(settings), most=scenarios[0].clients) as workers:
        bench = build(scenarios[0], settings)
        _check(scenarios, settings, bench, clock)
        pretrain(bench, scenarios[0], settings, directory / "base", report)
        bench.partition.save(directory / "partition.json")
        if bench.held_out:
            write_atomically(directory / "held-out.jsonl", lambda file: file.writelines(map(_line, bench.held_out)))
        comparison = _Comparison(settings, bench, workers, directory, clock, save_deltas, report)
        for scenario in scenarios:
            comparison.train(scenario)
    truncation = "" if bench.truncation is None else str(bench.truncation)
    return Training(comparison.metrics, comparison.results, bench.partition, truncation)


def _check(scenarios: Sequence[Scenario], settings: TrainSettings, bench: Workbench, clock: Clock) -> None:
    """Refuse what is wrong with any method before one is trained for an hour."""
    from train.adapters import target_modules

    for scenario in scenarios:
        settings.rate(scenario.method.name)
        setup = prepare(scenario, bench.architecture)
        if setup.method.trains in (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA):
            target_modules(bench.model, scenario.lora.targets)
        if clock != "measured":
            _check_costs(setup)


@dataclass
class _Comparison:
    """Methods trained one after the other, and what they leave in the directory."""

    settings: TrainSettings
    bench: Workbench
    crew: Crew | None
    directory: Path
    clock: Clock
    save_deltas: bool
    report: Report
    metrics: list[Row] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)

    def train(self, scenario: Scenario) -> None:
        """Train one method, or what is left of it, and save what it gives."""
        from train.run import train_method

        name = scenario.method.name
        folder = self.directory / name

        def on_row(rows: list[Row]) -> None:
            self.report(f"training {name}", len(rows), scenario.rounds)
            self._write(rows)

        trained = train_method(
            scenario,
            self.settings,
            self.bench,
            folder / "checkpoints",
            costs=costs_of if self.clock == "profile" else None,
            crew=self.crew,
            on_row=on_row,
            on_update=_delta_saver(folder / "deltas") if self.save_deltas else lambda trace, sent: None,
        )
        # A run that was finished before reports no rows any more.
        self._write(trained.metrics)
        self.metrics += trained.metrics
        self.results[name] = trained.result
        trained.result.write_timeline(folder / "timeline.csv")
        trained.save_model(folder / "model", self.bench.tokenizer)
        if self.clock == "both":
            _time_again(scenario, self.bench.architecture, trained.metrics, folder)

    def _write(self, rows: list[Row]) -> None:
        """Write the metrics of the methods that are done, and those of the one that is being trained."""
        from train.run import metrics_text

        text = metrics_text([*self.metrics, *rows])
        write_atomically(self.directory / "metrics.csv", lambda file: file.write(text))


def _data(source: Source | None, overrides: Iterable[str]) -> dict[str, Any]:
    if source is None:
        data: dict[str, Any] = json.loads(json.dumps(DEMONSTRATION))
    elif isinstance(source, Scenario):
        data = source.model_dump(mode="json", exclude_unset=True)
    else:
        data = dict(source) if isinstance(source, Mapping) else scenario_file.read(source)
    for override in overrides:
        data = with_field(data, *parse_override(override))
    return data


def _scenario(data: dict[str, Any], method: str | None) -> Scenario:
    # The model's name is the trainer's affair; what a message weighs follows from the model that it loads.
    data = {"model": "demo", **data}
    return Scenario.parse(data if method is None else with_field(data, "method.name", method))


def _check_costs(setup: Setup) -> None:
    """Refuse, before hours of training, what no profile covers."""
    costs = costs_of(setup)
    for block in setup.blocks or (None,):
        costs.local_update(0, 0, block)
    if setup.scenario.blocks.schedule == "gradient":
        costs.full_pass(0)


def _line(example: Example) -> str:
    return json.dumps({name: value for name, value in asdict(example).items() if value is not None}) + "\n"


def _delta_saver(folder: Path) -> Callable[[Trace, Values], None]:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def save(trace: Trace, sent: Values) -> None:
        path = folder / f"round-{trace.round:04d}-client-{trace.client:04d}.safetensors"
        temporary = path.with_suffix(".part")
        metadata = {"seconds": repr(trace.measured), "train_loss": repr(trace.loss)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file({name: value.cpu().contiguous() for name, value in sent.items()}, temporary, metadata)
            temporary.replace(path)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"{path}: cannot be written: {error}") from None
        finally:
            temporary.unlink(missing_ok=True)

    return save


def _time_again(scenario: Scenario, architecture: Architecture, metrics: list[Row], folder: Path) -> None:
    """Time the same run by the profile: what is learned does not depend on how long it takes."""
    setup = prepare(scenario, architecture)
    predicted = simulate(setup, costs_of(setup))
    predicted.write_timeline(folder / "timeline-profile.csv")
    ends = {span.round: span.end for span in predicted.timeline.spans if span.kind is Kind.AGGREGATE}
    rows = "".join(f"{row['round']},{row['simulated_s']!r},{ends[int(str(row['round']))]!r}\n" for row in metrics)
    header = "round,measured_s,profile_s\n"
    write_atomically(folder / "clocks.csv", lambda file: file.write(header + rows))
