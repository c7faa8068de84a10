"""An empty picture that is laid out in inches: axes and their ticks, titles, legends, and how files are written.

Files are the same bytes from run to run, and as large as what is drawn, whichever side of the origin it is on.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from parasim.figures import style
from parasim.text import amount
from sim.support.atomic_files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

_DPI = 220
_MARGIN = 0.04
"""Around what is drawn [in]."""
_TINY = 0.001
"""Side of the plane for titles and legends [in]: files are at least as large as the plane."""
_MANY_DECADES = {True: 1.6, False: 4.0}
"""From how many decades on numbers at 2 and 5 of an axis would touch, with and without a unit."""
_SWATCH, _PAD, _GAP, _KEY_LINE = 0.10, 0.04, 0.13, 0.135
# A date or version in the file would change its bytes though the picture is the same.
_METADATA: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


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
    hatch : str
        Pattern on the box, in the colour `hatched`.
    hatched : str
        That colour.
    """

    label: str
    colours: tuple[str, ...] = ()
    marker: str = ""
    filled: bool = False
    hatch: str = ""
    hatched: str = "white"


@dataclass(frozen=True)
class Sheet:
    """An empty picture, laid out in inches from an origin.

    Attributes
    ----------
    figure : matplotlib Figure
        The picture: a square inch, so that its fractions are inches.
    page : matplotlib Axes
        An invisible plane whose unit is the inch, for titles and legends.
    """

    figure: Figure
    page: Axes

    def axes(self, left: float, bottom: float, width: float, height: float, grid: str = "y") -> Axes:
        """Add axes without frame on the right and top; all lengths in inches.

        Parameters
        ----------
        left, bottom, width, height : float
            Where they stand.
        grid : str
            Light lines at the ticks of ``"x"``, ``"y"``, ``"both"`` or none (empty).
        """
        axes = self.figure.add_axes((left, bottom, width, height))
        if grid:
            axes.grid(axis=grid)  # type: ignore[arg-type]
        return axes

    def title(self, text: str, left: float, bottom: float) -> None:
        """Write the title of the picture or of a column above a height [in]."""
        self.page.text(left, bottom, text, size=style.LARGE, weight="bold", va="bottom")

    def text(self, left: float, middle: float, text: str, **looks: Any) -> None:
        """Write small text in the middle of a line at a height [in], unless matplotlib's `looks` say otherwise."""
        looks = {"size": style.SMALL, "va": "center_baseline", **looks}
        self.page.text(left, middle, text, **looks)

    def unit(self, axes: Axes, name: str, above: float = 0.14) -> None:
        """Write the unit of a vertical axis above it, by so many inches."""
        place = axes.get_position()
        self.text(place.x0 - 0.05, place.y1 + above, name, ha="right", va="top")

    def keys(self, keys: Sequence[Key], left: float, bottom: float, width: float) -> float:
        """Draw a legend in lines of some width, from its lower left corner up [in]; return its upper edge."""
        lines: list[list[tuple[float, Key]]] = []
        start = width + 1
        for key in keys:
            length = style.text_width(key.label, style.SMALL) + (_SWATCH + _PAD if key.colours else 0)
            if start + length > width:
                lines.append([])
                start = 0.0
            lines[-1].append((start, key))
            start += length + _GAP
        for number, line in enumerate(reversed(lines)):
            for start, key in line:
                self._key(key, left + start, bottom + (number + 0.5) * _KEY_LINE)
        return bottom + len(lines) * _KEY_LINE

    def _key(self, key: Key, left: float, middle: float) -> None:
        if key.marker:
            edge, face = key.colours[0], key.colours[0] if key.filled else "white"
            x = left + _SWATCH / 2
            self.page.plot([x], [middle], key.marker, ms=3.4, mew=0.7, mec=edge, mfc=face, clip_on=False)
        elif key.colours:
            # Several colours share one swatch: "the colour of the method, whichever it is".
            width = _SWATCH / len(key.colours)
            for index, colour in enumerate(key.colours):
                x = left + index * width
                box = self.page.bar(x, 0.08, width, middle - 0.04, align="edge", clip_on=False)[0]
                fill(box, colour)
                if key.hatch:
                    box.set(hatch=key.hatch, edgecolor=key.hatched, linewidth=0)
        self.text(left + (_SWATCH + _PAD if key.colours else 0), middle, key.label)

    def save(self, stem: Path) -> list[Path]:
        """Write ``stem.png`` and ``stem.svg``, each complete or not at all.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        # Once for all files: left to each of them, it would draw the picture one more time.
        drawn = self.figure.get_tightbbox().padded(_MARGIN)

        def write(file: Any, suffix: str) -> None:
            # The file is opened as text, below which are the bytes that a picture without text is written to.
            to = file if suffix == "svg" else file.buffer
            self.figure.savefig(to, format=suffix, metadata=_METADATA[suffix], dpi=_DPI, bbox_inches=drawn)

        paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in _METADATA]
        for path, suffix in zip(paths, _METADATA, strict=True):
            write_atomically(path, partial(write, suffix=suffix))
        return paths


@contextmanager
def sheet(settings: dict[Any, Any] | None = None) -> Iterator[Sheet]:
    """Open an empty picture, with further settings of matplotlib; draw and save it inside the ``with``.

    A user's own matplotlib settings neither change the picture nor are changed by it.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(settings, fname=style.SETTINGS):
        figure = Figure(figsize=(1, 1))
        FigureCanvasAgg(figure)
        page = figure.add_axes((0, 0, _TINY, _TINY))
        page.set(xlim=(0, _TINY), ylim=(0, _TINY), autoscale_on=False)
        page.set_axis_off()
        yield Sheet(figure, page)


def svg_for_page(draw: Callable[[Sheet, float], object], width: float) -> str:
    """Return a picture as an SVG without background, exactly as wide as told, whose text is text.

    Parameters
    ----------
    draw : callable
        Draws it on a sheet, from the origin to the right, as wide as its second argument [in].
    width : float
        Of the picture [in].
    """
    from matplotlib.transforms import Bbox

    file = io.StringIO()
    with sheet({"svg.fonttype": "none"}) as drawn:
        draw(drawn, width)
        low, high = drawn.figure.get_tightbbox().padded(_MARGIN).intervaly
        box = Bbox([[0, low], [width, high]])
        drawn.figure.savefig(file, format="svg", transparent=True, metadata=_METADATA["svg"], bbox_inches=box)
    return file.getvalue()


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
    return axes.annotate(text, place, offset, textcoords="offset points", **looks)


def list_beside(axes: Axes, heading: str) -> None:
    """List the labelled lines and marks of a chart at its right."""
    axes.legend(title=heading, loc="upper left", bbox_to_anchor=(1.03, 1), borderaxespad=0.0, alignment="left")


def log_ticks(axis: Axis, unit: str = "") -> None:
    """Put ticks on a logarithmic axis: at powers of ten and, where there is space, at 2 and 5 times those.

    Where there would be none but one, they are at all multiples of the powers of ten.

    Parameters
    ----------
    axis : matplotlib Axis
        The axis, whose limits are set.
    unit : str
        Base unit that the numbers carry, with its prefixes: ``B/s``.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    sparse = math.log10(high / low) > _MANY_DECADES[bool(unit)]
    subs: Sequence[float] = (1.0,) if sparse else (1.0, 2.0, 5.0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    if sum(low <= sub * 10.0**power <= high for power in powers for sub in subs) < 2:
        subs = range(1, 10)
    axis.set_major_locator(LogLocator(subs=[*subs], numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: amount(value, unit) if unit else f"{value:,.10g}")
