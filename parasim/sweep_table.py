"""The table of a sweep, and a row of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from parasim.api import load, simulate
from parasim.figures.look import USUAL, Look
from parasim.figures.picture import Picture, picture
from parasim.memory_notes import COLUMN, cell, memory_of_rows, memory_said
from parasim.scenario_changes import field_changes
from parasim.text import BAND_COLUMNS, band_figures, origin_said
from parasim_core.sim.analysis.sweep import Axis, Row, SweepPoint
from parasim_core.sim.errors import ScenarioError, UnitError
from parasim_core.sim.scenario.units import quantity
from parasim_core.sim.support.frames import frame

if TYPE_CHECKING:
    import pandas as pd

_FEW_UPDATES = 10_000
"""Timelines of runs with fewer updates are kept."""

Plot = Literal["bar", "line"]
"""What a sweep is drawn as: bars, or lines over the swept quantity."""


class DrawTable(Protocol):
    """Draws a sweep."""

    def __call__(self, table: Table, directory: Path, look: Look, *, kind: Plot) -> Sequence[Path]:
        """Write its files into a directory, and return them."""


@dataclass(frozen=True, repr=False)
class Table:
    """The rows of a sweep.

    Attributes
    ----------
    rows : list of dict
        One per run: the swept fields, then its figures, as text as in results.csv.
    axes : tuple of Axis
        What was swept.
    points : list of SweepPoint
        The scenario of each row.
    notes : sequence of str
        What else the user should know of what was swept, a sentence each.
    pictures : sequence of Path
        What was drawn of it, if it has a folder.
    draw : callable, optional
        Draws it into a folder, and returns the files.
    """

    rows: list[Row]
    axes: tuple[Axis, ...]
    points: list[SweepPoint]
    notes: Sequence[str] = ()
    pictures: Sequence[Path] = ()
    draw: DrawTable | None = None

    @property
    def memory(self) -> list[str]:
        """What is said of clients' memory, a sentence each: the column of that name, what is alike merged."""
        return memory_of_rows(self.rows, [axis.column for axis in self.axes])

    def summary(self) -> dict[str, Any]:
        """Everything as plain data, numbers as numbers, as `paraSim sweep --format json` prints it."""
        first, columns = self.points[0].data, self._columns()
        return {
            "swept": [asdict(axis) for axis in self.axes],
            "rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
            "sets": [{one.field: one.after for one in field_changes(first, point.data)} for point in self.points],
            "notes": [*self.notes],
        }

    def __repr__(self) -> str:
        """Show the rows as a data frame does."""
        return repr(self.to_dataframe())

    def to_dataframe(self) -> pd.DataFrame:
        """Return the rows as a DataFrame of numbers, quantities in base units; ``attrs["units"]`` says which."""
        columns, units = self._columns(), dict[str, str]()
        for name, values in columns.items():
            if found := _quantities(values):
                columns[name], units[name] = found
        rows = ({name: values[row] for name, values in columns.items()} for row in range(len(self.rows)))
        return frame(rows, columns, units)

    def plot(self, kind: Plot = "bar", look: Look = USUAL) -> Picture:
        """Draw the table: as bars, or as lines over the swept quantity. The picture shows itself in a notebook.

        Parameters
        ----------
        kind : str
            ``bar`` or ``line``.
        look : Look
            How it is wanted.

        Raises
        ------
        ParaSimError
            If it is to be lines, and nothing with numbers was swept.
        """
        assert self.draw is not None
        return picture(partial(self.draw, self, kind=kind), look)

    def _columns(self) -> dict[str, list[Any]]:
        """Values by column, those of numbers as such."""
        columns: dict[str, list[Any]] = {}
        for row in self.rows:
            for name, text in row.items():
                columns.setdefault(name, []).append(text)
        return {name: _numbers(texts) for name, texts in columns.items()}


def figures(data: dict[str, Any], *, failures: bool, banded: bool = False) -> dict[str, object]:
    """Simulate plain data and return one row: the run's figures, the origin of computing times, what memory lacks.

    Parameters
    ----------
    data : dict
        The scenario.
    failures : bool
        With the figures of failures in any case, as other rows have them.
    banded : bool
        With the ends of the band of predicted times in any case, as other rows have them: those of times that are not
        predicted, or of a band without ends, are the wall-clock itself.
    """
    scenario = load(data)
    # An outline takes less memory than a timeline, and more time.
    result = simulate(scenario, timeline=scenario.clients * scenario.rounds < _FEW_UPDATES)
    compute = result.provenance["compute"]
    assert isinstance(compute, dict)
    ends = dict.fromkeys(BAND_COLUMNS, result.wall_clock) | band_figures(result.provenance) if banded else {}
    return {
        **result.figures(failures=failures),
        **ends,
        "compute_origin": origin_said(compute),
        COLUMN: cell(memory_said(result.provenance)),
    }


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


def _numbers(texts: list[str]) -> list[Any]:
    """Values of a column: numbers, if all of them are, whole ones if all of them are."""
    for kind in (int, float):
        try:
            return [kind(text) for text in texts]
        except ValueError:
            pass
    return texts


def _quantities(values: list[Any]) -> tuple[list[float], str] | None:
    """Take apart texts that are all quantities of one unit: the numbers, in it, and the unit."""
    try:
        found = [quantity(value) for value in values if isinstance(value, str)]
    except UnitError:
        return None
    units = {unit for _, unit in found}
    if len(found) < len(values) or len(units) != 1 or "" in units:
        return None
    return [number for number, _ in found], units.pop()


def _is_quantity(text: str) -> bool:
    try:
        return quantity(text)[0] > 0
    except UnitError:
        return False
