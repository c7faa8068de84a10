"""A tornado chart: what each input's band does to the runtime, the widest bar on top, and its share of the variance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from parasim.figures import style
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import note, write
from parasim.figures.sheet import Key, Sheet, draw_to_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches.
_WIDTH, _ROW, _BAR, _TOP, _BETWEEN = 5.2, 0.2, 0.62, 0.28, 0.8
_COLUMNS = 0.45, 0.87
"""Right edges of the shares of the variance, right of the chart."""
LOW, HIGH = "#0072B2", "#E69F00"
_NARROW, _OWN_LINE = 1.8, 0.36
"""Width of the chart below which names stand above their bars, and a row's height then."""
_MOST = 12
"""Rows of a panel; what is narrower than that many is left out, and counted."""


class Bar(NamedTuple):
    """One input.

    Attributes
    ----------
    name : str
        What it is.
    low_end, high_end : str
        Ends of its band, as people write them.
    low, high : float
        Runtime at either end [s].
    alone, total : float
        Its shares of the variance.
    """

    name: str
    low_end: str
    high_end: str
    low: float
    high: float
    alone: float
    total: float


class Panel(NamedTuple):
    """One method.

    Attributes
    ----------
    method : str
        Its name.
    base : float
        Runtime as the scenario says [s].
    bars : sequence of Bar
        The widest first.
    """

    method: str
    base: float
    bars: Sequence[Bar]


def draw_tornado(panels: Sequence[Panel], directory: Path, look: Look = USUAL) -> list[Path]:
    """Draw ``tornado``.

    Parameters
    ----------
    panels : sequence of Panel
        One per method, one below the other, on the same scale.
    directory : Path
        Where to write the files; made if it is not there.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OutputError
        If the files cannot be written.
    """
    return draw_to_width(partial(_draw, panels=panels), directory / "tornado", look, _WIDTH)


def _draw(drawn: Sheet, room: float, panels: Sequence[Panel]) -> None:
    shown = [panel._replace(bars=panel.bars[:_MOST]) for panel in panels]
    times = [time for panel in shown for bar in panel.bars for time in (bar.low, bar.high, panel.base)]
    unit = style.time_unit(max(times))
    name = max(style.text_width(bar.name, style.NORMAL) for panel in shown for bar in panel.bars) + 0.05
    above = room - name - _COLUMNS[-1] < _NARROW
    width, row_height = room - _COLUMNS[-1] - (0.0 if above else name), _OWN_LINE if above else _ROW
    # The ends of the bands are written beyond the bars.
    ends = max(style.text_width(text, style.SMALL) for panel in shown for b in panel.bars for text in b[1:3]) + 0.08
    space = (max(times) - min(times)) * ends / max(width - 2 * ends, 0.2) or 1e-9 * max(times)
    limits = (min(times) - space) / unit.seconds, (max(times) + space) / unit.seconds
    keys = [Key("at the low end of its band", (LOW,)), Key("at the high end", (HIGH,))]
    drawn.keys(keys, 0, _TOP, width)
    top = 0.0
    for panel, whole in zip(shown, panels, strict=True):
        height = len(panel.bars) * row_height
        axes = drawn.axes(0, top - height, width, height, grid="x")
        axes.spines["left"].set_visible(False)
        axes.set(xlim=limits, ylim=(len(panel.bars) - 0.5, -0.5))
        axes.set_yticks(range(len(panel.bars)), ["" if above else bar.name for bar in panel.bars])
        axes.tick_params(axis="y", length=0, labelsize=style.points(style.NORMAL))
        for row, bar in enumerate(panel.bars if above else ()):
            write(axes, 0, row - 0.42, bar.name, va="center", transform=axes.get_yaxis_transform())
        axes.locator_params(axis="x", nbins=max(3, int(width / 0.4)))
        _draw_bars(axes, panel, unit, width, _BAR * _ROW / row_height)
        axes.axvline(panel.base / unit.seconds, color=style.INK, linewidth=0.8)
        title = f"{drawn.look.name(panel.method)}: {style.format_time(panel.base, unit)} {unit.name}"
        drawn.title(title, 0, top + 0.07)
        hidden = len(whole.bars) - len(panel.bars)
        more = f"; {hidden} narrower bars not shown" if hidden else ""
        axes.set_xlabel(f"wall-clock [{unit.name}]{more}")
        top -= height + _BETWEEN


def _draw_bars(axes: Axes, panel: Panel, unit: style.TimeUnit, width: float, thick: float) -> None:
    """Draw the bars of a panel, and beside them their shares of the variance."""
    looks: dict[str, Any] = {"ha": "right", "transform": axes.get_yaxis_transform()}
    columns = [1 + column / width for column in _COLUMNS]
    for x, heading in zip(columns, ("variance:\nalone", "with\nothers"), strict=True):
        write(axes, x, -0.7, heading, va="bottom", color=style.MUTED, **looks)
    for row, bar in enumerate(panel.bars):
        _draw_bar(axes, (row, thick), bar, panel.base / unit.seconds, unit)
        for x, share in zip(columns, (bar.alone, bar.total), strict=True):
            write(axes, x, row, f"{share:.0%}" if share >= 0.005 else "-", va="center_baseline", **looks)


def _draw_bar(axes: Axes, place: tuple[int, float], bar: Bar, base: float, unit: style.TimeUnit) -> None:
    """Draw what either end of a band does, in a row and so thick, with the ends written beside."""
    row, thick = place
    ends = [(bar.low / unit.seconds, bar.low_end, LOW), (bar.high / unit.seconds, bar.high_end, HIGH)]
    # Where both make the run longer, the longer bar is drawn first, so that both are seen.
    for time, _, colour in sorted(ends, key=lambda end: -abs(end[0] - base)):
        axes.barh(row, time - base, thick, left=base, color=colour)
    # The end that makes the run longer is written on the right, even where both do.
    (shorter, left, _), (longer, right, _) = sorted(ends)
    looks: dict[str, Any] = {"va": "center_baseline", "color": style.MUTED}
    note(axes, left, (min(shorter, base), row), (-3, 0), ha="right", **looks)
    note(axes, right, (max(longer, base), row), (3, 0), **looks)
