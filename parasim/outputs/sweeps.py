"""What a sweep leaves beside its rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from parasim.figures.line import draw_line
from parasim.figures.look import USUAL, Look
from parasim.figures.rows import group_names
from parasim.figures.runtime import draw_runtime
from parasim.hiding import hiding_points
from parasim.reporting.record import leave_record
from parasim.sweep_table import Plot, Table, numeric_axis


def draw_sweep(table: Table, directory: Path, look: Look = USUAL, *, kind: Plot = "bar") -> list[Path]:
    """Draw a sweep, and return the files.

    Raises
    ------
    ParaSimError
        If it is to be lines, and not one axis with numbers was swept; or a file cannot be written.
    """
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
