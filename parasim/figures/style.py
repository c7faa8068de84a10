"""The visual language of all pictures: colours, type sizes, units of time, legends, and how files are written.

Pictures are drawn at the size they are printed at (a column is 3.3 in wide, a page 7 in), are laid out in
inches, and have no text below 6 pt. Colours are Okabe and Ito's, told apart by colour-blind readers too; a
method has the same one everywhere. Files are the same bytes from run to run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.errors import OutputError, ParaSimError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_WIDTH = 3.3
"""Width of a picture in one column of a two-column page [in]."""
PAGE_WIDTH = 7.0
"""Width of a picture across a page [in]."""

SMALL, NORMAL, LARGE = 6.0, 7.0, 8.0
"""Type sizes of labels at marks, of all other text, and of titles [pt]."""
POINTS_PER_INCH = 72.0
PNG_DPI = 220

INK = "#262626"
MUTED = "#6E6E6E"
GRID = "#E4E4E4"
EXPOSED = "#D55E00"
"""Exposed communication of every method; no method has this colour."""
WAITING = "#D6D6D6"
OFFLINE = "#F4F4F4"

_METHOD_COLOURS = {
    "parablock": "#0072B2",
    "fedbcd": "#56B4E9",
    "fedit": "#009E73",
    "fedcybgd": "#CC79A7",
    "ffa-lora": "#F0E442",
    "flora": "#E69F00",
    "full-ft": "#1A1A1A",
    "overlapped-lora": "#882255",
}
_OTHER_COLOURS = ("#332288", "#999933", "#88CCEE", "#AA4499", "#44AA99")
GROUP_COLOURS = ("#332288", "#CC6677", "#44AA99", "#999933", "#AA4499", "#117733", "#88CCEE", "#DDCC77")
"""Paul Tol's, for groups of clients: no method that paraSim brings along has one of them."""

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine has it
    "font.size": NORMAL,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "hatch.linewidth": 0.5,
    # Outlines instead of text: an SVG looks the same wherever it is opened, whatever fonts are there.
    "svg.fonttype": "path",
    # Element names are drawn from this salt instead of a random one.
    "svg.hashsalt": "paraSim",
}


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
def text_width(text: str, size: float) -> float:
    """Width of the widest line of a text [in] at a type size [pt]."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size)
    widths = [text_to_path.get_text_width_height_descent(line, font, False)[0] for line in text.split("\n")]
    return float(max(widths)) / POINTS_PER_INCH


class Key(NamedTuple):
    """One entry of a legend: colours side by side, or a marker, or neither (a heading), and its text.

    Attributes
    ----------
    label : str
        The text.
    colours : tuple of str
        Fill, or colour of the marker.
    marker : str
        Matplotlib's name of a marker; a small box if empty.
    filled : bool
        Whether the marker is filled.
    """

    label: str
    colours: tuple[str, ...] = ()
    marker: str = ""
    filled: bool = False


_KEY_SWATCH, _KEY_PAD, _KEY_GAP, KEY_LINE = 0.10, 0.04, 0.13, 0.135


def key_lines(keys: Sequence[Key], width: float) -> list[list[tuple[float, Key]]]:
    """Break a legend into lines.

    Parameters
    ----------
    keys : sequence of Key
        Its entries.
    width : float
        Space for a line [in].

    Returns
    -------
    list of list of (float, Key)
        For each line, where each of its entries starts [in].
    """
    lines: list[list[tuple[float, Key]]] = []
    start = width + 1
    for key in keys:
        length = text_width(key.label, SMALL) + (_KEY_SWATCH + _KEY_PAD if key.colours else 0)
        if start + length > width:
            lines.append([])
            start = 0.0
        lines[-1].append((start, key))
        start += length + _KEY_GAP
    return lines


@dataclass(frozen=True)
class Sheet:
    """An empty picture, laid out in inches from its lower left corner.

    Attributes
    ----------
    figure : matplotlib Figure
        The picture.
    page : matplotlib Axes
        An invisible plane over all of it whose unit is the inch, for titles and legends.
    width, height : float
        Its size [in].
    """

    figure: Figure
    page: Axes
    width: float
    height: float

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Add axes without frame on the right and top, with a light grid along y; all lengths in inches."""
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.spines[["right", "top"]].set_visible(False)
        axes.grid(axis="y", color=GRID, linewidth=0.5)
        return axes

    def title(self, text: str, left: float, top: float) -> None:
        """Write the title of the picture or of a column, its upper edge at `top` [in]."""
        self.page.text(left, top, text, size=LARGE, weight="bold", va="top")

    def keys(self, lines: Sequence[Sequence[tuple[float, Key]]], left: float, top: float) -> None:
        """Draw a legend (see `key_lines`) from its upper left corner [in]."""
        for number, line in enumerate(lines):
            middle = top - (number + 0.5) * KEY_LINE
            for start, key in line:
                self._key(key, left + start, middle)

    def _key(self, key: Key, left: float, middle: float) -> None:
        if key.marker:
            fill = key.colours[0] if key.filled else "white"
            self.page.plot(
                [left + _KEY_SWATCH / 2], [middle], key.marker, ms=3.4, mew=0.7, mec=key.colours[0], mfc=fill
            )
        elif key.colours:
            # Several colours share one swatch: "the colour of the method, whichever it is".
            width = _KEY_SWATCH / len(key.colours)
            lefts = [left + index * width for index in range(len(key.colours))]
            bars = self.page.bar(lefts, 0.08, width, middle - 0.04, align="edge", color=key.colours)
            for bar, colour in zip(bars, key.colours, strict=True):
                finish(bar, colour)
        start = left + (_KEY_SWATCH + _KEY_PAD if key.colours else 0)
        self.page.text(start, middle, key.label, size=SMALL, va="center_baseline")

    def save(self, stem: Path) -> list[Path]:
        """Write ``stem.png`` and ``stem.svg``, each complete or not at all.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        # A date or version in the file would change its bytes though the picture is the same.
        metadata = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
        paths = []
        for suffix, facts in metadata.items():
            path = stem.with_name(f"{stem.name}.{suffix}")
            temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.figure.savefig(temporary, format=suffix, dpi=PNG_DPI, metadata=facts)
                temporary.replace(path)
            except OSError as error:
                raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
            finally:
                temporary.unlink(missing_ok=True)
            paths.append(path)
        return paths


def finish(bar: object, colour: str) -> None:
    """Give a bar the details that go with its colour: white stripes for exposed communication, an outline if pale."""
    from matplotlib.patches import Patch

    assert isinstance(bar, Patch)
    if colour == EXPOSED:
        bar.set(hatch="//////", edgecolor="white", linewidth=0)
    elif colour == OFFLINE:
        bar.set(edgecolor="#B0B0B0", linewidth=0.4, linestyle=":")


@contextmanager
def sheet(width: float, height: float) -> Iterator[Sheet]:
    """Open an empty picture of a size [in]; draw and save it inside the ``with``.

    A user's own matplotlib settings neither change the picture nor are changed by it.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        page = figure.add_axes((0, 0, 1, 1))
        page.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)
        page.set_axis_off()
        yield Sheet(figure, page, width, height)
