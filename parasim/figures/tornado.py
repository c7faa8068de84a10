"""A tornado chart: what each input's band does to the runtime, the widest bar on top, and its share of the variance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from parasim.figures import style
from parasim.figures.sheet import KEY_LINE, Key, Sheet, note, sheet
from parasim.figures.style import FigureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches.
_PLOT_WIDTH, _ROW, _BAR = 3.2, 0.2, 0.62
_TOP, _BOTTOM, _PAD, _COLUMN, _RIGHT = 0.42, 0.38, 0.1, 0.42, 0.1
LOW, HIGH = "#0072B2", "#E69F00"
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


def draw_tornado(panels: Sequence[Panel], directory: Path) -> list[Path]:
    """Draw ``tornado.png`` and ``tornado.svg``.

    Parameters
    ----------
    panels : sequence of Panel
        One per method, one below the other, on the same scale.
    directory : Path
        Where to write the files; made if it is not there.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If there are no bars.
    OutputError
        If the files cannot be written.
    """
    if not panels or any(not panel.bars for panel in panels):
        raise FigureError("nothing to draw: there are no inputs")
    shown = [panel._replace(bars=panel.bars[:_MOST]) for panel in panels]
    times = [time for panel in shown for bar in panel.bars for time in (bar.low, bar.high, panel.base)]
    unit = style.time_unit(max(times))
    ends = [end for panel in shown for bar in panel.bars for end in (bar.low_end, bar.high_end)]
    end_width = max(style.text_width(end, style.SMALL) for end in ends) + 0.06
    left = max(style.text_width(bar.name, style.NORMAL) for panel in shown for bar in panel.bars) + _PAD + 0.06
    heights = [len(panel.bars) * _ROW for panel in shown]
    width = left + _PLOT_WIDTH + _PAD + 2 * _COLUMN + _RIGHT
    height = sum(heights) + len(panels) * (_TOP + _BOTTOM) + KEY_LINE
    # The ends of the bands are written beyond the bars.
    scale = max(max(times) - min(times), 1e-9 * max(times)) / (_PLOT_WIDTH - 2 * end_width)
    limits = ((min(times) - end_width * scale) / unit.seconds, (max(times) + end_width * scale) / unit.seconds)
    with sheet(width, height) as drawn:
        keys = [Key("at the low end of its band", (LOW,)), Key("at the high end", (HIGH,))]
        drawn.keys(keys, left, height - 0.04, _PLOT_WIDTH)
        top = height - KEY_LINE
        for panel, whole, rows_height in zip(shown, panels, heights, strict=True):
            bottom = top - _TOP - rows_height
            axes = drawn.axes(left, bottom, _PLOT_WIDTH, rows_height, grid="x")
            axes.spines["left"].set_visible(False)
            axes.set(xlim=limits, ylim=(len(panel.bars) - 0.5, -0.5), yticks=[])
            _draw_bars(drawn, axes, panel, left, bottom + rows_height, unit)
            axes.axvline(panel.base / unit.seconds, color=style.INK, linewidth=0.8)
            title = f"{panel.method}: {style.format_time(panel.base, unit)} {unit.name}"
            drawn.title(title, left, bottom + rows_height + 0.2)
            hidden = len(whole.bars) - len(panel.bars)
            more = f"; {hidden} narrower bars not shown" if hidden else ""
            axes.set_xlabel(f"wall-clock [{unit.name}]{more}")
            top = bottom - _BOTTOM
        return drawn.save(directory / "tornado")


def _draw_bars(drawn: Sheet, axes: Axes, panel: Panel, left: float, top: float, unit: style.TimeUnit) -> None:
    """Draw the rows of a panel, its upper left corner at (left, top) [in]: names, bars, shares of the variance."""
    columns = [left + _PLOT_WIDTH + _PAD + number * _COLUMN - 0.06 for number in (1, 2)]
    for x, heading in zip(columns, ("variance:\nalone", "with\nothers"), strict=True):
        drawn.text(x, top + 0.05, heading, ha="right", va="bottom", color=style.MUTED)
    for row, bar in enumerate(panel.bars):
        _draw_bar(axes, row, bar, panel.base / unit.seconds, unit)
        y = top - (row + 0.5) * _ROW
        drawn.text(left - _PAD, y, bar.name, ha="right", size=style.NORMAL)
        for x, share in zip(columns, (bar.alone, bar.total), strict=True):
            drawn.text(x, y, f"{share:.0%}" if share >= 0.005 else "-", ha="right")


def _draw_bar(axes: Axes, row: int, bar: Bar, base: float, unit: style.TimeUnit) -> None:
    """Draw what either end of a band does, with the ends written beside."""
    ends = [(bar.low / unit.seconds, bar.low_end, LOW), (bar.high / unit.seconds, bar.high_end, HIGH)]
    # Where both make the run longer, the longer bar is drawn first, so that both are seen.
    for time, _, colour in sorted(ends, key=lambda end: -abs(end[0] - base)):
        axes.barh(row, time - base, _BAR, left=base, color=colour)
    # The end that makes the run longer is written on the right, even where both do.
    (shorter, left, _), (longer, right, _) = sorted(ends)
    looks: dict[str, Any] = {"va": "center_baseline", "color": style.MUTED}
    note(axes, left, (min(shorter, base), row), (-3, 0), ha="right", **looks)
    note(axes, right, (max(longer, base), row), (3, 0), **looks)
