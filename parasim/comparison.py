"""Methods trained one after the other in one directory, and what they leave in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from parasim.api import costs_of
from sim.atomic_files import write_atomically
from sim.errors import OutputError
from sim.result import Result
from sim.scenario import Scenario
from sim.simulate import prepare, simulate
from sim.timeline import Kind

if TYPE_CHECKING:
    from sim.architecture import Architecture
    from train.blocks import Values
    from train.learner import Trace
    from train.metrics import MetricsRow
    from train.ray_trainer import ClusterWorkers
    from train.run import Trained
    from train.settings import TrainSettings
    from train.workbench import Workbench

Clock = Literal["measured", "profile", "both"]
Report = Callable[[str, int, int], None]
Base = Mapping[str, float | None]

_BASE = "base.json"


@dataclass
class Comparison:
    """Methods that are trained in one directory.

    Attributes
    ----------
    settings : TrainSettings
        What they share beside the scenario.
    bench : Workbench
        The base model and the data.
    workers : ClusterWorkers or None
        Workers that train, if any.
    directory : Path
        Where everything goes.
    clock : str
        `measured`, `profile` or `both`.
    save_deltas : bool
        Whether to keep what was sent of every update.
    base : str or None
        Folder or name of the base model, for adapters to name.
    report : callable
        Told what is being done, the steps done and in total.
    rows : dict of str to list of dict
        Metrics by method, those of methods that were trained in the directory before among them.
    results : dict of str to Result
        The simulated runs.
    notes : list of str
        What the user should know of it, a sentence each.
    """

    settings: TrainSettings
    bench: Workbench
    workers: ClusterWorkers | None
    directory: Path
    clock: Clock
    save_deltas: bool
    base: str | None
    report: Report
    rows: dict[str, list[MetricsRow]]
    results: dict[str, Result] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def metrics(self) -> list[MetricsRow]:
        """One row per method and round."""
        return [row for rows in self.rows.values() for row in rows]

    def train(self, scenario: Scenario) -> None:
        """Train one method, or what is left of it, and save what it gives."""
        from train.run import train_method

        name = scenario.method.name
        folder = self.directory / name

        def on_row(rows: list[MetricsRow]) -> None:
            self.report(f"training {name}", len(rows), scenario.rounds)
            self._write(name, rows)

        trained = train_method(
            scenario,
            self.settings,
            self.bench,
            folder / "checkpoints",
            costs=costs_of if self.clock == "profile" else None,
            workers=self.workers,
            on_row=on_row,
            on_update=_delta_saver(folder / "deltas") if self.save_deltas else lambda trace, sent: None,
        )
        # A run that was finished before reports no rows any more.
        self._write(name, trained.metrics)
        self.results[name] = trained.result
        trained.result.write_timeline(folder / "timeline.csv")
        trained.save_model(folder / "model", self.bench.tokenizer, self.base)
        if self.save_deltas:
            self._note_missing_deltas(folder, trained)
        if self.clock == "both":
            _time_again(scenario, self.bench.architecture, trained.metrics, folder)

    def _write(self, method: str, rows: list[MetricsRow]) -> None:
        """Write the metrics of all methods in the directory."""
        from train.metrics import metrics_text

        self.rows[method] = rows
        text = metrics_text(self.metrics)
        write_atomically(self.directory / "metrics.csv", lambda file: file.write(text))

    def _note_missing_deltas(self, folder: Path, trained: Trained) -> None:
        updates, deltas = trained.learner.traces.values(), folder / "deltas"
        kept = sum(_delta_path(deltas, trace).is_file() for trace in updates)
        if kept < len(updates):
            self.notes.append(
                f"--deltas: {kept} of {len(updates)} updates are in {deltas}; the others were trained before, "
                f"without it, and are gone (delete {folder} to train them again)."
            )


def measure_base(bench: Workbench, directory: Path, report: Report, *, anew: bool) -> Base:
    """Measure the base before anything is federated, or read what was measured.

    Parameters
    ----------
    bench : Workbench
        The base model and the data.
    directory : Path
        Keeps the figures, as ``base.json``.
    report : callable
        Told what is being done, the batches done and in total.
    anew : bool
        Whether what the directory says may be of another base.

    Returns
    -------
    mapping of str to float or None
        `eval_loss` and `accuracy`, as in the metrics.

    Raises
    ------
    ParaSimError
        If the base's loss is not finite, or the figures cannot be written or read.
    """
    path = directory / _BASE
    if path.exists() and not anew:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return {name: kept[name] for name in ("eval_loss", "accuracy")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path}: is damaged ({error}); delete it to measure the base again") from None
    measured = bench.task.evaluate(
        bench.model, accuracy=True, progress=lambda done, total: report("measuring the base", done, total)
    )
    if not math.isfinite(measured.loss):
        raise OutputError(f"the held-out loss of the base model is {measured.loss}: nothing can be learned from there")
    base = {"eval_loss": measured.loss, "accuracy": measured.accuracy}
    write_atomically(path, lambda file: file.write(json.dumps(base, indent=2) + "\n"))
    return base


def _delta_path(folder: Path, trace: Trace) -> Path:
    return folder / f"round-{trace.round:04d}-client-{trace.client:04d}.safetensors"


def _delta_saver(folder: Path) -> Callable[[Trace, Values], None]:
    from safetensors import SafetensorError

    from train.packing import save_tensors

    def save(trace: Trace, sent: Values) -> None:
        path = _delta_path(folder, trace)
        temporary = path.with_suffix(".part")
        metadata = {"seconds": repr(trace.measured), "train_loss": repr(trace.loss)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_tensors({name: value.cpu().contiguous() for name, value in sent.items()}, temporary, metadata)
            temporary.replace(path)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"{path}: cannot be written: {error}") from None
        finally:
            temporary.unlink(missing_ok=True)

    return save


def _time_again(scenario: Scenario, architecture: Architecture, metrics: list[MetricsRow], folder: Path) -> None:
    """Time the same run by the profile: what is learned does not depend on how long it takes."""
    setup = prepare(scenario, architecture)
    predicted = simulate(setup, costs_of(setup))
    predicted.write_timeline(folder / "timeline-profile.csv")
    ends = {span.round: span.end for span in predicted.timeline.spans if span.kind is Kind.AGGREGATE}
    rows = "".join(f"{row['round']},{row['simulated_s']!r},{ends[int(str(row['round']))]!r}\n" for row in metrics)
    header = "round,measured_s,profile_s\n"
    write_atomically(folder / "clocks.csv", lambda file: file.write(header + rows))
