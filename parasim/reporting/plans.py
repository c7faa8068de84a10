"""What pages tell about what `paraSim plan` left: its answers, how they were checked, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from parasim.figures.bars import StackedBar, draw_bars
from parasim.planning.search.ranges import UNLIMITED
from parasim.reporting.charts import WALL_CLOCK, chart
from parasim.reporting.files import left, number, pictures, read_json, read_rows
from parasim.reporting.page import PageTable
from parasim.reporting.record import Record
from parasim.text import amount, clock

_MOST_ROWS, _MOST_NAMED = 200, 3
_ABOUT_NUMBERS = ("value_is", "input_unit")
"""What an answer says of its numbers, which does not tell it from others."""


def about_plan(directory: Path, record: Record) -> dict[str, Any]:
    """Read what the page about a directory of `paraSim plan` tells."""
    plan = read_json(directory / "plan.json")
    answers = [
        {
            **answer,
            "name": _name(answer),
            "value": _value(answer["value"], answer["unit"]),
            "because": str(answer["because"]).rstrip("."),
            "possible": "yes" if answer["feasible"] else "not needed" if _nothing_needed(answer) else "no",
            # Neither what is not needed nor what means nothing to a method has a value that could be told.
            "without_value": _nothing_needed(answer) or (answer["feasible"] and answer["value"] is None),
        }
        for answer in plan["answers"]
    ]
    rows = [(a["name"], a["possible"], a["value"], _value(a["wall_clock_s"], "s"), a["because"]) for a in answers]
    table = PageTable(("method", "possible", "answer", "wall-clock there", "because"), rows)
    timed = [(a, float(a["wall_clock_s"])) for a in answers if a["wall_clock_s"] is not None]
    bars = [StackedBar(f"{a['name']}: {a['value']}", [seconds], clock(seconds)) for a, seconds in timed]
    return {
        "title": f"{record.scenario['name']}: plan" if record.scenario.get("name") else "Plan",
        "question": plan["question"],
        "answers": answers,
        "table": table,
        "timed": chart(partial(draw_bars, parts=[WALL_CLOCK], bars=bars), table) if bars else None,
        "pictures": pictures(directory, record, {}),
        "notes": plan["notes"],
        "checks": _checks(plan["answers"]),
        "tables": [_csv(path) for path in left(directory, record, ".csv")],
        "provenance": plan["provenance"],
    }


def _nothing_needed(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer has no value because there is nothing to hide, not because nothing hides it."""
    return not answer["feasible"] and answer["more"].get("in_the_way_s") == {}


def _checks(answers: list[dict[str, Any]]) -> PageTable:
    rows = [
        (
            _name(answer),
            _value(check["value"], _unit_of_checks(answer)),
            # Digits that tell it from that of a neighbouring value, and from a deadline.
            f"{clock(check['wall_clock_s'])} ({check['wall_clock_s']:,.9g} s)",
            "yes" if check["holds"] else "no",
        )
        for answer in answers
        for check in answer["checked"]
    ]
    return PageTable(("method", "with", "simulated wall-clock", "is what was asked for"), rows)


def _unit_of_checks(answer: Mapping[str, Any]) -> str:
    """Return the unit of what was varied, which for a sensitivity is an input, maybe a mere factor."""
    return answer["more"]["input_unit"] or "x" if "input_unit" in answer["more"] else answer["unit"]


def _csv(path: Path) -> PageTable:
    rows = read_rows(path)
    more = f" The first {_MOST_ROWS} of {len(rows):,} rows." if len(rows) > _MOST_ROWS else ""
    head = list(rows[0]) if rows else ["no rows"]
    told = [[_cell(text) for text in row.values()] for row in rows[:_MOST_ROWS]]
    return PageTable(head, told, note=f"{path.name}, rounded.{more}")


def _cell(text: str) -> str:
    """Write a cell of a CSV file as people read it."""
    if text in ("True", "False"):
        return "yes" if text == "True" else "no"
    try:
        value = number(text)
    except ValueError:
        return text
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.6g}"


def _name(answer: Mapping[str, Any]) -> str:
    """Tell an answer from the others of its method: by whole numbers and names that belong to it, as a batch size."""
    more = answer.get("more", {}).items()
    told = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in more
        if isinstance(value, int | str) and value != "" and name not in _ABOUT_NUMBERS
    ]
    return ", ".join((answer["method"], *told[:_MOST_NAMED]))


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit in ("B/s", "B"):
        return "unlimited" if value >= UNLIMITED else amount(value, unit)
    if unit == "s":
        return clock(value)
    return f"{value:,.2f} USD" if unit == "USD" else f"{value:,.6g} {unit}".rstrip()
