"""The charts of which a picture of hiding points consists: runtimes against bandwidth, and a group's hiding points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from parasim.figures import style
from parasim.figures.labels import label_ends, shortened
from parasim.figures.sheet import Sheet, ring
from parasim.figures.ticks import bandwidth_ticks
from parasim.text import amount, clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARGIN = 1.12
_LIGHTEST = 0.55
_HIGHEST = 4.0
"""Where links are slow, runtimes grow without bounds: what matters is where they level off."""
_LINE = 0.14
_SWATCH = 0.16
_SUBJECT_LINE = 0.12
TOP = 0.46
"""Space for a title and a line below it [in]."""
_NARROW = 1.9
"""Panels less wide [in] have only the numbers at their lines."""


class PointOfHiding(Protocol):
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

    @property
    def in_the_way(self) -> Mapping[str, float]:
        """What keeps communication exposed though links are unlimited [s]."""


class HidingGroup(Protocol):
    """A group of clients under one method."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def clients(self) -> str:
        """Name of the group."""

    @property
    def own(self) -> PointOfHiding:
        """Hiding point of the scenario as it is."""

    @property
    def points(self) -> Sequence[PointOfHiding]:
        """Hiding points for other batch sizes and block widths."""


@dataclass(frozen=True)
class HidingCurves:
    """A group as it is drawn.

    Attributes
    ----------
    name, colour : str
        What it is called in the picture, and its colour.
    group : HidingGroup
        Its hiding points.
    runtimes : sequence of (float, float)
        Runtimes [s] along its bandwidth [B/s]; none where the scenario as it is hides nothing.
    """

    name: str
    colour: str
    group: HidingGroup
    runtimes: Sequence[tuple[float, float]]

    @property
    def hidden(self) -> list[tuple[float | None, int, float]]:
        """Block width, batch size and bandwidth [B/s] of all hiding points, in order."""
        points = [(p.layers, p.batch_size, p.bandwidth) for p in self.group.points if p.bandwidth is not None]
        return sorted(points, key=lambda point: (point[0] or 0.0, point[1]))

    @property
    def widths(self) -> list[float | None]:
        """Block widths that were compared, the narrowest first."""
        return sorted({point.layers for point in self.group.points}, key=lambda width: width or 0.0)

    @property
    def refused(self) -> bool:
        """Whether no bandwidth hides the communication of the scenario as it is, though there is some."""
        return self.group.own.bandwidth is None and bool(self.group.own.in_the_way)


class Box(NamedTuple):
    """Where a chart stands in the picture [in]."""

    left: float
    bottom: float
    width: float
    height: float


def draw_runtimes(sheet: Sheet, box: Box, curves: Sequence[HidingCurves], *, alike: bool) -> None:
    """Draw runtimes against bandwidth with the hiding points on them, and under a title their unit.

    Parameters
    ----------
    sheet : Sheet
        The picture.
    box : Box
        Where in it.
    curves : sequence of HidingCurves
        The groups, which all have runtimes.
    alike : bool
        Whether each stands for all clients of its method.
    """
    axes = sheet.axes(*box)
    own = [curve.group.own.wall_clock for curve in curves]
    unit = style.time_unit(max(own))
    longest = max(seconds for curve in curves for _, seconds in curve.runtimes)
    ceiling = min(_HIGHEST * max(own), 1.05 * longest)
    # Slower links than those that some line reaches would be an empty strip.
    low = min(x for curve in curves for x, seconds in curve.runtimes if seconds <= ceiling)
    high = max(x for curve in curves for x, _ in curve.runtimes)
    axes.set(xscale="log", xlim=(low, high), ylim=(0, ceiling / unit.seconds))
    for curve, linewidth in zip(curves, _linewidths(len(curves)), strict=True):
        xs, ys = [x for x, _ in curve.runtimes], [seconds / unit.seconds for _, seconds in curve.runtimes]
        axes.plot(xs, ys, color=curve.colour, linewidth=linewidth)
        x, y = curve.group.own.bandwidth or 0.0, curve.group.own.wall_clock / unit.seconds
        if len(curves) == 1:
            top = 0.93 * ceiling / unit.seconds
            axes.plot([x, x], [y, top], color=curve.colour, linewidth=0.6)
            note = f"{curve.name}: {clock(curve.group.own.wall_clock)}\nhidden from {amount(x, 'B/s')} on"
            axes.text(x * 1.06, top, note, size=style.SMALL, va="top", linespacing=1.25)
        else:
            axes.plot([x, x], [0, y], color=curve.colour, linewidth=0.7, linestyle=":")
        ring(axes, x, y, curve.colour)
    bandwidth_ticks(axes.xaxis, low, high)
    axes.set_xlabel("bandwidth of every client" if alike else "bandwidth of the group, others unlimited")
    head(sheet, box, "Runtime", [unit.name])


def _linewidths(lines: int) -> list[float]:
    """Widths of lines [pt], each thinner than those below it, so that lines on top of each other are all seen."""
    return [1.3 + 2.2 * (lines - 1 - number) / max(5, lines - 1) for number in range(lines)]


def draw_list(sheet: Sheet, left: float, top: float, curves: Sequence[HidingCurves]) -> None:
    """Name the lines of the runtimes, from there to the right edge: those that need the most first."""
    right, start = sheet.width - 0.1, left + _SWATCH + 0.06
    sheet.text(right, top, "hidden from", ha="right", va="top", color=style.MUTED)
    lines = zip(curves, _linewidths(len(curves)), strict=True)
    ordered = sorted(lines, key=lambda line: -(line[0].group.own.bandwidth or 0.0))
    for number, (curve, linewidth) in enumerate(ordered):
        y = top - (number + 1.6) * _LINE
        sheet.page.plot([left, left + _SWATCH], [y, y], color=curve.colour, linewidth=linewidth, solid_capstyle="butt")
        least = amount(curve.group.own.bandwidth or 0.0, "B/s")
        sheet.text(right, y, least, ha="right")
        space = right - style.text_width(least, style.SMALL) - 0.1 - start
        sheet.text(start, y, shortened(curve.name, space, style.SMALL))


def draw_panel(
    sheet: Sheet, box: Box, curve: HidingCurves, bandwidths: tuple[float, float], sizes: Sequence[int]
) -> Axes:
    """Draw a group's hiding points over the batch size, a line per block width.

    Parameters
    ----------
    sheet : Sheet
        The picture.
    box : Box
        Where in it.
    curve : HidingCurves
        The group.
    bandwidths : (float, float)
        Between which the axis goes [B/s].
    sizes : sequence of int
        Batch sizes along the other one.
    """
    low, high = bandwidths
    axes = sheet.axes(*box)
    axes.set(yscale="log", ylim=(low, high), xlim=(sizes[0] - 0.3, sizes[-1] + 0.3), xticks=sizes)
    ends: dict[str, tuple[float, str]] = {}
    for number, width in enumerate(curve.widths):
        line = [(size, bandwidth) for layers, size, bandwidth in curve.hidden if layers == width]
        if not line:
            continue
        shade = _lighter(curve.colour, _LIGHTEST * (1 - (number + 1) / len(curve.widths)))
        axes.plot(*zip(*line, strict=True), color=shade, linewidth=1.3, marker="o", markersize=2.6)
        if width is not None:
            layers = f" layer{'s' * (width != 1)}" if box.width > _NARROW else ""
            ends[f"{width:g}{layers}"] = (line[-1][1], shade)
    own = curve.group.own
    if own.bandwidth is not None:
        ring(axes, own.batch_size, own.bandwidth, curve.colour)
    elif curve.refused:
        axes.plot([own.batch_size], [high], "x", ms=4.2, mew=1.1, color=curve.colour, clip_on=False, zorder=5)
    bandwidth_ticks(axes.yaxis, low, high)
    label_ends(sheet, axes, ends)
    return axes


def bandwidth_range(curves: Sequence[HidingCurves]) -> tuple[float, float]:
    """Bandwidths that an axis for all hiding points of some groups begins and ends with [B/s]."""
    values = [bandwidth for curve in curves for _, _, bandwidth in curve.hidden]
    return min(values) / _MARGIN, max(values) * _MARGIN


def batch_sizes(curves: Sequence[HidingCurves]) -> list[int]:
    """Batch sizes that have a place on an axis for some groups: those of hiding points, and the scenario's own."""
    sizes = {size for curve in curves for _, size, _ in curve.hidden}
    return sorted(sizes | {curve.group.own.batch_size for curve in curves if curve.refused})


def subject(curves: Sequence[HidingCurves]) -> str:
    """Say what the lines of panels are, and which block widths have none."""
    compared = sorted({width for curve in curves for width in curve.widths if width is not None})
    if not compared:
        return ""
    helped = {width for curve in curves for width, _, _ in curve.hidden}
    never = [f"{width:g}" for width in compared if width not in helped]
    return "by layers per block" + (f"; with {' and '.join(never)}, at no batch size" if never else "")


def head(sheet: Sheet, box: Box, title: str, lines: Sequence[str]) -> None:
    """Write a title above a chart, and between them what it is about."""
    top = box.bottom + box.height + head_height(lines) - 0.06
    sheet.title(title, box.left, top)
    for number, line in enumerate(lines):
        sheet.text(box.left, top - 0.18 - number * _SUBJECT_LINE, line, va="top", color=style.MUTED)


def head_height(lines: Sequence[str]) -> float:
    """Space for a title and lines below it [in]."""
    return TOP + _SUBJECT_LINE * max(0, len(lines) - 1)


def _lighter(colour: str, share: float) -> str:
    """Mix a colour with a share of white."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))
