"""Labels beside the right ends of lines, moved apart where they would overlap, and cut off where they are too long."""

from __future__ import annotations

from collections.abc import Mapping

from parasim.figures import style
from parasim.figures.style import Sheet

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
    gap = min(_LINE, (high - low) / max(1, len(ordered) - 1))
    placed: dict[str, float] = {}
    floor = low
    for label in ordered:
        placed[label] = max(heights[label], floor)
        floor = placed[label] + gap
    ceiling = high
    for label in reversed(ordered):
        placed[label] = min(placed[label], ceiling)
        ceiling = placed[label] - gap
    return placed


def shortened(text: str, width: float, size: float) -> str:
    """Cut a text off so that it is no wider than a width [in] at a type size [pt]."""
    if style.text_width(text, size) <= width:
        return text
    while text and style.text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def label_ends(sheet: Sheet, ends: Mapping[str, tuple[float, str]], left: float, low: float, high: float) -> None:
    """Write labels at the right ends of lines.

    Parameters
    ----------
    sheet : Sheet
        The picture.
    ends : mapping of str to (float, str)
        For each label, the height of its line's end [in] and its colour.
    left, low, high : float
        Where the axes end on the right, and between which heights [in].
    """
    for label, height in spread({label: end for label, (end, _) in ends.items()}, low, high).items():
        end, colour = ends[label]
        sheet.page.plot([left + 0.02, left + 0.09], [end, height], color=colour, linewidth=0.6)
        sheet.page.text(left + 0.11, height, label, size=style.SMALL, va="center", color=style.INK)
