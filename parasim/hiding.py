"""Where communication is fully hidden: the value of a swept quantity at which clients begin or cease to stall."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import itemgetter
from typing import Any

from parasim.sweep_table import Table, figures
from parasim_core.sim.analysis.deadline_search import decimals
from parasim_core.sim.analysis.sweep import Axis, Row, SweepPoint
from parasim_core.sim.scenario.reading import with_field
from parasim_core.sim.scenario.units import quantity

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


def hiding_points(table: Table, axis: Axis) -> list[Hidden]:
    """Find, for each line of a chart along `axis`, where the stalls end, or from where on they begin.

    Only between two neighbouring runs of which one stalls and the other does not; a line that always or never
    stalls has no such point. What is found is the last whole number, or number of four digits, that hides.
    """
    unit = quantity(axis.values[0])[1]
    whole = not unit and all(float(value).is_integer() for value in axis.values)
    lines: dict[tuple[tuple[str, str], ...], list[tuple[float, bool, SweepPoint]]] = {}
    for row, point in zip(table.rows, table.points, strict=True):
        labels = tuple((column, value) for column, value in point.labels.items() if column != axis.column)
        lines.setdefault(labels, []).append((quantity(row[axis.column])[0], _stalls(row), point))
    found = []
    for labels, runs in lines.items():
        for (low, before, point), (high, after, _) in pairwise(sorted(runs, key=itemgetter(0))):
            if before == after:
                continue

            def run_at(value: float, data: dict[str, Any] = point.data) -> Row:
                written = int(value) if whole else f"{value!r}{unit}" if unit else value
                changed = reduce(lambda data, field: with_field(data, field, written), axis.fields, data)
                return {key: str(figure) for key, figure in figures(changed, failures=False).items()}

            powers = math.floor(math.log10(low)), math.floor(math.log10(high)) + 1
            between: Sequence[float] = range(int(low) + 1, int(high))
            if not whole:
                between = [number for number in decimals(*powers) if low < number < high]
            changes = bisect_left(between, True, key=lambda value: _stalls(run_at(value)) != before)
            # The last value that hides: before the change, or the one that it brings.
            value = [low, *between, high][changes + before]
            found.append(Hidden(dict(labels), value, float(run_at(value)["wall_clock_s"]), until=not before))
    return found


def _stalls(row: Row) -> bool:
    return float(row["stalled_communication_s"]) > _NEGLIGIBLE * float(row["wall_clock_s"])
