"""Horizontal bars of parts, one below the other, each with its name above it and a text at its right end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from parasim.figures import style
from parasim.figures.labels import shortened
from parasim.figures.sheet import Drawing, Key, Sheet, fill, keys_height

# All lengths are in inches.
_ROW, _BAR, _GAP = 0.31, 0.11, 0.1


class BarPart(NamedTuple):
    """A part that bars consist of: its name and its colour."""

    name: str
    colour: str


class StackedBar(NamedTuple):
    """A bar: name, lengths of its parts in whatever unit, what is written at the right, and what else is told."""

    name: str
    lengths: Sequence[float]
    text: str
    more: Sequence[str] = ()


def bars_drawing(parts: Sequence[BarPart], bars: Sequence[StackedBar], width: float = style.PAGE_WIDTH) -> Drawing:
    """Draw bars; the longest is as wide as the picture.

    Parameters
    ----------
    parts : sequence of BarPart
        What the bars consist of.
    bars : sequence of StackedBar
        The bars, with a length for each part.
    width : float
        Of the picture [in].
    """
    longest = max((sum(bar.lengths) for bar in bars), default=0.0) or 1.0
    present = [any(bar.lengths[number] > 0 for bar in bars) for number in range(len(parts))]
    keys = [Key(part.name, (part.colour,)) for part, shown in zip(parts, present, strict=True) if shown]
    head = keys_height(keys, width) + _GAP if len(parts) > 1 else 0.0
    looks: dict[str, Any] = {"size": style.NORMAL}

    def draw(drawn: Sheet) -> None:
        if len(parts) > 1:
            drawn.keys(keys, 0.0, drawn.height - head + _GAP, width)
        for number, bar in enumerate(bars):
            top = drawn.height - head - number * _ROW
            space = width - style.text_width(bar.text, style.NORMAL) - _GAP
            drawn.text(0.0, top - 0.07, shortened(bar.name, space, style.NORMAL), **looks)
            drawn.text(width, top - 0.07, bar.text, ha="right", **looks)
            left = 0.0
            for part, length in zip(parts, bar.lengths, strict=True):
                if length > 0:
                    share = length / longest * width
                    fill(drawn.page.barh(top - 0.15 - _BAR / 2, share, _BAR, left)[0], part.colour)
                    left += share

    return Drawing(width, head + len(bars) * _ROW, draw)
