"""Pages about what `paraSim train` left: loss against rounds and against time, and what clients did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parasim.cli.text import amount, clock
from parasim.figures.bars import StackedBar, bars_drawing
from parasim.figures.training import training_drawing
from parasim.report.charts import WALL_CLOCK, chart
from parasim.report.files import pictures, read_json, read_rows
from parasim.report.page import Chart, Page, Section, Table, joined
from parasim.report.record import Record
from parasim.report.timelines import timeline_section

_TITLES = {"partition": "Who had which examples"}

Row = Mapping[str, str]


def training_page(directory: Path, record: Record | None) -> Page:
    """Make the page about a directory of `paraSim train`."""
    rows = read_rows(directory / "metrics.csv")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    last = {method: [row for row in rows if row["method"] == method][-1] for method in methods}
    name = str(record.scenario.get("name", "")) if record is not None else ""
    timelines = [
        section
        for method in methods
        for section in timeline_section(directory / method, record, f"Timeline of {method}")
    ]
    return Page(
        title=f"{name or 'Training'}: {joined(methods)}",
        question=f"How well do {joined(methods)} learn, and how long do they take?"
        if len(methods) > 1
        else f"How well does {methods[0]} learn, and how long does it take?",
        answer=[_sentence(method, row) for method, row in last.items()],
        sections=[
            Section("Loss", charts=[_losses(rows, _base(directory))]),
            Section("Wall-clock", charts=[_times(last)]),
            *timelines,
            Section(
                "Pictures", pictures=[p for p in pictures(directory, record, _TITLES) if p.title in _TITLES.values()]
            ),
        ],
        provenance=Table(
            ("what", "origin", "source"),
            [
                ("losses and accuracy", "measured", "real training; held-out examples no client trained on"),
                ("computing times", "measured", "here, as the updates were computed, unless --clock profile was given"),
                ("message sizes", "counted", "the values that were sent"),
                ("transfer times", "simulated", "max-min fair fluid sharing of a star"),
            ],
        ),
        scenario_note="The scenario above is the first method's. Computing times are measured anew in every training.",
    )


def _base(directory: Path) -> float | None:
    """Held-out loss of the base, where every curve begins, if the training left it."""
    path = directory / "base.json"
    return float(read_json(path)["eval_loss"]) if path.exists() else None


def _sentence(method: str, row: Row) -> str:
    told = [f"training loss {float(row['train_loss']):.4f}"]
    if row["eval_loss"]:
        told.insert(0, f"held-out loss {float(row['eval_loss']):.4f}")
    if row["accuracy"]:
        told.append(f"accuracy {float(row['accuracy']):.1%}")
    when = f"{clock(float(row['simulated_s']))} and {int(row['round']) + 1:,} rounds"
    return f"{method} ends after {when} with {joined(told)}."


def _losses(rows: Sequence[Row], base: float | None) -> Chart:
    measured = [row for row in rows if row["eval_loss"]]
    column, name = ("eval_loss", "held-out loss") if measured else ("train_loss", "training loss")
    drawn: list[dict[str, Any]] = [{**row, column: float(row[column])} for row in measured or rows]
    told = [
        (row["method"], str(int(row["round"]) + 1), clock(float(row["simulated_s"])), f"{row[column]:.4f}")
        for row in drawn
    ]
    table = Table(("method", "round", "wall-clock", name), told, numbers=3)
    draw = partial(training_drawing, drawn, column, base if measured else None)
    description = f"The {name} of each method against rounds and against simulated time; the table has the numbers."
    return chart(f"{name.capitalize()} against rounds and simulated wall-clock", description, draw, table)


def _times(last: Mapping[str, Row]) -> Chart:
    seconds = {method: float(row["simulated_s"]) for method, row in last.items()}
    told = [
        (method, clock(seconds[method]), *(amount(float(row[f"{way}_bytes"])) for way in ("uploaded", "downloaded")))
        for method, row in last.items()
    ]
    table = Table(("method", "wall-clock", "uploaded", "downloaded"), told, numbers=3)
    drawn = [StackedBar(method, [time], clock(time)) for method, time in seconds.items()]
    draw = partial(bars_drawing, [WALL_CLOCK], drawn)
    return chart("Wall-clock of the training", "Simulated wall-clock of each method.", draw, table)
