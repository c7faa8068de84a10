"""Pages about what `paraSim plan` left: its answers, how they were checked, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parasim.cli.text import amount, clock
from parasim.report.charts import Bar, Part, bars
from parasim.report.files import pictures, provenance_table, read_json, read_rows
from parasim.report.page import Page, Section, Table
from parasim.report.record import Record

_TIME = Part("wall-clock", "compute")
_MOST_ROWS, _MOST_NAMED = 200, 3


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
            Section("Pictures", pictures=pictures(directory, {})),
            Section("Checked by simulation", paragraphs=plan["notes"], tables=_checks(answers)),
            Section("Tables", tables=[_csv(path) for path in sorted(directory.glob("*.csv"))]),
        ],
        provenance=provenance_table(
            {
                what: about if isinstance(about, Mapping) else {"origin": "", "source": about}
                for what, about in provenance.items()
            }
        ),
    )


def _sentence(answer: Mapping[str, Any]) -> str:
    head = f"{_name(answer)}: {_value(answer['value'], answer['unit']) if answer['feasible'] else 'not possible'}"
    because = str(answer["because"]).rstrip(".")
    return f"{head} – {because}." if because else f"{head}."


def _answers(answers: list[dict[str, Any]]) -> Section:
    timed = [answer for answer in answers if answer["wall_clock_s"] is not None]
    table = Table(
        ("method", "possible", "answer", "wall-clock there", "because"),
        [
            (
                _name(answer),
                "yes" if answer["feasible"] else "no",
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
        Bar(f"{_name(a)}: {_value(a['value'], a['unit'])}", [float(a["wall_clock_s"])], clock(a["wall_clock_s"]))
        for a in timed
    ]
    description = "Wall-clock of each answer, by event simulation."
    return Section("Answers", figures=[bars("Wall-clock at the answers", description, [_TIME], drawn, table)])


def _checks(answers: list[dict[str, Any]]) -> list[Table]:
    rows = [
        (
            _name(answer),
            _value(check["value"], answer["unit"]),
            clock(check["wall_clock_s"]),
            "yes" if check["holds"] else "no",
        )
        for answer in answers
        for check in answer["checked"]
    ]
    return [Table(("method", "with", "simulated wall-clock", "is what was asked for"), rows)] if rows else []


def _csv(path: Path) -> Table:
    rows = read_rows(path)
    more = f" The first {_MOST_ROWS} of {len(rows):,} rows." if len(rows) > _MOST_ROWS else ""
    head = list(rows[0]) if rows else ["no rows"]
    return Table(head, [list(row.values()) for row in rows[:_MOST_ROWS]], note=f"{path.name}.{more}")


def _name(answer: Mapping[str, Any]) -> str:
    """Tell an answer from the others of its method: by whole numbers and names that belong to it, as a batch size."""
    more = answer.get("more", {}).items()
    told = [f"{name.replace('_', ' ')} {value}" for name, value in more if isinstance(value, int | str) and value != ""]
    return ", ".join((answer["method"], *told[:_MOST_NAMED]))


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "s":
        return clock(value)
    if unit in ("B/s", "B"):
        return amount(value, unit)
    if unit == "USD":
        return f"{value:,.2f} USD"
    return f"{value:,.6g} {unit}".rstrip()
