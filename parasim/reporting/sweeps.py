"""What pages tell about what `paraSim sweep` left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parasim.api import load
from parasim.figures.bars import StackedBar
from parasim.figures.breakdown import breakdown_parts
from parasim.figures.rows import pretty_name, pretty_value, short_names
from parasim.ignored import ignored
from parasim.memory_notes import memory_of_rows
from parasim.reporting.charts import bar_chart
from parasim.reporting.files import ReportError, number, pictures, read_json, read_rows
from parasim.reporting.page import PageChart, Slider, WhatIf, WhatIfBar
from parasim.reporting.record import Record
from parasim.sentences import listed
from parasim.text import clock

_MOST_ROWS = 100
_MOST_BARS = 24
_SLIDERS = {"bandwidth": "Bandwidth of every client's own link", "batch_size": "Batch size"}
_TITLES = {"runtime": "Runtime by method", "line": "Runtime along what was swept"}

Row = Mapping[str, str]


def _seconds(row: Row) -> float:
    return number(row["wall_clock_s"])


def about_sweep(directory: Path, record: Record) -> dict[str, Any]:
    """Read what the page about a directory of `paraSim sweep` tells."""
    rows = read_rows(directory / "results.csv")
    runs = read_json(directory / "sweep.json").get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs) or not runs:
        raise ReportError(f"{directory / 'sweep.json'}: is damaged: lists no runs")
    columns = list(runs[0])
    swept = [column for column in columns if len({row[column] for row in rows}) > 1] or ["method"]
    names = [column if column == "bandwidth" else pretty_name(column) for column in swept]
    what_if, notes = _what_if(rows, swept)
    name = None if "model" in swept else record.scenario.get("name")
    origins = Counter(row["compute_origin"] for row in rows)
    computing = [("computing times", o, f"{n:,} of {len(rows):,} runs; see the column") for o, n in origins.items()]
    ordered = sorted(({**row, "label": _label(row, swept)} for row in rows), key=_seconds)
    return {
        "title": f"{name}: {listed(names)}" if name else f"Sweep over {listed(names)}",
        "swept": names,
        "wins": _wins(rows, swept),
        "fastest": ordered[0],
        "slowest": ordered[-1],
        "done": len(rows),
        "planned": len(runs),
        "memory": memory_of_rows(rows, columns) + (ignored(load(record.scenario)) if record.scenario else []),
        "breakdown": _breakdown(rows, swept),
        "pictures": pictures(directory, record, _TITLES),
        "computing": computing,
        "what_if": what_if,
        "what_if_notes": notes,
    }


def _wins(rows: Sequence[Row], swept: Sequence[str]) -> list[str]:
    """Say in how many settings each method is the fastest, if there are several of both."""
    others = [column for column in swept if column != "method"]
    if not others or len(others) == len(swept):
        return []
    fastest: dict[str, str] = {}
    for row in sorted(rows, key=_seconds):
        fastest.setdefault(_label(row, others), row["method"])
    wins = Counter(fastest.values())
    return [f"{method} is the fastest in {n} of {len(fastest)} settings" for method, n in wins.most_common()]


def _breakdown(rows: Sequence[Row], swept: Sequence[str]) -> PageChart:
    bars, parts = [], breakdown_parts(rows[0])
    for row in rows[:_MOST_ROWS]:
        times = [number(row[column]) for column in parts]
        bars.append(StackedBar(_label(row, swept), times, clock(_seconds(row)), [row["compute_origin"]]))
    note = f"The first {_MOST_ROWS} of {len(rows):,} runs; results.csv has all." if len(rows) > _MOST_ROWS else ""
    more = ["computing times are"]
    return bar_chart("run", list(parts.values()), bars, text="wall-clock", more=more, note=note)


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
    found, parts = {}, breakdown_parts(rows[0])
    for row in rows:
        place = (*(row[column] for column in moved), _label(row, others))
        found[place] = WhatIfBar([number(row[column]) for column in parts], row["compute_origin"])
    second = [(place,) for place in sliders[1].places] if len(sliders) > 1 else [()]
    cells = [[[found.get((one, *other, name)) for name in names] for other in second] for one in sliders[0].places]
    notes = ["The sliders choose among the runs of the sweep."]
    return WhatIf(sliders, list(parts.values()), names, cells), notes


def _label(row: Row, columns: Sequence[str]) -> str:
    """Name a run by some columns; models, methods and bandwidths say by themselves what they are."""
    names = {**short_names(columns), "batch_size": "batch", "model": "", "method": "", "bandwidth": ""}
    values = {column: pretty_value(column, row[column]) for column in columns}
    return ", ".join(f"{names[column]} {value}".strip() for column, value in values.items())
