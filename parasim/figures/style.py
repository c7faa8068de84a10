"""The visual language of all pictures: colours, type sizes, and units of time.

Pictures are drawn at the size they are printed at (a column is 3.3 in wide, a page 7 in) and have no text below 6 pt.
Colours are Okabe and Ito's and Paul Tol's, told apart by colour-blind readers too, without their yellows, which white
paper swallows; a method has the same one everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from parasim_core.sim.errors import ParaSimError

COLUMN_WIDTH = 3.3
"""Width of a picture in one column of a two-column page [in]."""
PAGE_WIDTH = 7.0
"""Width of a picture across a page [in]."""

SMALL, NORMAL, LARGE = 6.0, 7.0, 8.0
"""Type sizes of labels at marks, of all other text, and of titles [pt]."""

INK = "#262626"
MUTED = "#6E6E6E"
GRID = "#E4E4E4"
COMPUTE, SAVED = "#0072B2", "#009E73"
"""Computing of whatever method, and time that a change saves."""
EXPOSED = "#D55E00"
"""Exposed communication of every method; no method has this colour."""
WAITING = "#D6D6D6"
EDGE = "#B0B0B0"
"""Outline of what is pale."""
OFFLINE = "#F4F4F4"

_METHOD_COLOURS = {
    "parablock": "#0072B2",
    "fedbcd": "#56B4E9",
    "fedit": "#009E73",
    "fedcybgd": "#CC79A7",
    "ffa-lora": "#A6761D",
    "flora": "#E69F00",
    "full-ft": "#1A1A1A",
    "overlapped-lora": "#882255",
    "fedbuff": "#332288",
    "fedasync": "#999933",
    "parablock-async": "#AA4499",
}
_OTHER_COLOURS = ("#44AA99", "#CC6677", "#117733", "#6699CC", "#AA7700")
GROUP_COLOURS = ("#332288", "#CC6677", "#44AA99", "#999933", "#AA4499", "#117733", "#6699CC", "#AA7700")
"""Paul Tol's but for the last two, for groups of clients. Like methods' colours, all can be seen on white."""

SETTINGS = Path(__file__).with_name("parasim.mplstyle")
"""What differs from matplotlib's defaults."""
TYPE_SIZES = {"font.size": NORMAL, "axes.labelsize": NORMAL, "xtick.labelsize": SMALL, "ytick.labelsize": SMALL}
"""Type of axes [pt]; it grows with that of the picture."""


class FigureError(ParaSimError):
    """Rows cannot be drawn: none, a column missing, or values that the picture has no place for."""


def method_colours(methods: Iterable[str]) -> dict[str, str]:
    """Colour of each method: its own, or the next free one for a method that paraSim does not bring along."""
    methods = list(dict.fromkeys(methods))
    others = [method for method in methods if method not in _METHOD_COLOURS]
    free = {method: _OTHER_COLOURS[index % len(_OTHER_COLOURS)] for index, method in enumerate(others)}
    return {method: _METHOD_COLOURS.get(method) or free[method] for method in methods}


class TimeUnit(NamedTuple):
    """The unit of a time axis.

    Attributes
    ----------
    name : str
        As written at the axis.
    seconds : float
        Its length [s].
    """

    name: str
    seconds: float


def time_unit(longest: float) -> TimeUnit:
    """Choose the unit of an axis: minutes, but hours above 5 h and seconds below 2 min.

    Parameters
    ----------
    longest : float
        The longest time on the axis [s].
    """
    if longest > 5 * 3600:
        return TimeUnit("hours", 3600.0)
    return TimeUnit("minutes", 60.0) if longest >= 120 else TimeUnit("seconds", 1.0)


def format_time(seconds: float, unit: TimeUnit) -> str:
    """Write a time in a unit, to three digits or so; in seconds if nothing would be left of it."""
    value = seconds / unit.seconds
    if 0 < value < 0.05 and unit.seconds > 1:
        return f"{seconds:.2g} s"
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 0.995 or value == 0 else f"{value:.2f}"


@cache
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of the widest line of a text [in] at a type size [pt]."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    widths = [text_to_path.get_text_width_height_descent(line, font, False)[0] for line in text.split("\n")]
    return float(max(widths)) / 72


def points(size: float) -> float:
    """Return a size that is told in points of usual pictures as the picture being drawn has it [pt]."""
    from matplotlib import rcParams

    return size * float(rcParams["font.size"]) / NORMAL


def wrapped(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Break a text into lines no wider than a width [in] at a type size [pt], where it has spaces."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)
