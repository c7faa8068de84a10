"""A tornado chart: what each input's band does to the runtime, the widest bar on top, and its share of the variance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from parasim.figures import style
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
    height = sum(heights) + len(panels) * (_TOP + _BOTTOM) + style.KEY_LINE
    # The ends of the bands are written beyond the bars.
    scale = max(max(times) - min(times), 1e-9 * max(times)) / (_PLOT_WIDTH - 2 * end_width)
    limits = ((min(times) - end_width * scale) / unit.seconds, (max(times) + end_width * scale) / unit.seconds)
    with style.sheet(width, height) as sheet:
        top = height - style.KEY_LINE
        keys = [style.Key("at the low end of its band", (LOW,)), style.Key("at the high end", (HIGH,))]
        sheet.keys(style.key_lines(keys, _PLOT_WIDTH), left, height - 0.04)
        for panel, whole, rows_height in zip(shown, panels, heights, strict=True):
            bottom = top - _TOP - rows_height
            axes = sheet.axes(left, bottom, _PLOT_WIDTH, rows_height)
            axes.grid(visible=False)
            axes.grid(axis="x", color=style.GRID, linewidth=0.5)
            axes.spines["left"].set_visible(False)
            axes.set(xlim=limits, ylim=(len(panel.bars) - 0.5, -0.5), yticks=[])
            base = panel.base / unit.seconds
            for row, bar in enumerate(panel.bars):
                _draw_bar(axes, row, bar, base, unit)
                y = bottom + rows_height - (row + 0.5) * _ROW
                sheet.page.text(left - _PAD, y, bar.name, ha="right", va="center_baseline")
                for column, share in enumerate((bar.alone, bar.total)):
                    x = left + _PLOT_WIDTH + _PAD + (column + 1) * _COLUMN - 0.06
                    text = f"{max(share, 0.0):.0%}" if share >= 0.005 else "-"
                    sheet.page.text(x, y, text, size=style.SMALL, ha="right", va="center_baseline")
            axes.axvline(base, color=style.INK, linewidth=0.8)
            title = f"{panel.method}: {style.format_time(panel.base, unit)} {unit.name}"
            sheet.title(title, left, bottom + rows_height + 0.2)
            head = bottom + rows_height + 0.05
            for column, text in enumerate(("variance:\nalone", "with\nothers")):
                x = left + _PLOT_WIDTH + _PAD + (column + 1) * _COLUMN - 0.06
                sheet.page.text(x, head, text, size=style.SMALL, ha="right", va="bottom", color=style.MUTED)
            hidden = len(whole.bars) - len(panel.bars)
            more = f"; {hidden} narrower bars not shown" if hidden else ""
            axes.set_xlabel(f"wall-clock [{unit.name}]{more}")
            top = bottom - _BOTTOM
        return sheet.save(directory / "tornado")


def _draw_bar(axes: Axes, row: int, bar: Bar, base: float, unit: style.TimeUnit) -> None:
    """Draw what either end of a band does, with the ends written beside."""
    ends = [(bar.low / unit.seconds, bar.low_end, LOW), (bar.high / unit.seconds, bar.high_end, HIGH)]
    # Where both make the run longer, the longer bar is drawn first, so that both are seen.
    for time, _, colour in sorted(ends, key=lambda end: -abs(end[0] - base)):
        axes.barh(row, time - base, _BAR, left=base, color=colour)
    slower = max(ends)
    for end in ends:
        time, text, _ = end
        on_the_right = end is slower
        place = max(time, base) if on_the_right else min(time, base)
        axes.annotate(
            text,
            (place, row),
            xytext=(3 if on_the_right else -3, 0),
            textcoords="offset points",
            size=style.SMALL,
            ha="left" if on_the_right else "right",
            va="center_baseline",
            color=style.MUTED,
        )
