"""Where communication is fully hidden: the value of a swept quantity at which clients begin or cease to stall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from parasim.sweeping import Table, figures
from sim.analysis.bisect import bisect
from sim.analysis.sweep import Axis, Row, SweepPoint
from sim.errors import ScenarioError, UnitError
from sim.scenario.reading import with_field
from sim.scenario.units import quantity

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
        The axis's quantity there, in base units: of whole numbers, the least or the largest that is hidden.
    wall_clock : float
        Runtime there [s].
    until : bool
        Whether communication is hidden up to here, instead of from here on.
    """

    labels: Row
    value: float
    wall_clock: float
    until: bool


def numeric_axis(axes: Sequence[Axis]) -> Axis:
    """Return the swept quantity that a line chart runs along: the bandwidth, or the first one with numbers.

    Raises
    ------
    ScenarioError
        If nothing with numbers was swept.
    """
    candidates = [axis for axis in axes if len(axis.values) > 1 and all(map(_is_quantity, axis.values))]
    if not candidates:
        raise ScenarioError("--plot line: sweep a quantity with at least two values, such as --bandwidth 10MB/s,1GB/s")
    return next((axis for axis in candidates if axis.column == "bandwidth"), candidates[0])


def hiding_points(table: Table, axis: Axis) -> list[Hidden]:
    """Find, for each line of a chart along `axis`, where the stalls end, or from where on they begin.

    Only between two neighbouring runs of which one stalls and the other does not; a line that always or never
    stalls has no such point.
    """
    unit = quantity(axis.values[0])[1]
    whole = not unit and all(float(value).is_integer() for value in axis.values)
    found = []
    for labels, runs in _lines(table, axis):
        runs.sort(key=lambda run: quantity(run[1].labels[axis.column])[0])
        for (row, point), (next_row, _) in pairwise(runs):
            if _stalls(row) != _stalls(next_row):

                def run_at(value: float, point: SweepPoint = point) -> Row:
                    data = point.data
                    for field in axis.fields:
                        data = with_field(data, field, int(value) if whole else f"{value!r}{unit}" if unit else value)
                    return {key: str(figure) for key, figure in figures(data).items()}

                bounds = (quantity(row[axis.column])[0], quantity(next_row[axis.column])[0])
                before = _stalls(row)
                value = bisect(lambda value: _stalls(run_at(value)) != before, *bounds, whole=whole)  # noqa: B023
                # The least whole number that stalls follows the largest one that does not.
                value -= whole and not before
                found.append(Hidden(labels, value, float(run_at(value)["wall_clock_s"]), until=not before))
    return found


def _lines(table: Table, axis: Axis) -> Iterator[tuple[Row, list[tuple[Row, SweepPoint]]]]:
    lines: dict[tuple[tuple[str, str], ...], list[tuple[Row, SweepPoint]]] = {}
    for row, point in zip(table.rows, table.points, strict=True):
        labels = tuple((column, value) for column, value in point.labels.items() if column != axis.column)
        lines.setdefault(labels, []).append((row, point))
    for labels, runs in lines.items():
        yield dict(labels), runs


def _stalls(row: Row) -> bool:
    return float(row["stalled_communication_s"]) > _NEGLIGIBLE * float(row["wall_clock_s"])


def _is_quantity(text: str) -> bool:
    try:
        return quantity(text)[0] > 0
    except UnitError:
        return False
