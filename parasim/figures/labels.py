"""Names of lines: beside their right ends where these are apart, else in a list below the chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parasim.figures import style
from parasim.figures.look import NUMBER_AT_END
from parasim.figures.sheet import Key, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = 0.105
"""Height of a line of small type [in]."""
_AWAY = 0.11
"""Between the end of an axis and a label there [in]."""
_FAR = 0.25
"""A label further from its line's end is not read as its name [in]."""
_WIDEST = 0.35
"""Share of a picture that names beside its lines may take."""


class LineEnd(NamedTuple):
    """The right end of a line: value, colour, kind of line, and kind of mark, if it has any."""

    value: float
    colour: str
    dashes: str = "-"
    marker: str = ""


def spread(heights: Mapping[str, float], low: float, high: float) -> dict[str, float]:
    """Move labels as little as needed to stand one below the other.

    Parameters
    ----------
    heights : mapping of str to float
        Where each label would stand [in].
    low, high : float
        Space for them [in].

    Returns
    -------
    dict of str to float
        Where each label stands, at least a line apart as far as the space allows [in].
    """
    ordered = sorted(heights, key=lambda label: heights[label])
    steps = min(_LINE, (high - low) / max(1, len(ordered) - 1)) * np.arange(len(ordered))
    # Without the steps between them, labels that follow one another are nowhere lower than the one before.
    bases = np.maximum.accumulate(np.maximum([heights[label] for label in ordered], low) - steps)
    placed = np.minimum(bases, high - steps[-1:]) + steps
    return dict(zip(ordered, placed.tolist(), strict=True))


def shortened(text: str, width: float, size: float) -> str:
    """Cut a text off so that it is no wider than a width [in] at a type size [pt], but keep numbers at its end."""
    if style.text_width(text, size) <= width:
        return text
    number = NUMBER_AT_END.search(text)
    assert number is not None
    text, end = text[: number.start()], number[0]
    while text and style.text_width(f"{text}…{end}", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…{end}"


def name_lines(sheet: Sheet, charts: Sequence[Axes], ends: Mapping[str, LineEnd], room: float, bottom: float) -> float:
    """Name lines beside their right ends, or, where names would stand far from these, in a list below.

    Parameters
    ----------
    sheet : Sheet
        The picture.
    charts : sequence of matplotlib Axes
        Where the lines are; all have the same ones, and the last is at the right.
    ends : mapping of str to LineEnd
        The lines by their names, as they end in the last of the charts.
    room : float
        From the left edge of the picture to its right one [in].
    bottom : float
        Upper edge of a list [in].

    Returns
    -------
    float
        Lower edge of the list; `bottom` if there is none [in].
    """
    last = charts[-1]
    heights = _heights(sheet, last, ends)
    place = last.get_position()
    placed = spread(heights, place.y0, place.y1)
    width = max(style.text_width(name, style.SMALL) for name in ends) + _AWAY
    moved = max(abs(placed[name] - heights[name]) for name in ends)
    left = charts[0].get_position().x0
    if width <= _WIDEST * room and moved <= _FAR:
        label_ends(sheet, last, ends)
        return bottom
    keys = [Key(name, (end.colour,), end.marker, filled=True, dashes=end.dashes) for name, end in ends.items()]
    return sheet.listed(keys, left, bottom, place.x1 - left)


def label_ends(sheet: Sheet, axes: Axes, ends: Mapping[str, LineEnd]) -> None:
    """Write names at the right ends of lines; the parameters are those of `name_lines`."""
    heights, place = _heights(sheet, axes, ends), axes.get_position()
    for name, height in spread(heights, place.y0, place.y1).items():
        step = [place.x1 + 0.02, place.x1 + _AWAY - 0.02], [heights[name], height]
        sheet.page.plot(*step, color=ends[name].colour, lw=0.6, clip_on=False)
        sheet.text(place.x1 + _AWAY, height, name, va="center")


def _heights(sheet: Sheet, axes: Axes, ends: Mapping[str, LineEnd]) -> dict[str, float]:
    """Where lines end, or leave the chart [in]."""
    inches = axes.transData + sheet.figure.transFigure.inverted()
    (low, high), right = sorted(axes.get_ylim()), axes.get_xlim()[1]
    return {name: float(inches.transform((right, min(max(end.value, low), high)))[1]) for name, end in ends.items()}
