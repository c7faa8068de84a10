"""Where communication becomes hidden: runtime against bandwidth, and the hiding point over batch size and block width.

One chart has the runtimes of all groups of clients, with a line in its own colour for each, and below it each has a
small panel. Where no bandwidth hides the communication of the scenario as it is, there are no runtimes to draw, but
the panels show which widths and batch sizes help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from parasim.figures import style
from parasim.figures.labels import LineEnd, label_ends, shortened
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import log_ticks, ring
from parasim.figures.sheet import Key, Sheet, draw_to_width
from parasim.planning.search.hiding_points import GroupCurve
from parasim.text import amount

# All lengths are in inches.
_WIDTH, _HEIGHT, _FLAT = 6.6, 2.0, 0.62
_LEFT, _NAME_OF_AXIS = 0.55, 0.4
_PANEL_WIDTH, _PANEL_HEIGHT, _ENDS, _ROW_GAP = 1.35, 1.25, 0.55, 0.62
"""Least width of a panel, height, space for the names of its lines, and space between rows."""
_MOST_COLUMNS = 3
_MOST = len(style.GROUP_COLOURS)
_MARGIN = 1.12
_LIGHTEST = 0.55
_HIGHEST = 4.0
"""Where links are slow, runtimes grow without bounds: what matters is where they level off."""


@dataclass(frozen=True)
class _Curves:
    """A group as it is drawn: its name and colour, hiding points, and runtimes [s] along its bandwidth [B/s]."""

    name: str
    colour: str
    group: GroupCurve
    runtimes: Sequence[tuple[float, float]]

    @property
    def hidden(self) -> list[tuple[float | None, int, float]]:
        """Block width, batch size and bandwidth [B/s] of all hiding points, in order."""
        points = [
            (p.workload.layers, p.workload.batch_size, p.bandwidth)
            for p in self.group.points
            if p.bandwidth is not None
        ]
        return sorted(points, key=lambda point: (point[0] or 0.0, point[1]))

    @property
    def widths(self) -> list[float | None]:
        """Block widths that were compared, the narrowest first."""
        return sorted({point.workload.layers for point in self.group.points}, key=lambda width: width or 0.0)

    @property
    def own(self) -> float:
        """Bandwidth from which on the scenario as it is hides its communication [B/s]; 0 if there is none."""
        return self.group.own.bandwidth or 0.0

    @property
    def refused(self) -> bool:
        """Whether no bandwidth hides the communication of the scenario as it is, though there is some."""
        return self.group.own.bandwidth is None and bool(self.group.own.in_the_way)


def draw_hiding(
    groups: Sequence[tuple[GroupCurve, Sequence[tuple[float, float]]]], directory: Path, look: Look = USUAL
) -> list[Path]:
    """Draw ``hiding``.

    Parameters
    ----------
    groups : sequence of (GroupCurve, sequence of (float, float))
        Each with runtimes [s] along its bandwidth [B/s]; none where the scenario as it is hides nothing. One at least
        has a hiding point, at some batch size and block width.
    directory : Path
        Where the files go.
    look : Look
        How the picture is wanted.

    Raises
    ------
    OutputError
        If the files cannot be written.
    """
    drawable = [(g, runtimes) for g, runtimes in groups if any(point.bandwidth is not None for point in g.points)]
    # Each method's clients are all alike.
    alike = len({group.method for group, _ in groups}) == len(groups)
    curves = _named(drawable, look, alike=alike)
    draw = partial(_draw, curves=curves, groups=len(drawable), alike=alike)
    return draw_to_width(draw, directory / "hiding", look, _WIDTH)


def _draw(drawn: Sheet, room: float, curves: Sequence[_Curves], groups: int, *, alike: bool) -> None:
    """Draw runtimes, if there are any, and below them the panels, in as many columns as there is room for."""
    lines = [curve for curve in curves if curve.runtimes]
    top = 0.0
    if lines:
        quantity = "bandwidth of every client" if alike else "bandwidth of one group, the others' unlimited"
        top = _draw_runtimes(drawn, room, lines, quantity) - 0.3
    keys = [Key("the scenario as it is", (style.MUTED,), "o")] if lines else []
    if any(curve.refused for curve in curves):
        keys.append(Key("the scenario as it is: no bandwidth hides its communication", (style.MUTED,), "x"))
    said = [_subject(curves)]
    if groups > len(curves):
        said.insert(0, f"the {len(curves)} of {groups} groups that need the most")
    explained = style.wrapped("; ".join(filter(None, said)), room, style.SMALL)
    heading = style.wrapped("Bandwidth that hides all communication, by batch size", room, style.LARGE, "bold")
    drawn.text(0, top, heading, size=style.LARGE, weight="bold", va="top")
    top -= 0.14 * (heading.count("\n") + 1) + 0.03
    for line in filter(None, explained.split("\n")):
        drawn.text(0, top - 0.05, line, color=style.MUTED)
        top -= 0.12
    top = drawn.listed(keys, 0, top - 0.03, room) - 0.3
    values = [bandwidth for curve in curves for _, _, bandwidth in curve.hidden]
    limits = min(values) / _MARGIN, max(values) * _MARGIN
    sizes = {size for curve in curves for _, size, _ in curve.hidden}
    sizes |= {curve.group.own.workload.batch_size for curve in curves if curve.refused}
    columns = max(1, min(len(curves), _MOST_COLUMNS, int((room - _LEFT) / (_PANEL_WIDTH + _ENDS))))
    step = (room - _LEFT) / columns
    for number, curve in enumerate(curves):
        row, column = divmod(number, columns)
        place = _LEFT + column * step, top - row * (_PANEL_HEIGHT + _ROW_GAP) - _PANEL_HEIGHT
        _draw_panel(drawn, (*place, step - _ENDS), curve, limits, sorted(sizes), inner=column > 0)


def _named(
    drawable: Sequence[tuple[GroupCurve, Sequence[tuple[float, float]]]], look: Look, *, alike: bool
) -> list[_Curves]:
    """Name and colour groups: as many as there are colours, those that need the most, in their own order."""
    need = [max(point.bandwidth or 0.0 for point in group.points) for group, _ in drawable]
    shown = sorted(sorted(range(len(drawable)), key=lambda number: -need[number])[:_MOST])
    methods = style.method_colours(drawable[number][0].method for number in shown)
    curves = []
    for colour, number in zip(style.GROUP_COLOURS, shown, strict=False):
        group, runtimes = drawable[number]
        method, clients = look.name(group.method), look.name(group.clients)
        name = method if alike else clients if len(methods) == 1 else f"{method}, {clients}"
        # A method has its colour everywhere, but the groups of one would all have the same.
        curves.append(_Curves(name, methods[group.method] if alike else colour, group, runtimes))
    return curves


def _draw_runtimes(drawn: Sheet, room: float, curves: Sequence[_Curves], quantity: str) -> float:
    """Draw runtimes against a bandwidth with the hiding points on them; list the lines, what needs most first.

    Returns
    -------
    float
        The lower edge of the list [in].
    """
    axes = drawn.axes(_LEFT, -min(_HEIGHT, _FLAT * room), room - _LEFT, min(_HEIGHT, _FLAT * room))
    longest_own = max(curve.group.own.wall_clock for curve in curves)
    unit = style.time_unit(longest_own)
    longest = max(seconds for curve in curves for _, seconds in curve.runtimes)
    ceiling = min(_HIGHEST * longest_own, 1.05 * longest)
    # Slower links than those that some line reaches would be an empty strip.
    low = min(x for curve in curves for x, seconds in curve.runtimes if seconds <= ceiling)
    high = max(x for curve in curves for x, _ in curve.runtimes)
    axes.set(xscale="log", xlim=(low, high), ylim=(0, ceiling / unit.seconds), xlabel=quantity)
    keys = []
    for number, curve in enumerate(sorted(curves, key=lambda curve: -curve.own)):
        xs, ys = [x for x, _ in curve.runtimes], [seconds / unit.seconds for _, seconds in curve.runtimes]
        # Each is thinner than those below it, so that lines on top of each other are all seen.
        width = 1.3 + 2.2 * (len(curves) - 1 - number) / max(5, len(curves) - 1)
        y = curve.group.own.wall_clock / unit.seconds
        axes.plot(xs, ys, color=curve.colour, linewidth=width)
        axes.plot([curve.own, curve.own], [0, y], color=curve.colour, linewidth=0.7, linestyle=":")
        ring(axes, curve.own, y, curve.colour)
        name = shortened(curve.name, 1.6, style.SMALL)
        told = f"{name}: from {amount(curve.own, 'B/s')} on, {y:.3g} {unit.name}"
        keys.append(Key(told, (curve.colour,), "o", dashes="-"))
    log_ticks(axes.xaxis, "B/s")
    drawn.unit(axes, f"wall-clock [{unit.name}]")
    bottom = axes.get_position().y0 - _NAME_OF_AXIS
    drawn.text(_LEFT, bottom, "all communication is hidden", color=style.MUTED)
    return drawn.listed(keys, _LEFT, bottom - 0.07, room - _LEFT)


def _draw_panel(
    drawn: Sheet,
    place: tuple[float, float, float],
    curve: _Curves,
    limits: tuple[float, float],
    sizes: Sequence[int],
    *,
    inner: bool,
) -> None:
    """Draw a group's hiding points [B/s] over the batch size, a line per block width."""
    left, bottom, panel_width = place
    axes = drawn.axes(left, bottom, panel_width, _PANEL_HEIGHT)
    axes.set(yscale="log", ylim=limits, xlim=(sizes[0] - 0.3, sizes[-1] + 0.3), xticks=sizes)
    axes.set_xlabel("batch size", labelpad=1)
    ends: dict[str, LineEnd] = {}
    for number, width in enumerate(curve.widths):
        line = [(size, bandwidth) for layers, size, bandwidth in curve.hidden if layers == width]
        if not line:
            continue
        shade = _lighter(curve.colour, _LIGHTEST * (1 - (number + 1) / len(curve.widths)))
        axes.plot(*zip(*line, strict=True), color=shade, linewidth=1.3, marker="o", markersize=2.6)
        if width is not None:
            ends[_layers(width)] = LineEnd(line[-1][1], shade)
    size = curve.group.own.workload.batch_size
    if curve.own:
        ring(axes, size, curve.own, curve.colour)
    elif curve.refused:
        axes.plot([size], [limits[1]], "x", ms=4.2, mew=1.1, color=curve.colour, clip_on=False, zorder=5)
    log_ticks(axes.yaxis, "B/s")
    if inner:
        axes.set_yticklabels([])
    label_ends(drawn, axes, ends)
    name = shortened(curve.name, panel_width, style.NORMAL)
    drawn.text(left, bottom + _PANEL_HEIGHT + 0.13, name, size=style.NORMAL, weight="bold", color=curve.colour)


def _layers(width: float) -> str:
    return f"{width:g} layer{'' if width == 1 else 's'}"


def _subject(curves: Sequence[_Curves]) -> str:
    """Say what the lines of panels are, and with which block widths nothing hides communication."""
    compared = sorted({width for curve in curves for width in curve.widths if width is not None})
    if not compared:
        return ""
    helped = {width for curve in curves for width, _, _ in curve.hidden}
    never = [f"{width:g}" for width in compared if width not in helped]
    said = "a line for each width of blocks, so many layers per block"
    return said + (f"; blocks of {' and '.join(never)} layers cannot be hidden at any batch size" if never else "")


def _lighter(colour: str, share: float) -> str:
    """Mix a colour with a share of white."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (part + (1 - part) * share for part in to_rgb(colour))
    return to_hex((red, green, blue))
