"""Where communication becomes hidden: runtime against bandwidth, and the hiding point over batch size and block width.

One group of clients has both beside each other. Several have one chart of their runtimes, with a line in its own colour
for each, and below it a small panel for each. Where no bandwidth hides the communication of the scenario as it is,
there are no runtimes to draw, but the panels show which widths and batch sizes help.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from parasim.figures import hiding_panels as panels
from parasim.figures import style
from parasim.figures.hiding_panels import TOP, Box, HidingCurves, HidingGroup
from parasim.figures.labels import shortened
from parasim.figures.sheet import Key, sheet
from parasim.figures.style import FigureError

# All lengths are in inches.
_LEFT, _BOTTOM, _HEIGHT = 0.42, 0.40, 2.0
_RUNTIME_WIDTH, _GAP, _CURVE_WIDTH = 2.85, 0.66, 2.0
_SEVERAL_WIDTH, _LIST_GAP = 4.2, 0.25
_COLUMNS, _PANEL_LEFT, _PANEL_WIDTH, _PANEL_HEIGHT = 3, 0.62, 1.68, 1.25
_PANEL_STEP, _PANEL_NAME, _PANEL_GAP = 2.13, 0.21, 0.24
_TITLE = "Bandwidth from which on all is hidden"
_MOST = len(style.GROUP_COLOURS)


def draw_hiding(groups: Sequence[tuple[HidingGroup, Sequence[tuple[float, float]]]], directory: Path) -> list[Path]:
    """Draw ``hiding.png`` and ``hiding.svg``.

    Parameters
    ----------
    groups : sequence of (HidingGroup, sequence of (float, float))
        Each with runtimes [s] along its bandwidth [B/s]; none where the scenario as it is hides nothing.
    directory : Path
        Where the files go.

    Raises
    ------
    FigureError
        If no group has a hiding point, at whatever batch size and block width.
    OutputError
        If the files cannot be written.
    """
    drawn = [(g, runtimes) for g, runtimes in groups if any(point.bandwidth is not None for point in g.points)]
    if not drawn:
        raise FigureError("nothing to draw: no communication becomes hidden")
    # Each method's clients are all alike.
    alike = len({group.method for group, _ in groups}) == len(groups)
    curves = _named(drawn, alike=alike)
    if len(curves) == 1:
        return _draw_one(curves[0], directory, alike=alike)
    return _draw_several(curves, len(drawn), directory, alike=alike)


def _named(drawn: Sequence[tuple[HidingGroup, Sequence[tuple[float, float]]]], *, alike: bool) -> list[HidingCurves]:
    """Name and colour groups: as many as there are colours, those that need the most, in their own order."""
    need = [max(point.bandwidth or 0.0 for point in group.points) for group, _ in drawn]
    shown = sorted(sorted(range(len(drawn)), key=lambda number: -need[number])[:_MOST])
    methods = style.method_colours(drawn[number][0].method for number in shown)
    curves = []
    for colour, number in zip(style.GROUP_COLOURS, shown, strict=False):
        group, runtimes = drawn[number]
        name = group.method if alike else group.clients if len(methods) == 1 else f"{group.method}, {group.clients}"
        # A method has its colour everywhere, but the groups of one would all have the same.
        curves.append(HidingCurves(name, methods[group.method] if alike else colour, group, runtimes))
    return curves


def _draw_one(curve: HidingCurves, directory: Path, *, alike: bool) -> list[Path]:
    width = style.PAGE_WIDTH if curve.runtimes else style.COLUMN_WIDTH
    left = _LEFT + _RUNTIME_WIDTH + _GAP if curve.runtimes else _PANEL_LEFT
    whose = "" if alike else f"of {curve.name}"
    lines = [*filter(None, (whose, panels.subject([curve]), "× as it is: at no bandwidth" * curve.refused))]
    with sheet(width, _BOTTOM + _HEIGHT + panels.head_height(lines)) as drawn:
        if curve.runtimes:
            panels.draw_runtimes(drawn, Box(_LEFT, _BOTTOM, _RUNTIME_WIDTH, _HEIGHT), [curve], alike=alike)
        box = Box(left, _BOTTOM, _CURVE_WIDTH, _HEIGHT)
        axes = panels.draw_panel(drawn, box, curve, panels.bandwidth_range([curve]), panels.batch_sizes([curve]))
        axes.set_xlabel("batch size")
        panels.head(drawn, box, _TITLE, lines)
        return drawn.save(directory / "hiding")


def _draw_several(curves: Sequence[HidingCurves], of: int, directory: Path, *, alike: bool) -> list[Path]:
    lines = [curve for curve in curves if curve.runtimes]
    rows = math.ceil(len(curves) / _COLUMNS)
    row = _PANEL_NAME + _PANEL_HEIGHT + _PANEL_GAP
    grid = TOP + rows * row + _BOTTOM - _PANEL_GAP + 0.14
    with sheet(style.PAGE_WIDTH, grid + (TOP + _HEIGHT + _BOTTOM + 0.1 if lines else 0.0)) as drawn:
        if lines:
            box = Box(_PANEL_LEFT, drawn.height - TOP - _HEIGHT, _SEVERAL_WIDTH, _HEIGHT)
            panels.draw_runtimes(drawn, box, lines, alike=alike)
            panels.draw_list(drawn, box.left + box.width + _LIST_GAP, drawn.height - TOP, lines)
        shown = f"of {len(curves)} of {of} groups, those that need the most; " if len(curves) < of else ""
        panels.head(drawn, Box(_PANEL_LEFT, 0.0, 0.0, grid - TOP), _TITLE, [shown + panels.subject(curves)])
        keys = [Key("the scenario as it is", (style.MUTED,), "o")] if lines else []
        if any(curve.refused for curve in curves):
            keys.append(Key("the scenario as it is, which no bandwidth hides", (style.MUTED,), "x"))
        drawn.keys(keys, _PANEL_LEFT, grid - 0.36, style.PAGE_WIDTH)
        bandwidths, sizes = panels.bandwidth_range(curves), panels.batch_sizes(curves)
        for number, curve in enumerate(curves):
            left = _PANEL_LEFT + number % _COLUMNS * _PANEL_STEP
            bottom = grid - TOP - 0.14 - (number // _COLUMNS + 1) * row + _PANEL_GAP
            axes = panels.draw_panel(drawn, Box(left, bottom, _PANEL_WIDTH, _PANEL_HEIGHT), curve, bandwidths, sizes)
            if number % _COLUMNS:
                axes.set_yticklabels([])
            if number + _COLUMNS >= len(curves):
                axes.set_xlabel("batch size", labelpad=2)
            name = shortened(curve.name, _PANEL_WIDTH, style.NORMAL)
            looks = {"size": style.NORMAL, "weight": "bold", "va": "baseline", "color": curve.colour}
            drawn.text(left, bottom + _PANEL_HEIGHT + 0.09, name, **looks)
        return drawn.save(directory / "hiding")
