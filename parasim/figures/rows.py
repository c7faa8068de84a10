"""Rows of results as pictures read them: the fields that name a run, then from `wall_clock_s` on its figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from parasim.figures.look import USUAL, Look
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
    "count": "number of clients",
    "speed": "device speed",
    "blocks.layers": "layers per block",
    "blocks.count": "number of blocks",
    "blocks.schedule": "schedule of blocks",
    "local.steps": "local steps",
    "local.sequence_length": "tokens per sequence",
    "lora.rank": "LoRA rank",
    "participation.fraction": "share of clients per round",
    "server.ingress": "server's ingress",
    "server.egress": "server's egress",
    "server.aggregation": "time to aggregate",
    "method.staleness": "staleness",
    "method.buffer": "updates per aggregation",
    "method.over_selection": "over-selection",
    "payload.upload": "upload of a round",
    "payload.download": "download of a round",
    "bandwidth": "bandwidth of every client",
}
"""Fields as a reader wants them named; of others, words take the place of dots."""
_RATES = ("streams", "speed", "bandwidth")


def group_names(scenario: Mapping[str, Any]) -> dict[str, str]:
    """Name the groups of a scenario's plain data for `Look.labels`: a single one needs no name.

    Returns
    -------
    dict of str to str
        Names by ``fleet.`` and the number of the group.
    """
    fleet = scenario.get("fleet")
    groups = list(fleet) if isinstance(fleet, Sequence) else []
    names = {f"fleet.{number}": str(group.get("name") or f"group {number}") for number, group in enumerate(groups)}
    return names if len(names) > 1 else dict.fromkeys(names, "")


def pretty_name(column: str, look: Look = USUAL) -> str:
    """A field's name as a reader wants it: ``batch size``, ``packet loss (asia)``."""
    if column in look.labels:
        return look.labels[column]
    section, owner, field = _parts(column)
    if not field:
        return _short_name(column)
    kind = "region " if section == "regions" else "group " if owner.isdigit() else ""
    whose = look.labels.get(f"fleet.{owner}", f"{kind}{look.name(owner)}") if owner != "*" else "every client"
    return f"{_short_name(column)} ({whose})" if whose else _short_name(column)


def short_names(columns: Iterable[str], look: Look = USUAL) -> dict[str, str]:
    """Names of fields without whose they are, but where that tells two of them apart: ``packet loss``."""
    short = {column: look.labels.get(column, _short_name(column)) for column in columns}
    twice = Counter(short.values())
    return {column: pretty_name(column, look) if twice[name] > 1 else name for column, name in short.items()}


def is_rate(column: str) -> bool:
    """Tell whether runs take the longer the less there is of a field, as of a bandwidth."""
    return column.rpartition(".")[2] in _RATES


def _parts(column: str) -> tuple[str, str, str]:
    """Section of a field, whose it is and what it is, or empty texts if it is nobody's."""
    section, _, rest = column.partition(".")
    owner, _, field = rest.partition(".")
    return (section, owner, field) if section in ("fleet", "regions") and field else ("", "", "")


def _short_name(column: str) -> str:
    field = _parts(column)[2] or column
    return _NAMES.get(field, field.replace("_", " ").replace(".", " "))


def pretty_value(column: str, value: str, look: Look = USUAL) -> str:
    """Write a field's value as a reader wants it: a name as it should appear, a space between number and unit."""
    if value in look.labels:
        return look.labels[value]
    if column == "model":
        return model_name(value)
    if value in ("null", "~") and column.startswith("fleet."):
        return "none"
    value = value.removeprefix("{").removesuffix("}").replace(": ", " ")
    return re.sub(r"^([0-9.]+)(?=[a-zA-Z%])", r"\1 ", value) or "as given"


def model_name(model: str) -> str:
    """A model's name: of a file, that of its folder, as files are all called ``config.json``."""
    if not model.endswith(".json"):
        return model.rstrip("/").rpartition("/")[2]
    path = PurePath(model)
    return path.parent.name if path.stem == "config" and path.parent.name else path.stem
