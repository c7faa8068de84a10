"""What a simulated run leaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parasim.contracts import stamped
from parasim.deadlines import times_of
from parasim.figures.breakdown import draw_breakdown
from parasim.figures.gantt import draw_gantt
from parasim.figures.look import USUAL, Look
from parasim.links import run_summary
from parasim.reporting.record import leave_record
from parasim_core.sim.analysis.critical_path import critical_path
from parasim_core.sim.analysis.failing import write_failures
from parasim_core.sim.engine.result import Result
from parasim_core.sim.support.atomic_files import write_json


def simulated(result: Result, times: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a run as `paraSim simulate --format json` prints it.

    Parameters
    ----------
    result : Result
        The run.
    times : mapping, optional
        What the calendar and a deadline say (`parasim.deadlines.times_of`); that of the scenario's start if None.
    """
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
