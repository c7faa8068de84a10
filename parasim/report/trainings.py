"""Pages about what `paraSim train` left: loss against rounds and against time, and what clients did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from parasim.report.charts import Bar, Part, bars, joined, lines
from parasim.report.files import pictures, read_rows
from parasim.report.page import Figure, Page, Section, Table
from parasim.report.record import Record
from parasim.report.timelines import timeline_section
from parasim.text import amount, clock

_TIME = Part("wall-clock", "compute")
_TITLES = {"training": "Held-out loss", "partition": "Who had which examples"}

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
            Section("Loss", figures=_curves(rows, methods)),
            Section("Wall-clock", figures=[_times(last)]),
            *timelines,
            Section("Pictures", pictures=pictures(directory, record, _TITLES)),
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


def _sentence(method: str, row: Row) -> str:
    told = [f"training loss {float(row['train_loss']):.4f}"]
    if row["eval_loss"]:
        told.insert(0, f"held-out loss {float(row['eval_loss']):.4f}")
    if row["accuracy"]:
        told.append(f"accuracy {float(row['accuracy']):.1%}")
    when = f"{clock(float(row['simulated_s']))} and {int(row['round']) + 1:,} rounds"
    return f"{method} ends after {when} with {joined(told)}."


def _curves(rows: Sequence[Row], methods: Sequence[str]) -> list[Figure]:
    measured = [row for row in rows if row["eval_loss"]]
    column, name = ("eval_loss", "held-out loss") if measured else ("train_loss", "training loss")
    table = Table(
        ("method", "round", "wall-clock", name),
        [
            (row["method"], str(int(row["round"]) + 1), clock(float(row["simulated_s"])), f"{float(row[column]):.4f}")
            for row in measured or rows
        ],
        numbers=3,
    )
    figures = []
    for x, title in (("round", "rounds"), ("simulated_s", "simulated wall-clock")):
        curves = {
            method: [
                (float(row[x]) + (x == "round"), float(row[column]))
                for row in measured or rows
                if row["method"] == method
            ]
            for method in methods
        }
        curves = {method: curve for method, curve in curves.items() if curve}
        longest = max(point for curve in curves.values() for point, _ in curve)
        end = f"{longest:,.0f} rounds" if x == "round" else clock(longest)
        description = f"The {name} of each method; the table has the numbers."
        figures.append(lines(f"{name.capitalize()} against {title}", description, curves, ("0", end), table))
    return figures


def _times(last: Mapping[str, Row]) -> Figure:
    drawn = [Bar(method, [float(row["simulated_s"])], clock(float(row["simulated_s"]))) for method, row in last.items()]
    table = Table(
        ("method", "wall-clock", "uploaded", "downloaded"),
        [
            (
                method,
                clock(float(row["simulated_s"])),
                *(amount(float(row[f"{way}_bytes"])) for way in ("uploaded", "downloaded")),
            )
            for method, row in last.items()
        ],
        numbers=3,
    )
    return bars("Wall-clock of the training", "Simulated wall-clock of each method.", [_TIME], drawn, table)
