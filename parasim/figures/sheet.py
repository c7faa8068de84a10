"""An empty picture that is laid out in inches: axes, titles, legends, and how files are written.

Files are the same bytes from run to run, and hold text as text. Where text is larger than usual
(`parasim.figures.look`), so are the inches of the layout, so that all that is told in them has room for it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.keys import STROKE, SWATCH, Key
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import fill
from parasim_core.sim.support.atomic_files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_DPI = 220
_MARGIN = 0.04
"""Around what is drawn [in]."""
_TINY = 0.001
"""Side of the plane for titles and legends [in]: files are at least as large as the plane."""
_GAP, _KEY_LINE = 0.13, 0.135
"""Between entries of a legend, and height of a line of it [in]."""
_PASSES, _NEAR, _NARROW = 4, 0.012, 1.2
"""How often a picture is drawn until it has its width, to so many inches; what is drawn gets no narrower [in]."""
# A date or version in the file would change its bytes though the picture is the same.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_FONT = "'DejaVu Sans'"
_FONTS = f"{_FONT}, Verdana, sans-serif"
"""Of text in an SVG: fonts as wide as the one it was laid out in, where that is not installed."""


@dataclass(frozen=True)
class Sheet:
    """An empty picture, laid out in inches from an origin.

    Attributes
    ----------
    figure : matplotlib Figure
        The picture: a square inch, so that its fractions are inches.
    page : matplotlib Axes
        An invisible plane whose unit is the inch, for titles and legends.
    look : Look
        How it is wanted.
    """

    figure: Figure
    page: Axes
    look: Look = USUAL

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
        """Write the title of a part of the picture above a height [in]."""
        self.text(left, bottom, text, size=style.LARGE, weight="bold", va="bottom")

    def text(self, left: float, middle: float, text: str, **looks: Any) -> None:
        """Write small text in the middle of a line at a height [in], unless matplotlib's `looks` say otherwise."""
        looks = {"size": style.SMALL, "va": "center_baseline", **looks}
        looks["size"] = style.points(looks["size"])
        self.page.text(left, middle, text, **looks)

    def unit(self, axes: Axes, name: str, above: float = 0.14) -> None:
        """Write what a vertical axis measures, or its unit, above it by so many inches, from the picture's edge on."""
        place = axes.get_position()
        self.text(place.x0 - self.digits(axes), place.y1 + above, name, va="top")

    def digits(self, axes: Axes) -> float:
        """Width that the numbers of an upright axis take at its left [in]."""
        texts = [tick.get_text() for tick in axes.get_yticklabels()]
        return max((style.text_width(text, style.SMALL) for text in texts), default=0.0) + 0.05

    def keys(self, keys: Sequence[Key], left: float, bottom: float, width: float) -> float:
        """Draw a legend in lines of some width, from its lower left corner up [in]; return its upper edge."""
        lines: list[list[tuple[float, Key]]] = []
        start = width + 1
        for key in keys:
            if start + key.width > width:
                lines.append([])
                start = 0.0
            lines[-1].append((start, key))
            start += key.width + _GAP
        for number, line in enumerate(reversed(lines)):
            for start, key in line:
                self._key(key, left + start, bottom + (number + 0.5) * _KEY_LINE)
        return bottom + len(lines) * _KEY_LINE

    def listed(self, keys: Sequence[Key], left: float, top: float, width: float) -> float:
        """Draw a legend in columns, from its upper left corner down [in]; return its lower edge."""
        column = max((key.width for key in keys), default=0.0) + _GAP
        columns = max(1, min(len(keys), int((width + _GAP) / column)))
        # As high as each other, so that the list reads down one column and goes on at the top of the next.
        rows = -(-len(keys) // columns)
        lowest = top
        for number in range(columns):
            edge = top
            for key in keys[number * rows : (number + 1) * rows]:
                self._key(key, left + number * column, edge - _KEY_LINE / 2)
                edge -= key.lines * _KEY_LINE + (0.05 if key.lines > 1 else 0.0)
            lowest = min(lowest, edge)
        return lowest

    def _key(self, key: Key, left: float, middle: float) -> None:
        if key.dashes:
            ends = [left, left + STROKE]
            self.page.plot(ends, [middle] * 2, key.dashes, color=key.colours[0], linewidth=1.2, clip_on=False)
        if key.marker:
            edge, face = key.colours[0], key.colours[0] if key.filled else "white"
            x = left + (STROKE if key.dashes else SWATCH) / 2
            self.page.plot([x], [middle], key.marker, ms=3.4, mew=0.7, mec=edge, mfc=face, clip_on=False)
        elif key.colours and not key.dashes:
            # Several colours share one swatch: "the colour of the method, whichever it is".
            width = SWATCH / len(key.colours)
            for index, colour in enumerate(key.colours):
                x = left + index * width
                box = self.page.bar(x, 0.08, width, middle - 0.04, align="edge", clip_on=False)[0]
                fill(box, colour)
                if key.hatch:
                    box.set(hatch=key.hatch, edgecolor=key.hatched, linewidth=0)
        for number, line in enumerate(key.label.split("\n")):
            self.text(left + key.indent, middle - number * _KEY_LINE, line)

    def extent(self) -> Bbox:
        """Return what is drawn, with its margin, in the layout's inches."""
        from matplotlib.transforms import Affine2D

        box = self.figure.get_tightbbox().padded(_MARGIN * self.look.scale)
        return box.transformed(Affine2D().scale(1 / self.look.scale))

    def save(self, stem: Path, box: Bbox, title: str, width: float) -> list[Path]:
        """Write the kinds of files that are wanted, each complete or not at all.

        Parameters
        ----------
        stem : Path
            Where, without an ending.
        box : Bbox
            What is drawn (`extent`); found once for all files, because each would draw the picture one more time.
        title : str
            Written above everything, unless the look names another.
        width : float
            Width of the files [in], or of what is drawn where that is wider.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        from matplotlib.transforms import Affine2D, Bbox

        title = title if self.look.title is None else self.look.title
        if title:
            lines = style.wrapped(title, max(box.width, width) - 2 * _MARGIN, style.LARGE, "bold")
            self.title(lines, box.x0 + _MARGIN, box.y1 + 0.02)
            box = Bbox([box.p0, [box.x1, self.extent().y1]])
        if box.width < width + _NEAR:
            box = Bbox([box.p0, [box.x0 + width, box.y1]])
        drawn = box.transformed(Affine2D().scale(self.look.scale))

        def write(file: Any, suffix: str) -> None:
            # The file is opened as text, below which are the bytes that a picture without text is written to.
            to = io.StringIO() if suffix == "svg" else file.buffer
            self.figure.savefig(to, format=suffix, metadata=_METADATA[suffix], dpi=_DPI, bbox_inches=drawn)
            if suffix == "svg":
                file.write(_with_fonts(to.getvalue()))

        paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in self.look.suffixes]
        for path, suffix in zip(paths, self.look.suffixes, strict=True):
            write_atomically(path, partial(write, suffix=suffix))
        return paths


@contextmanager
def sheet(look: Look = USUAL) -> Iterator[Sheet]:
    """Open an empty picture; draw and save it inside the ``with``.

    A user's own matplotlib settings neither change the picture nor are changed by it.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes: dict[Any, float] = {name: size * look.scale for name, size in style.TYPE_SIZES.items()}
    with matplotlib.rc_context(sizes, fname=style.SETTINGS):
        figure = Figure(figsize=(look.scale, look.scale))
        FigureCanvasAgg(figure)
        page = figure.add_axes((0, 0, _TINY, _TINY))
        page.set(xlim=(0, _TINY), ylim=(0, _TINY), autoscale_on=False)
        page.set_axis_off()
        yield Sheet(figure, page, look)


def draw_to_width(
    draw: Callable[[Sheet, float], object], stem: Path, look: Look, width: float, title: str = ""
) -> list[Path]:
    """Draw a picture of a certain width, and write its files.

    Parameters
    ----------
    draw : callable
        Draws it on a sheet; its second argument is the room from the left edge to the right one [in]. It is called
        again with less room where what it draws is wider, or with more.
    stem : Path
        Where the files go, without their endings.
    look : Look
        How the picture is wanted.
    width : float
        Of the picture [in], if the look names none. One whose texts leave no room is as narrow as they allow.
    title : str
        Above the picture, unless the look names another.

    Raises
    ------
    OutputError
        If the files cannot be written.
    """
    wanted = (look.width or width) / look.scale
    room = wanted - _MARGIN
    for left in reversed(range(_PASSES)):
        with sheet(look) as drawn:
            draw(drawn, room)
            box = drawn.extent()
            excess = box.width - wanted
            narrower = max(room - excess, _NARROW)
            if not left or abs(excess) <= _NEAR or narrower == room:
                return drawn.save(stem, box, title, wanted)
            room = narrower
    raise AssertionError("the last pass saves")


def svg_for_page(draw: Callable[[Sheet, float], object], width: float) -> str:
    """Return a picture as an SVG without background, exactly as wide as told.

    Parameters
    ----------
    draw : callable
        Draws it on a sheet, from the origin to the right, as wide as its second argument [in].
    width : float
        Of the picture [in].
    """
    from matplotlib.transforms import Bbox

    file = io.StringIO()
    with sheet() as drawn:
        draw(drawn, width)
        low, high = drawn.extent().intervaly
        box = Bbox([[0, low], [width, high]])
        drawn.figure.savefig(file, format="svg", transparent=True, metadata=_METADATA["svg"], bbox_inches=box)
    return _with_fonts(file.getvalue())


def _with_fonts(svg: str) -> str:
    """Name fonts for machines without the one that the text was laid out in."""
    return re.sub(r"<text[^>]*>", lambda tag: tag[0].replace(_FONT, _FONTS), svg)
