"""`paraSim diff`: last night's result against tonight's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from parasim.cli.options import PlainFormat, print_json
from parasim.contracts import stamped
from parasim.difference import RUN_FIGURES, Changed, Difference, diff
from parasim.text import alike, amount, clock, console, plain_table, signed_share
from parasim_core.sim.errors import brief
from parasim_core.sim.scenario.reading import called

Side = "Folder of results (--out), a result as JSON, or a scenario; - is standard input."
_UNITS = {"seconds": "s", "bytes": "B"}
"""Units of numbers by a word in their field; other quantities are written with theirs."""
_LONGEST = 60
"""Characters of a value of a field."""
_MOST_ROWS = 200
"""Rows that a terminal is shown; JSON has them all."""
_NO_CHANGE = 0.05
"""Seconds below which a share of the critical path is not worth a line."""


def command(
    a: Annotated[str, typer.Argument(metavar="A", help=Side)],
    b: Annotated[str, typer.Argument(metavar="B", help=Side)],
    format_: PlainFormat = "table",
) -> None:
    """Compare two results: what differs, and why.

    Runs, sweeps, plans and trainings are compared with their like; scenarios are simulated.

    Example: paraSim diff results/last-night results/tonight
    """
    found = diff(a, b)
    if format_ == "json":
        print_json(stamped("diff", found.summary()))
    else:
        print_difference(found)


def print_difference(found: Difference) -> None:
    """Print what differs: the scenario, figures or rows, the critical path, and what that tells."""
    out = console()
    for name, side in (("A", found.a), ("B", found.b)):
        out.print(f"{name}: {called(side.source)} (paraSim {side.version})")
    out.print()
    if found.fields:
        table = plain_table("scenario", "A", "B")
        for one in found.fields:
            table.add_row(one.field, _given(one.field, one.before), _given(one.field, one.after))
        out.print(table, "")
    figures = [one for one in found.figures if one.differs]
    if figures:
        _print_figures("answer", [(RUN_FIGURES[one.name], one) for one in figures])
    path = [(one.name, one) for _, one in found.path if abs(one.change or 0.0) >= _NO_CHANGE]
    if path:
        _print_figures("critical path", path)
    if found.rows:
        _print_rows(found)
    out.print(*found.sentences, sep="\n")


def _print_figures(heading: str, named: Sequence[tuple[str, Changed]]) -> None:
    """Print figures of both, in the unit that suits each, and how they change."""
    table = plain_table(heading, ">A", ">B", ">change", ">")
    for name, one in named:
        table.add_row(name, *_written(one))
    console().print(table, "")


def _written(one: Changed) -> tuple[str, str, str, str]:
    """Write a figure of both, how it changes, and by which share."""
    if one.change is None:
        return _cell(one.before), _cell(one.after), "", ""
    if one.unit == "s":
        sizes: list[Any] = alike([clock(one.before), clock(one.after), clock(abs(one.change))])
    else:
        sizes = [amount(size, one.unit) for size in (one.before, one.after, abs(one.change))]
    sign = "+" if one.change > 0 else "-"
    share = signed_share(one.change / one.before) if one.before else ""
    return str(sizes[0]), str(sizes[1]), f"{sign}{sizes[2]}", share


def _print_rows(found: Difference) -> None:
    labels = list(dict.fromkeys(name for row in found.rows for name, _ in row.of))
    values = {name: {dict(row.of).get(name, "") for row in found.rows} for name in labels}
    # What is the same in all rows need not be told in each.
    labels = [name for name in labels if len(values[name]) > 1] or labels[-1:]
    table = plain_table(*(name.replace("_", " ") for name in labels), "figure", ">A", ">B", ">change", ">")
    lines = 0
    for row in found.rows:
        own = [dict(row.of).get(name, "") for name in labels]
        if row.only_in is not None:
            table.add_row(*own, f"only in {row.only_in.upper()}", "", "", "", "")
            lines += 1
        for one in row.figures if row.only_in is None else ():
            table.add_row(*own, RUN_FIGURES.get(one.name, one.name.replace("_", " ")), *_written(one))
            lines += 1
        if lines >= _MOST_ROWS:
            break
    out = console()
    out.print(table, "")
    if lines >= _MOST_ROWS:
        out.print(f"Only the first rows are shown, of {len(found.rows):,}; --format json has them all.")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return (
        ("yes" if value else "no")
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _given(field: str, value: object) -> str:
    """Write the value of a field as a file would, and the unit of a number that has none there."""
    if value is None:
        return "-"
    if isinstance(value, float):
        unit = next((unit for name, unit in _UNITS.items() if name in field), "")
        return f"{value:g} {unit}".rstrip()
    if isinstance(value, dict):
        value = {name: given for name, given in value.items() if given not in (None, "", [], {})}
    text = value if isinstance(value, str) else json.dumps(value)
    return brief(text, _LONGEST)
