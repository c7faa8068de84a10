"""What trainings leave beside what they write as they go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.contracts import stamped
from parasim.figures.bands import draw_bands
from parasim.figures.look import USUAL, Look
from parasim.figures.training import draw_partition, draw_training
from parasim.reporting.record import leave_record
from parasim_core.sim.support.atomic_files import write_json

if TYPE_CHECKING:
    from parasim.seeds import SeededComparison
    from parasim.training import TrainedComparison

RESULTS = "seeds.csv"
"""Mean and standard deviation of the metrics of a training from several seeds."""


def trained(training: TrainedComparison) -> dict[str, Any]:
    """Return a training as `paraSim train --format json` prints it."""
    return stamped("train", training.summary(), next(iter(training.results.values())).scenario)


def leave_training(training: TrainedComparison, out: Path, look: Look = USUAL) -> list[Path]:
    """Draw a training whose files are in a folder already, and write ``training.json``; return the pictures.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    base = training.base["eval_loss"]
    charts = [*draw_training(training.metrics, out, base, look), *draw_partition(training.partition, out, look)]
    write_json(out / "training.json", trained(training))
    scenario = next(iter(training.results.values())).scenario
    leave_record(out, "train", scenario, [out / "metrics.csv", out / "training.json", *charts])
    return charts


def leave_seeds(training: SeededComparison, out: Path, look: Look = USUAL) -> list[Path]:
    """Draw a training from several seeds whose files are in a folder already; return the pictures.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    charts = draw_bands(training.over_seeds, len(training.runs), out, training.base["eval_loss"], look)
    scenario = next(iter(next(iter(training.runs.values())).results.values())).scenario
    leave_record(out, "train", scenario, [out / RESULTS, *charts])
    return charts
