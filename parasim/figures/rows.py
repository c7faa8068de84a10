"""Rows of results as pictures read them: the fields that name a run, then from `wall_clock_s` on its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parasim.figures.style import FigureError

Row = Mapping[str, Any]
"""One run."""


def check_columns(rows: Sequence[Row], wanted: Sequence[str]) -> None:
    """Make sure that there are rows, and that they have the columns that a picture needs, as the first has.

    Raises
    ------
    FigureError
        If there are no rows, or they lack a column.
    """
    if not rows:
        raise FigureError("nothing to draw: there are no rows")
    if missing := [column for column in wanted if column not in rows[0]]:
        raise FigureError(f"rows without {', '.join(missing)}; they have {', '.join(rows[0]) or 'nothing'}")


def swept_columns(rows: Sequence[Row]) -> list[str]:
    """Columns that tell rows apart: before the wall-clock, but where computing times come from is nobody's choice."""
    columns = list(rows[0])[: list(rows[0]).index("wall_clock_s")]
    return [name for name in columns if name != "compute_origin" and len({text(row, name) for row in rows}) > 1]


def text(row: Row, column: str) -> str:
    """A field as text; empty if it is missing."""
    value = row.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def pretty_name(column: str) -> str:
    """A field's name as a reader wants it: ``batch size``, ``local steps``."""
    return column.replace("_", " ").replace(".", " ")
