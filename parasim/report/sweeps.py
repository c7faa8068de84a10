"""Pages about what `paraSim sweep` left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from parasim.cli.text import clock
from parasim.figures.bars import StackedBar, bars_drawing
from parasim.memory import memory_of_rows
from parasim.report.charts import chart
from parasim.report.files import pictures, read_json, read_rows
from parasim.report.page import Cell, Page, Section, Slider, Table, WhatIf, joined
from parasim.report.record import Record
from parasim.report.runs import BREAKDOWN

_MOST_ROWS = 100
_MOST_BARS = 24
_SLIDERS = {"bandwidth": "Bandwidth of every client", "batch_size": "Batch size"}
_TITLES = {"runtime": "Runtime by method", "line": "Runtime along what was swept"}

Row = Mapping[str, str]


def sweep_page(directory: Path, record: Record | None) -> Page:
    """Make the page about a directory of `paraSim sweep`."""
    rows = read_rows(directory / "results.csv")
    runs = read_json(directory / "sweep.json")["runs"]
    columns = list(runs[0])
    swept = [column for column in columns if len({row[column] for row in rows}) > 1] or ["method"]
    what_if, notes = _what_if(rows, swept)
    name = str(record.scenario.get("name", "")) if record is not None else ""
    missing = len(runs) - len(rows)
    origins = Counter(row["compute_origin"] for row in rows)
    return Page(
        title=f"{name}: {_listed(swept)}" if name and "model" not in swept else f"Sweep over {_listed(swept)}",
        question=f"How does the wall-clock depend on {_listed(swept)}?",
        answer=[
            *_answer(rows, swept),
            *([f"{missing:,} of {len(runs):,} runs are missing: the sweep was interrupted."] if missing else []),
            *memory_of_rows(rows, columns),
        ],
        sections=[
            _breakdown(rows, swept),
            Section("Pictures", pictures=pictures(directory, record, _TITLES)),
        ],
        provenance=Table(
            ("what", "origin", "source"),
            [
                *(("computing times", o, f"{n:,} of {len(rows):,} runs; see the column") for o, n in origins.items()),
                ("message sizes", "computed or given", "the scenario's payload, or its model's parameters"),
                ("transfer times", "simulated", "max-min fair fluid sharing of a star"),
            ],
        ),
        scenario_note="The scenario above is that of the first run; the others differ in what was swept.",
        what_if=what_if,
        what_if_notes=notes,
    )


def _answer(rows: Sequence[Row], swept: Sequence[str]) -> list[str]:
    fastest = min(rows, key=_seconds)
    slowest = max(rows, key=_seconds)
    told = [
        f"The fastest of {len(rows):,} runs takes {clock(_seconds(fastest))}: {_label(fastest, swept)}.",
        f"The slowest takes {clock(_seconds(slowest))}: {_label(slowest, swept)}.",
    ]
    if "method" in swept and len(swept) > 1:
        others = [column for column in swept if column != "method"]
        settings: dict[str, list[Row]] = {}
        for row in rows:
            settings.setdefault(_label(row, others), []).append(row)
        wins = Counter(min(alike, key=_seconds)["method"] for alike in settings.values())
        told.insert(
            0, f"{joined(f'{m} is the fastest in {n} of {len(settings)} settings' for m, n in wins.most_common())}."
        )
    return told


def _breakdown(rows: Sequence[Row], swept: Sequence[str]) -> Section:
    shown, parts = rows[:_MOST_ROWS], list(BREAKDOWN.values())
    times = [[float(row[column]) for column in BREAKDOWN] for row in shown]
    drawn = [StackedBar(_label(row, swept), own, clock(_seconds(row))) for row, own in zip(shown, times, strict=True)]
    head = (*(c.replace("_", " ") for c in swept), "wall-clock", *(p.name for p in parts), "computing times are")
    told = [
        (*(row[column] for column in swept), clock(_seconds(row)), *map(clock, own), row["compute_origin"])
        for row, own in zip(shown, times, strict=True)
    ]
    note = f"The first {_MOST_ROWS} of {len(rows):,} runs; results.csv has all." if len(rows) > _MOST_ROWS else ""
    description = "A bar for each run: what the mean client does during the wall-clock, which is the bar's length."
    draw = partial(bars_drawing, parts, drawn)
    whole = chart("Wall-clock of each run", description, draw, Table(head, told, note=note))
    return Section("Breakdown", paragraphs=[note] if note else [], charts=[whole])


def _what_if(rows: Sequence[Row], swept: Sequence[str]) -> tuple[WhatIf | None, list[str]]:
    """Let sliders choose among the runs of the sweep."""
    moved = [column for column in _SLIDERS if column in swept]
    if not moved:
        return None, []
    others = [column for column in swept if column not in moved] or ["method"]
    names = list(dict.fromkeys(_label(row, others) for row in rows))
    if len(names) > _MOST_BARS:
        return None, [f"The sweep has {len(names):,} bars for each bandwidth, too many to be moved; see the breakdown."]
    sliders = [Slider(_SLIDERS[column], list(dict.fromkeys(row[column] for row in rows)), 0) for column in moved]
    found = {
        (*(row[column] for column in moved), _label(row, others)): Cell(
            [float(row[column]) for column in BREAKDOWN], row["compute_origin"]
        )
        for row in rows
    }
    second = [(place,) for place in sliders[1].places] if len(sliders) > 1 else [()]
    cells = [[[found.get((one, *other, name)) for name in names] for other in second] for one in sliders[0].places]
    notes = ["The sliders choose among the runs of the sweep."]
    return WhatIf(sliders, list(BREAKDOWN.values()), names, cells), notes


def _label(row: Row, columns: Sequence[str]) -> str:
    return ", ".join(
        f"batch {row[c]}" if c == "batch_size" else row[c] if _says(c) else f"{c} {row[c]}" for c in columns
    )


def _says(column: str) -> bool:
    """Tell whether a value of a column says by itself what it is."""
    return column in ("model", "method", "bandwidth")


def _listed(columns: Sequence[str]) -> str:
    return joined(column.replace("_", " ") for column in columns)


def _seconds(row: Row) -> float:
    return float(row["wall_clock_s"])
