"""Horizontal bars of parts, one below the other, each with its name above it and a text at its right end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from parasim.figures import style
from parasim.figures.labels import shortened
from parasim.figures.sheet import Drawing, Key, Sheet, fill, keys_height

# All lengths are in inches.
_ROW, _BAR, _GAP, _MARGIN = 0.29, 0.11, 0.1, 0.02


class BarPart(NamedTuple):
    """A part that bars consist of: its name and its colour."""

    name: str
    colour: str


class StackedBar(NamedTuple):
    """A bar: its name, the lengths of its parts in whatever unit, and what is written at the right."""

    name: str
    lengths: Sequence[float]
    text: str


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
    head = keys_height(keys, width - _MARGIN) + _GAP if len(parts) > 1 else 0.0

    def draw(drawn: Sheet) -> None:
        if len(parts) > 1:
            drawn.keys(keys, _MARGIN, drawn.height, width - _MARGIN)
        inch = (width - 2 * _MARGIN) / longest
        for number, bar in enumerate(bars):
            top = drawn.height - head - number * _ROW
            space = width - style.text_width(bar.text, style.SMALL) - _GAP
            drawn.text(_MARGIN, top - 0.07, shortened(bar.name, space, style.SMALL))
            drawn.text(width - _MARGIN, top - 0.07, bar.text, ha="right")
            left = _MARGIN
            for part, length in zip(parts, bar.lengths, strict=True):
                if length > 0:
                    box = drawn.page.barh(top - 0.14 - _BAR / 2, length * inch, _BAR, left)[0]
                    fill(box, part.colour)
                    left += length * inch

    return Drawing(width, head + len(bars) * _ROW, draw)
