"""Rows of results as pictures read them: the fields that name a run, then from `wall_clock_s` on its figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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


_NAMES = {
    "transport.loss": "packet loss",
    "transport.streams": "parallel streams",
    "transport.window": "TCP window",
    "transport.control": "congestion control",
    "transport.acknowledgements": "share of acknowledgements",
    "transport": "TCP",
    "latency": "latency, one way",
    "site.clients": "clients per site",
    "site.uplink": "uplink of sites",
    "site.downlink": "downlink of sites",
}
"""Fields of links as a reader wants them named."""


def pretty_name(column: str) -> str:
    """A field's name as a reader wants it: ``batch size``, ``packet loss (asia)``."""
    if column == "bandwidth":
        return "bandwidth of every client"
    section, _, rest = column.partition(".")
    owner, _, field = rest.partition(".")
    if section in ("fleet", "regions") and field:
        kind = "region " if section == "regions" else "group " if owner.isdigit() else ""
        return f"{_short_name(column)} ({'every client' if owner == '*' else kind + owner})"
    return _short_name(column)


def short_names(columns: Iterable[str]) -> dict[str, str]:
    """Names of fields without whose they are, but where that tells two of them apart: ``packet loss``."""
    short = {column: _short_name(column) for column in columns}
    twice = Counter(short.values())
    return {column: pretty_name(column) if twice[name] > 1 else name for column, name in short.items()}


def _short_name(column: str) -> str:
    section, _, rest = column.partition(".")
    field = rest.partition(".")[2] if section in ("fleet", "regions") else ""
    return _NAMES.get(field or column, (field or column).replace("_", " ").replace(".", " "))


def pretty_value(column: str, value: str) -> str:
    """Write a field's value as a reader wants it: a space between number and unit, a section without its braces."""
    if column == "bandwidth":
        value = re.sub(r"(?<=[0-9.])(?=[a-zA-Z])", " ", value, count=1)
    if value in ("null", "~") and column.startswith("fleet."):
        return "none"
    return value.removeprefix("{").removesuffix("}").replace(": ", " ") or "as given"
