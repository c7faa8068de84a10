"""Where communication becomes hidden: runtime against bandwidth, and the hiding point over batch size and block width.

On the left a line per group of clients, with its hiding point; on the right, for the group that needs the most, a line
per block width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from parasim.cli.text import amount, clock
from parasim.figures import style
from parasim.figures.bandwidth import bandwidth_axis
from parasim.figures.labels import label_ends
from parasim.figures.style import FigureError, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches.
_LEFT, _BOTTOM, _TOP, _PLOT_HEIGHT = 0.42, 0.40, 0.46, 2.0
_RUNTIME_WIDTH, _GAP, _CURVE_WIDTH = 2.85, 0.66, 2.0
_ROOM = 1.12
_STYLES = ("-", "--", ":", "-.")
_LIGHTEST = 0.55


class Point(Protocol):
    """Where communication becomes hidden in one scenario."""

    @property
    def batch_size(self) -> int:
        """Its batch size."""

    @property
    def layers(self) -> float | None:
        """Its block width, if that is a choice."""

    @property
    def bandwidth(self) -> float | None:
        """The least bandwidth at which communication is hidden [B/s], if there is one."""

    @property
    def wall_clock(self) -> float:
        """Runtime there [s]."""


class Group(Protocol):
    """A group of clients under one method."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def clients(self) -> str:
        """Name of the group."""

    @property
    def own(self) -> Point:
        """Hiding point of the scenario as it is."""

    @property
    def points(self) -> Sequence[Point]:
        """Hiding points for other batch sizes and block widths."""


def draw_hiding(groups: Sequence[tuple[Group, Sequence[tuple[float, float]]]], directory: Path) -> list[Path]:
    """Draw ``hiding.png`` and ``hiding.svg``.

    Parameters
    ----------
    groups : sequence of (Group, sequence of (float, float))
        Each with runtimes [s] along its bandwidth [B/s].
    directory : Path
        Where the files go.

    Raises
    ------
    FigureError
        If no group has a hiding point.
    OutputError
        If the files cannot be written.
    """
    drawn = [(group, runtimes) for group, runtimes in groups if group.own.bandwidth is not None]
    if not drawn:
        raise FigureError("nothing to draw: no communication becomes hidden")
    with style.sheet(style.PAGE_WIDTH, _BOTTOM + _PLOT_HEIGHT + _TOP) as sheet:
        _draw_runtimes(sheet, drawn)
        most = max((group for group, _ in drawn), key=lambda group: group.own.bandwidth or 0.0)
        _draw_curves(sheet, most, several=len(drawn) > 1)
        return sheet.save(directory / "hiding")


def _draw_runtimes(sheet: Sheet, drawn: Sequence[tuple[Group, Sequence[tuple[float, float]]]]) -> None:
    axes = sheet.axes(_LEFT, _BOTTOM, _RUNTIME_WIDTH, _PLOT_HEIGHT)
    unit = style.time_unit(max(group.own.wall_clock for group, _ in drawn))
    bandwidths = [bandwidth for _, runtimes in drawn for bandwidth, _ in runtimes]
    low, high = min(bandwidths), max(bandwidths)
    # Where links are slow, runtimes grow without bounds: what matters is where they level off.
    ceiling = 4 * max(group.own.wall_clock for group, _ in drawn) / unit.seconds
    axes.set(xscale="log", xlim=(low, high), ylim=(0, ceiling))
    colours = style.method_colours(group.method for group, _ in drawn)
    for number, (group, runtimes) in enumerate(drawn):
        xs, ys = [x for x, _ in runtimes], [y / unit.seconds for _, y in runtimes]
        dashes = _STYLES[number % len(_STYLES)]
        axes.plot(xs, ys, color=colours[group.method], linewidth=1.3, linestyle=dashes, clip_on=True)
        assert group.own.bandwidth is not None
        x, y = group.own.bandwidth, group.own.wall_clock / unit.seconds
        _mark(axes, x, y, colours[group.method])
        height = ceiling * (0.93 - 0.17 * number)
        axes.plot([x, x], [y, height], color=colours[group.method], linewidth=0.6, linestyle=dashes)
        name = f"{group.method}, {group.clients}" if len(drawn) > 1 else group.method
        note = f"{name}: {clock(group.own.wall_clock)}\nhidden from {amount(x, 'B/s')} on"
        axes.text(x * 1.06, height, note, size=style.SMALL, va="top", color=style.INK, linespacing=1.25)
    bandwidth_axis(axes.xaxis, low, high)
    axes.set_xlabel("bandwidth of every client" if len(drawn) == 1 else "bandwidth of the group, others unlimited")
    sheet.title("Runtime", _LEFT, sheet.height - 0.06)
    sheet.page.text(_LEFT, sheet.height - 0.24, unit.name, size=style.SMALL, va="top", color=style.MUTED)


def _draw_curves(sheet: Sheet, group: Group, *, several: bool) -> None:
    left = _LEFT + _RUNTIME_WIDTH + _GAP
    axes = sheet.axes(left, _BOTTOM, _CURVE_WIDTH, _PLOT_HEIGHT)
    lines: dict[float | None, list[tuple[int, float]]] = {}
    for point in group.points:
        if point.bandwidth is not None:
            lines.setdefault(point.layers, []).append((point.batch_size, point.bandwidth))
    values = [bandwidth for line in lines.values() for _, bandwidth in line]
    low, high = min(values) / _ROOM, max(values) * _ROOM
    sizes = sorted({size for line in lines.values() for size, _ in line})
    axes.set(yscale="log", ylim=(low, high), xlim=(sizes[0] - 0.3, sizes[-1] + 0.3), xticks=sizes)
    colour = style.method_colours([group.method])[group.method]
    ends: dict[str, tuple[float, str]] = {}
    widths = sorted(lines, key=lambda width: width or 0.0)
    for number, width in enumerate(widths):
        line = sorted(lines[width])
        shade = _lighter(colour, _LIGHTEST * (1 - (number + 1) / len(widths)))
        xs, ys = [size for size, _ in line], [bandwidth for _, bandwidth in line]
        axes.plot(xs, ys, color=shade, linewidth=1.3, marker="o", markersize=2.6)
        share = math.log(ys[-1] / low) / math.log(high / low)
        ends[_width_name(width)] = (_BOTTOM + share * _PLOT_HEIGHT, shade)
    assert group.own.bandwidth is not None
    _mark(axes, group.own.batch_size, group.own.bandwidth, colour)
    bandwidth_axis(axes.yaxis, low, high)
    axes.set_xlabel("batch size")
    sheet.title("Bandwidth from which on all is hidden", left, sheet.height - 0.06)
    subject = f"of {group.clients}, by layers per block" if several else "by layers per block"
    if widths != [None]:
        sheet.page.text(left, sheet.height - 0.24, subject, size=style.SMALL, va="top", color=style.MUTED)
    label_ends(sheet, ends, left + _CURVE_WIDTH, _BOTTOM, _BOTTOM + _PLOT_HEIGHT)


def _mark(axes: Axes, x: float, y: float, colour: str) -> None:
    axes.plot([x], [y], marker="o", markersize=5.5, markerfacecolor="white", markeredgecolor=colour, zorder=5)


def _width_name(width: float | None) -> str:
    if width is None:
        return "all widths"
    return f"{width:g} layer" if width == 1 else f"{width:g} layers"


def _lighter(colour: str, share: float) -> str:
    """Mix a colour with a share of white."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(colour)
    return to_hex((red + (1 - red) * share, green + (1 - green) * share, blue + (1 - blue) * share))
