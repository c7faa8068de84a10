"""Pages about what `paraSim plan` left: its answers, how they were checked, and its pictures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from parasim.cli.text import amount, clock
from parasim.figures.bars import StackedBar, bars_drawing
from parasim.report.charts import WALL_CLOCK, chart
from parasim.report.files import left, pictures, provenance_table, read_json, read_rows
from parasim.report.page import Page, Section, Table
from parasim.report.record import Record
from sim.units import duration

_MOST_ROWS, _MOST_NAMED = 200, 3
_ABOUT_NUMBERS = ("value_is", "input_unit")
"""What an answer says of its numbers, which does not tell it from others."""
_UNLIMITED = 999.9e12
"""The largest bandwidth that plans try [B/s], which they call unlimited."""


def plan_page(directory: Path, record: Record | None) -> Page:
    """Make the page about a directory of `paraSim plan`."""
    plan = read_json(directory / "plan.json")
    answers: list[dict[str, Any]] = plan["answers"]
    provenance = plan["provenance"]
    name = str(record.scenario.get("name", "")) if record is not None else ""
    return Page(
        title=f"{name}: plan" if name else "Plan",
        question=plan["question"],
        answer=[_sentence(answer) for answer in answers[:12]] or ["Nothing answers it."],
        sections=[
            _answers(answers),
            Section("Pictures", pictures=pictures(directory, record, {})),
            Section("Checked by simulation", paragraphs=plan["notes"], tables=_checks(answers, _deadline(record))),
            Section("Tables", tables=[_csv(path) for path in left(directory, record, ".csv")]),
        ],
        provenance=provenance_table(
            {
                what: about if isinstance(about, Mapping) else {"origin": "", "source": about}
                for what, about in provenance.items()
            }
        ),
    )


def _sentence(answer: Mapping[str, Any]) -> str:
    because = str(answer["because"]).rstrip(".")
    # Neither what is not needed nor what means nothing to a method has a value that could be told.
    if _nothing_needed(answer) or (answer["feasible"] and answer["value"] is None):
        return f"{_name(answer)}: {because}."
    head = f"{_name(answer)}: {_value(answer['value'], answer['unit']) if answer['feasible'] else 'not possible'}"
    return f"{head} – {because}." if because else f"{head}."


def _nothing_needed(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer has no value because there is nothing to hide, not because nothing hides it."""
    return not answer["feasible"] and answer["more"].get("in_the_way_s") == {}


def _answers(answers: list[dict[str, Any]]) -> Section:
    timed = [answer for answer in answers if answer["wall_clock_s"] is not None]
    table = Table(
        ("method", "possible", "answer", "wall-clock there", "because"),
        [
            (
                _name(answer),
                "yes" if answer["feasible"] else "not needed" if _nothing_needed(answer) else "no",
                _value(answer["value"], answer["unit"]),
                "-" if answer["wall_clock_s"] is None else clock(answer["wall_clock_s"]),
                answer["because"],
            )
            for answer in answers
        ],
    )
    if not timed:
        return Section("Answers", tables=[table])
    drawn = [
        StackedBar(f"{_name(a)}: {_value(a['value'], a['unit'])}", [float(a["wall_clock_s"])], clock(a["wall_clock_s"]))
        for a in timed
    ]
    draw = partial(bars_drawing, [WALL_CLOCK], drawn)
    description = "Wall-clock of each answer, by event simulation."
    return Section("Answers", charts=[chart("Wall-clock at the answers", description, draw, table)])


def _checks(answers: list[dict[str, Any]], deadline: float | None) -> list[Table]:
    late = [] if deadline is None else ["against the deadline"]
    rows = [
        (
            _name(answer),
            _value(check["value"], _unit_of_checks(answer)),
            _exactly(check["wall_clock_s"]),
            *([] if deadline is None else [_late(check["wall_clock_s"] - deadline)]),
            "yes" if check["holds"] else "no",
        )
        for answer in answers
        for check in answer["checked"]
    ]
    return [Table(("method", "with", "simulated wall-clock", *late, "is what was asked for"), rows)] if rows else []


def _deadline(record: Record | None) -> float | None:
    """Return the deadline that the command names [s]; None if it names none."""
    words = shlex.split(record.command) if record is not None else []
    given = [after for word, after in pairwise([*words, ""]) if word == "--within"]
    given += [word.removeprefix("--within=") for word in words if word.startswith("--within=")]
    # Of an option that is given twice, the command takes the last.
    return duration(given[-1]) if given else None


def _unit_of_checks(answer: Mapping[str, Any]) -> str:
    """Return the unit of what was varied, which for a sensitivity is an input, maybe a mere factor."""
    return answer["more"]["input_unit"] or "x" if "input_unit" in answer["more"] else answer["unit"]


def _exactly(seconds: float) -> str:
    """Write a duration so that it can be told from that of a neighbouring value."""
    text = clock(seconds)
    return text if text.endswith(" s") else f"{text} ({seconds:,.3f} s)"


def _late(seconds: float) -> str:
    return f"{clock(seconds)} late" if seconds > 0 else f"{clock(-seconds)} early" if seconds else "on the dot"


def _csv(path: Path) -> Table:
    rows = read_rows(path)
    more = f" The first {_MOST_ROWS} of {len(rows):,} rows." if len(rows) > _MOST_ROWS else ""
    head = list(rows[0]) if rows else ["no rows"]
    told = [[_cell(text) for text in row.values()] for row in rows[:_MOST_ROWS]]
    return Table(head, told, note=f"{path.name}, rounded.{more}")


def _cell(text: str) -> str:
    """Write a cell of a CSV file as people read it."""
    if text in ("True", "False"):
        return "yes" if text == "True" else "no"
    try:
        number = float(text)
    except ValueError:
        return text
    return f"{number:,.0f}" if abs(number) >= 1e5 else f"{number:.6g}"


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
    if unit == "s":
        return clock(value)
    if unit == "B/s" and value >= _UNLIMITED:
        return "unlimited"
    if unit in ("B/s", "B"):
        return amount(value, unit)
    if unit == "USD":
        return f"{value:,.2f} USD"
    return f"{value:,.6g} {unit}".rstrip()
