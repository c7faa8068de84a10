"""Labels beside the right ends of lines, moved apart where they would overlap, and cut off where they are too long."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from parasim.figures import style
from parasim.figures.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = 0.105
"""Height of a line of small type [in]."""


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
    number = re.search(r"(?: ×)? [\d,]+(?: to [\d,]+)?$|$", text)
    assert number is not None
    text, end = text[: number.start()], number[0]
    while text and style.text_width(f"{text}…{end}", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…{end}"


def label_ends(sheet: Sheet, axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Write labels at the right ends of lines.

    Parameters
    ----------
    sheet : Sheet
        The picture.
    axes : matplotlib Axes
        Where the lines are.
    ends : mapping of str to (float, str)
        For each label, the value at which its line ends, and its colour.
    """
    inches = axes.transData + sheet.figure.transFigure.inverted()
    place, (low, high), right = axes.get_position(), sorted(axes.get_ylim()), axes.get_xlim()[1]
    heights = {label: inches.transform((right, min(max(y, low), high)))[1] for label, (y, _) in ends.items()}
    for label, height in spread(heights, place.y0, place.y1).items():
        sheet.page.plot(
            [place.x1 + 0.02, place.x1 + 0.09], [heights[label], height], color=ends[label][1], lw=0.6, clip_on=False
        )
        sheet.text(place.x1 + 0.11, height, label, va="center")
