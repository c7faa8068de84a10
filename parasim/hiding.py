"""Where communication is fully hidden: the least value of a swept quantity at which no client stalls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from parasim.api import Table, figures
from sim.errors import ScenarioError, UnitError
from sim.scenario_file import parse_value, with_field
from sim.studies.sweep import Axis, Point, Row
from sim.studies.threshold import least
from sim.units import bandwidth, format_bandwidth

_NEGLIGIBLE = 1e-9
"""Share of the wall-clock below which a stall is rounding."""


@dataclass(frozen=True)
class Hidden:
    """From where on a line's communication is hidden.

    Attributes
    ----------
    labels : dict
        The line: every swept field but the one along the axis.
    value : float
        Least value of the axis's quantity, bandwidths in [B/s].
    wall_clock : float
        Runtime there [s].
    """

    labels: Row
    value: float
    wall_clock: float


def numeric_axis(table: Table) -> Axis:
    """Return the swept quantity that a line chart runs along: the bandwidth, or the first one with numbers.

    Raises
    ------
    ScenarioError
        If nothing with numbers was swept.
    """
    candidates = [axis for axis in table.axes if len(axis.values) > 1 and all(map(_is_number, axis.values))]
    if not candidates:
        raise ScenarioError("--plot line: sweep a quantity with at least two values, such as --bandwidth 10MB/s,1GB/s")
    return next((axis for axis in candidates if axis.column == "bandwidth"), candidates[0])


def hiding_points(table: Table, axis: Axis) -> list[Hidden]:
    """Find, for each line of a chart along `axis`, where the stalls end.

    Only between two neighbouring runs of which one stalls and the other does not; a line that always or never
    stalls has no such point.
    """
    rates = axis.column == "bandwidth"
    read: Callable[[str], float] = bandwidth if rates else float
    write: Callable[[float], str] = format_bandwidth if rates else str
    whole = not rates and all(float(value).is_integer() for value in axis.values)
    found = []
    for labels, runs in _lines(table, axis):
        runs.sort(key=lambda run: read(run[1].labels[axis.column]))
        for (row, point), (next_row, _) in pairwise(runs):
            if _stalls(row) and not _stalls(next_row):

                def run_at(value: float, point: Point = point) -> Row:
                    data = point.data
                    for field in axis.fields:
                        data = with_field(data, field, parse_value(write(int(value) if whole else value)))
                    return {key: str(figure) for key, figure in figures(data).items()}

                bounds = (read(row[axis.column]), read(next_row[axis.column]))
                value = least(lambda value: not _stalls(run_at(value)), *bounds, whole=whole)
                found.append(Hidden(labels, value, float(run_at(value)["wall_clock_s"])))
    return found


def _lines(table: Table, axis: Axis) -> Iterator[tuple[Row, list[tuple[Row, Point]]]]:
    lines: dict[tuple[tuple[str, str], ...], list[tuple[Row, Point]]] = {}
    for row, point in zip(table.rows, table.points, strict=True):
        labels = tuple((column, value) for column, value in point.labels.items() if column != axis.column)
        lines.setdefault(labels, []).append((row, point))
    for labels, runs in lines.items():
        yield dict(labels), runs


def _stalls(row: Row) -> bool:
    return float(row["stalled_communication_s"]) > _NEGLIGIBLE * float(row["wall_clock_s"])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        try:
            bandwidth(text)
        except UnitError:
            return False
    return True
