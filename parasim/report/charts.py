"""Charts as inline SVG that is as wide as the page: lengths along time are shares of the width, text keeps its size.

Every chart has a title and a description for those who do not see it, and colours by class, which `page.css` gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from parasim.report.page import Figure, Key, Table

_ROW, _BAR, _TEXT = 36, 14, 13
_LANE, _GAP = 9, 2
_LINE, _LONGEST_NAME = 46, 90
"""Characters that fit on a line of a narrow page, and those of a name on a wide one."""


class Part(NamedTuple):
    """A part that bars consist of: its name and its class of CSS."""

    name: str
    style: str


class Bar(NamedTuple):
    """A bar: its name, the lengths of its parts, and what is written at its right."""

    name: str
    lengths: Sequence[float]
    text: str


class Stretch(NamedTuple):
    """A stretch of time in a lane of a Gantt chart: start and end [s], class of CSS, and what it is."""

    start: float
    end: float
    style: str
    name: str


class Lanes(NamedTuple):
    """A row of a Gantt chart: its name, and stretches in two lanes, the upper one for messages."""

    name: str
    upper: Sequence[Stretch]
    lower: Sequence[Stretch]


def bars(
    title: str,
    description: str,
    parts: Sequence[Part],
    rows: Sequence[Bar],
    table: Table,
    longest: float | None = None,
) -> Figure:
    """Draw bars one below the other, each with its name above it and its text at the right.

    Parameters
    ----------
    title, description : str
        What is shown, and what it says, for those who do not see it.
    parts : sequence of Part
        What the bars consist of.
    rows : sequence of Bar
        The bars, with a length for each part, in whatever unit.
    table : Table
        The numbers.
    longest : float, optional
        The length that is as wide as the page; the longest bar's if None.
    """
    longest = max((sum(row.lengths) for row in rows), default=0.0) if longest is None else longest
    body = [bar_markup(row, parts, index, longest) for index, row in enumerate(rows)]
    svg = wrapped(title, description, Markup("").join(body), len(rows) * _ROW, "bars")
    shown = [part for index, part in enumerate(parts) if any(row.lengths[index] > 0 for row in rows)]
    return Figure(title, svg, [Key(part.name, part.style) for part in shown], table)


def bar_markup(row: Bar, parts: Sequence[Part], index: int, longest: float) -> Markup:
    """Draw one bar; its rectangles are in the order of its parts, also those of no length."""
    top = index * _ROW
    boxes, start = [], 0.0
    for part, length in zip(parts, row.lengths, strict=True):
        boxes.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                part.style, percent(start, longest), top + _TEXT + 4, percent(length, longest), _BAR
            )
        )
        start += length
    return Markup('<g class="bar">{}<text class="end" x="100%" y="{}">{}</text>{}</g>').format(
        label(row.name, top + _TEXT, _LINE - len(row.text)), top + _TEXT, row.text, Markup("").join(boxes)
    )


def gantt(
    title: str, description: str, rows: Sequence[Lanes], end: float, marks: Mapping[float, str], table: Table
) -> Figure:
    """Draw what each client does when, in two lanes each.

    Parameters
    ----------
    title, description : str
        As for `bars`.
    rows : sequence of Lanes
        The clients.
    end : float
        Where the time axis ends [s].
    marks : mapping of float to str
        What to write at which times [s].
    table : Table
        The numbers.
    """
    height = _TEXT + 2 * _LANE + 3 * _GAP + 6
    body: list[Markup] = []
    foot = len(rows) * height
    for time, text in marks.items():
        x = percent(time, end)
        anchor = "start" if time == 0 else "end" if time > 0.9 * end else "middle"
        body.append(
            Markup('<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(x, foot)
            + Markup('<text x="{}" y="{}" text-anchor="{}" class="tick">{}</text>').format(x, foot + 14, anchor, text)
        )
    for index, row in enumerate(rows):
        top = index * height
        body.append(label(row.name, top + _TEXT, _LINE))
        lanes = ((row.upper, top + _TEXT + 4), (row.lower, top + _TEXT + 4 + _LANE + _GAP))
        for stretch, y in ((stretch, y) for stretches, y in lanes for stretch in stretches):
            start, stop = min(stretch.start, end), min(stretch.end, end)
            if stop > start:
                box = '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
                place = percent(start, end), y, percent(stop - start, end), _LANE
                body.append(Markup(box).format(stretch.style, *place, stretch.name))
    keys = [Key("computing", "compute"), Key("upload", "upload"), Key("download", "download")]
    if any("critical" in stretch.style for row in rows for stretch in (*row.upper, *row.lower)):
        keys.append(Key("on the critical path", "critical none"))
    return Figure(title, wrapped(title, description, Markup("").join(body), foot + 20, "gantt"), keys, table)


def lines(
    title: str,
    description: str,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    ends: tuple[str, str],
    table: Table,
) -> Figure:
    """Draw curves, each with a colour and a pattern of dashes of its own.

    Parameters
    ----------
    title, description : str
        As for `bars`.
    curves : mapping of str to sequence of (float, float)
        Points by name, in the order of x.
    ends : tuple of str
        What is written at the left and at the right end of the x axis.
    table : Table
        The numbers.
    """
    xs = [x for curve in curves.values() for x, _ in curve]
    ys = [y for curve in curves.values() for _, y in curve]
    low, high = min(ys), max(ys)
    spread = (high - low) or abs(high) or 1.0
    low, high = low - 0.05 * spread, high + 0.05 * spread
    right, height = max(xs) or 1.0, 240
    body, keys = [], []
    for level in ticks(low, high):
        y = f"{100 - 100 * (level - low) / (high - low):.2f}%"
        body.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(y))
        body.append(Markup('<text class="tick" x="0" y="{}" dy="-3">{:.4g}</text>').format(y, level))
    for number, (name, curve) in enumerate(curves.items()):
        style = f"line line-{number % 6}"
        points = " ".join(f"{100 * x / right:.3f},{100 - 100 * (y - low) / (high - low):.3f}" for x, y in curve)
        body.append(
            Markup(
                '<svg x="0" y="0" width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">'
                '<polyline class="{}" points="{}" vector-effect="non-scaling-stroke"/></svg>'
            ).format(style, points)
        )
        keys.append(Key(name, style))
    plot = Markup('<svg x="0" y="{}" width="100%" height="{}">{}</svg>').format(
        _TEXT, height - _TEXT, Markup("").join(body)
    )
    foot = Markup(
        '<text class="tick" x="0" y="{0}">{1}</text><text class="tick end" x="100%" y="{0}">{2}</text>'
    ).format(height + 15, *ends)
    return Figure(title, wrapped(title, description, plot + foot, height + 20, "lines"), keys, table)


def wrapped(title: str, description: str, body: Markup, height: float, style: str) -> Markup:
    """Put a drawing into an SVG with a title and a description."""
    return Markup('<svg class="{}" role="img" width="100%" height="{}" aria-label="{}"><desc>{}</desc>{}</svg>').format(
        style, height, f"{title}. {description}", description, body
    )


def percent(length: float, whole: float) -> str:
    """Write a length as a share of a whole: ``12.5%``."""
    return f"{round(100 * length / whole, 3) if whole else 0:g}%"


def label(text: str, baseline: float, room: int) -> Markup:
    """Write a name at the left: as much of it as a narrow page has room for, and more of it on a wide one."""
    line = Markup('<text class="{}" x="0" y="{}">{}</text>')
    if len(text) <= room:
        return line.format("any", baseline, text)
    wide = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
    return line.format("wide", baseline, wide) + line.format("narrow", baseline, f"{text[: room - 1]}…")


def joined(texts: Iterable[str]) -> str:
    """Join texts into one sentence's enumeration."""
    texts = list(texts)
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""


def ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers between two others."""
    coarse = 10.0 ** math.ceil(math.log10(high - low))
    step = next(coarse / part for part in (1, 2, 5, 10, 20, 50) if (high - low) / (coarse / part) >= 3)
    numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [round(step * number, 12) for number in numbers]
