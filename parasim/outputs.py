"""What runs leave in a folder: the same files whether a command's ``--out`` or `out` from Python named it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.contracts import stamped
from parasim.deadlines import times_of
from parasim.figures.look import USUAL, Look
from parasim.reporting.record import leave_record
from parasim_core.sim.analysis.critical_path import critical_path
from parasim_core.sim.analysis.failing import write_failures
from parasim_core.sim.support.atomic_files import write_json, write_rows

if TYPE_CHECKING:
    from parasim.planning.answer import Plan
    from parasim.seeds import SeededComparison
    from parasim.sweeping import Plot, Table
    from parasim.training import TrainedComparison
    from parasim_core.sim.analysis.explain import Explanation
    from parasim_core.sim.engine.result import Result

_PLAN_COLUMNS = ("feasible", "value", "unit", "wall_clock_s")


def simulated(result: Result, times: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a run as `paraSim simulate --format json` prints it.

    Parameters
    ----------
    result : Result
        The run.
    times : mapping, optional
        What the calendar and a deadline say (`parasim.deadlines.times_of`); that of the scenario's start if None.
    """
    from parasim.links import run_summary

    told = times_of(result.scenario.starts, None, result.wall_clock) if times is None else times
    return stamped("simulate", run_summary(result) | dict(told), result.scenario)


def leave_simulation(
    result: Result,
    out: Path,
    *,
    times: Mapping[str, Any] | None = None,
    timeline: bool = True,
    collapse: bool = False,
    look: Look = USUAL,
) -> list[Path]:
    """Write ``result.json`` and a breakdown; with its timeline, also ``timeline.csv`` and a Gantt chart.

    Parameters
    ----------
    result : Result
        The run.
    out : Path
        The folder; made if it is not there.
    times : mapping, optional
        As in `simulated`.
    timeline : bool
        Whether the timeline is written.
    collapse : bool
        One set of its rows per group of alike clients.
    look : Look
        How pictures are wanted.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    from parasim.figures.breakdown import draw_breakdown
    from parasim.figures.gantt import draw_gantt

    files = [out / "result.json"]
    if timeline:
        files.insert(0, out / "timeline.csv")
        result.write_timeline(files[0], collapse=collapse)
    write_json(out / "result.json", simulated(result, times))
    files += write_failures(result, out)
    if result.wall_clock:
        files += draw_breakdown(result, out, look)
        files += draw_gantt(result, critical_path(result), out, look=look) if timeline else []
    leave_record(out, "simulate", result.scenario, files)
    return files


def explained(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as `paraSim explain --format json` prints it."""
    from parasim.explanation import summary

    run = explanation.result
    return stamped("explain", summary(explanation) | times_of(run.scenario.starts, None, run.wall_clock), run.scenario)


def leave_explanation(explanation: Explanation, out: Path, look: Look = USUAL) -> list[Path]:
    """Write the critical path, the timeline with its picture, ``explanation.json`` and ``result.json``.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    from parasim.explanation import write_path
    from parasim.figures.gantt import draw_gantt

    names = ("critical_path.csv", "timeline.csv", "explanation.json", "result.json")
    path, timeline, why, run = files = [out / name for name in names]
    write_path(explanation, path)
    explanation.result.write_timeline(timeline)
    write_json(why, explained(explanation))
    write_json(run, simulated(explanation.result))
    files += write_failures(explanation.result, out)
    files += draw_gantt(explanation.result, explanation.path, out, look=look)
    leave_record(out, "explain", explanation.result.scenario, files)
    return files


def draw_sweep(table: Table, directory: Path, look: Look = USUAL, *, kind: Plot = "bar") -> list[Path]:
    """Draw a sweep, and return the files.

    Raises
    ------
    ParaSimError
        If it is to be lines, and not one axis with numbers was swept; or a file cannot be written.
    """
    from parasim.figures.line import draw_line
    from parasim.figures.rows import group_names
    from parasim.figures.runtime import draw_runtime
    from parasim.hiding import hiding_points
    from parasim.sweeping import numeric_axis

    look = replace(look, labels={**group_names(table.points[0].data), **look.labels})
    if kind == "bar":
        return draw_runtime(table.rows, directory, look)
    axis = numeric_axis(table.axes)
    return draw_line(table.rows, axis.column, directory, hidden=hiding_points(table, axis), look=look)


def leave_sweep(table: Table, out: Path, plot: Plot = "bar", look: Look = USUAL) -> list[Path]:
    """Draw a sweep whose rows are in a folder already, and say there how they were made; return the pictures.

    Raises
    ------
    ParaSimError
        As `draw_sweep`.
    """
    charts = draw_sweep(table, out, look, kind=plot)
    leave_record(out, "sweep", table.points[0].data, [out / "results.csv", out / "sweep.json", *charts])
    return charts


def planned(plan: Plan) -> dict[str, Any]:
    """Return a plan as `paraSim plan --format json` prints it."""
    return stamped("plan", {"asked": dict(plan.asked), **plan.summary()}, plan.scenario)


def leave_plan(plan: Plan, out: Path, look: Look = USUAL) -> list[Path]:
    """Write ``plan.json``, which holds what was found, the table as ``plan.csv``, and the picture.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    files = [out / "plan.json", out / "plan.csv"]
    write_json(files[0], planned(plan))
    rows = [
        (one.method, *(getattr(one, column) for column in _PLAN_COLUMNS), *one.row, one.because) for one in plan.answers
    ]
    write_rows(files[1], ("method", *_PLAN_COLUMNS, *plan.columns, "because"), rows)
    files += plan.draw(out, look) if plan.draw is not None else ()
    leave_record(out, "plan", plan.scenario, files)
    return files


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
    from parasim.figures.training import draw_partition, draw_training

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
    from parasim.figures.bands import draw_bands
    from parasim.seeds import RESULTS

    charts = draw_bands(training.over_seeds, len(training.runs), out, training.base["eval_loss"], look)
    scenario = next(iter(next(iter(training.runs.values())).results.values())).scenario
    leave_record(out, "train", scenario, [out / RESULTS, *charts])
    return charts
