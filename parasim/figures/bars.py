"""Horizontal bars of parts, one below the other, each with its name above it and a text at its right end.

Where bars are shares of something, a pale bar behind each of them is the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

from parasim.figures import style
from parasim.figures.labels import shortened
from parasim.figures.marks import fill
from parasim.figures.sheet import Key, Sheet

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


def draw_bars(
    drawn: Sheet, width: float, parts: Sequence[BarPart], bars: Sequence[StackedBar], whole: float = 0.0
) -> None:
    """Draw bars below one another; the longest is as wide as the picture, or the whole of which they are shares.

    Parameters
    ----------
    drawn : Sheet
        The picture.
    width : float
        Of the picture [in].
    parts : sequence of BarPart
        What the bars consist of.
    bars : sequence of StackedBar
        The bars, with a length for each part.
    whole : float
        What they are shares of; 0 if they are none.
    """
    longest = max([whole, *(sum(bar.lengths) for bar in bars)], default=0.0) or 1.0
    present = [any(bar.lengths[number] > 0 for bar in bars) for number in range(len(parts))]
    keys = [Key(part.name, (part.colour,)) for part in compress(parts, present)]
    if whole:
        keys.append(Key("the whole run", (style.GRID,)))
    if len(keys) > 1:
        drawn.keys(keys, 0.0, _GAP, width)
    for number, bar in enumerate(bars):
        top, left = -number * _ROW, 0.0
        space = width - style.text_width(bar.text, style.NORMAL) - _GAP
        drawn.text(0.0, top - 0.07, shortened(bar.name, space, style.NORMAL), size=style.NORMAL)
        drawn.text(width, top - 0.07, bar.text, ha="right", size=style.NORMAL)
        if whole:
            drawn.page.barh(top - 0.15 - _BAR / 2, width, _BAR, 0.0, color=style.GRID, clip_on=False)
        for part, length in zip(parts, bar.lengths, strict=True):
            if length > 0:
                share = length / longest * width
                fill(drawn.page.barh(top - 0.15 - _BAR / 2, share, _BAR, left, clip_on=False)[0], part.colour)
                left += share
