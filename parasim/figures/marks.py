"""What pictures mark on axes: bars with their patterns, rings, notes, and ticks of logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.text import amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.text import Annotation, Text

_APART, _LINE = 0.06, 0.1
"""Between numbers of a horizontal axis, and height of one of an upright axis [in]."""
_DOUBTS = ("extrapolated", "badly fitted")
"""Words of an origin of computing times that call for a mark."""


def fill(bar: Any, colour: str) -> None:
    """Give a bar its colour and what goes with it: white stripes for exposed communication, an outline if pale."""
    bar.set(facecolor=colour)
    if colour == style.EXPOSED:
        bar.set(hatch="//////", edgecolor="white", linewidth=0)
    elif colour == style.OFFLINE:
        bar.set(edgecolor=style.EDGE, linewidth=0.4, linestyle=":")


def ring(axes: Axes, x: float, y: float, colour: str, size: float = 5.5) -> None:
    """Mark a point by a white disc with an edge in a colour, as large as `size` [pt]."""
    axes.plot([x], [y], "o", ms=size, mfc="white", mec=colour, zorder=5, clip_on=False)


def note(axes: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], **looks: Any) -> Annotation:
    """Write small text beside a point: so far right of it and above it [pt]."""
    looks = {"size": style.SMALL, **looks}
    looks["size"] = style.points(looks["size"])
    shift = style.points(offset[0]), style.points(offset[1])
    return axes.annotate(text, place, shift, textcoords="offset points", **looks)


def write(axes: Axes, x: float, y: float, text: str, **looks: Any) -> Text:
    """Write small text at a point of a chart, unless matplotlib's `looks` say otherwise."""
    looks = {"size": style.SMALL, **looks}
    looks["size"] = style.points(looks["size"])
    return axes.text(x, y, text, **looks)


def doubts_of(origin: str) -> list[str]:
    """Return what is doubtful about where computing times come from: nothing if they were measured or fitted well."""
    return [doubt for doubt in _DOUBTS if doubt in origin]


def doubts_said(doubts: Iterable[str]) -> str:
    """Say what a mark at something doubtful means."""
    found = set(doubts)
    return f"compute time {' or '.join(doubt for doubt in _DOUBTS if doubt in found)}"


def log_ticks(axis: XAxis | YAxis, unit: str = "") -> None:
    """Put ticks on a logarithmic axis: at powers of ten, and at 2 and 5 times those if all numbers have space.

    Parameters
    ----------
    axis : matplotlib XAxis or YAxis
        The axis, whose limits are set.
    unit : str
        Base unit that the numbers carry, with its prefixes: ``B/s``.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    def text(value: float) -> str:
        return amount(value, unit) if unit else f"{value:,.10g}"

    low, high = axis.get_view_interval()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def ticks(subs: Sequence[int], every: int = 1) -> list[float]:
        found = [sub * 10.0**power for power in powers if power % every == 0 for sub in subs]
        return [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]

    choices = [ticks((1, 2, 5)), *(ticks((1,), every) for every in (1, 2, 3))]
    fitting = [spaced(axis, values, text) for values in choices]
    whole = [values for values, dropped in fitting if not dropped and len(values) > 1]
    shown = whole[0] if whole else spaced(axis, ticks(range(1, 10)), text)[0]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FixedFormatter([text(value) for value in shown]))


def spaced(axis: XAxis | YAxis, values: Sequence[float], text: Callable[[float], str]) -> tuple[list[float], int]:
    """Keep those values of a logarithmic axis whose texts do not touch, from the first on; count the others.

    Parameters
    ----------
    axis : matplotlib XAxis or YAxis
        The axis, whose limits are set.
    values : sequence of float
        In rising order.
    text : callable
        Writes a value.
    """
    place, across = axis.axes.get_position(), axis is axis.axes.xaxis
    length = place.width if across else place.height
    low, high = (math.log(limit) for limit in axis.get_view_interval())
    kept: list[float] = []
    edge = -math.inf
    for value in values:
        middle = (math.log(value) - low) / (high - low) * length
        half = (style.text_width(text(value), style.SMALL) + _APART if across else _LINE) / 2
        if middle - half >= edge:
            kept.append(value)
            edge = middle + half
    return kept, len(values) - len(kept)
