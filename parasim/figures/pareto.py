"""Wall-clock against cost: every run that could be had, and the front of those that nothing else beats in both.

Runs of the front are numbered, and named in a list; what the budget does not pay for is shaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import log_ticks, note
from parasim.figures.sheet import Key, Sheet, draw_to_width
from parasim.figures.style import FigureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from parasim.planning.cost.choices import Outcome

# All lengths are in inches.
_WIDTH, _HEIGHT, _FLAT = 6.6, 2.7, 0.8
_LEFT, _BELOW, _LEAST, _GAP = 0.3, 0.42, 2.4, 0.2
"""Least width of the chart with the list beside it instead of below, and the gap between the two."""
_TOUCHING = 0.11
"""Marks closer than this share one number."""


def draw_pareto(
    runs: Sequence[Outcome], front: Sequence[Outcome], limit: float, directory: Path, look: Look = USUAL
) -> list[Path]:
    """Draw ``pareto``.

    Parameters
    ----------
    runs : sequence of Outcome
        All of them.
    front : sequence of Outcome
        Those that nothing beats, the cheapest first.
    limit : float
        The budget [USD].
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
    FigureError
        If one takes no time or money and so has no place on logarithmic axes.
    OutputError
        If the files cannot be written.
    """
    if any(not (run.cost > 0 and run.wall_clock > 0) for run in runs):
        raise FigureError("a run that costs nothing or takes no time has no place on logarithmic axes")
    return draw_to_width(partial(_draw, runs=runs, front=front, limit=limit), directory / "pareto", look, _WIDTH)


def _draw(drawn: Sheet, room: float, runs: Sequence[Outcome], front: Sequence[Outcome], limit: float) -> None:
    unit = style.time_unit(max(run.wall_clock for run in front))
    colours = style.method_colours(run.candidate.method for run in runs)
    keys = [
        Key(f"{number}  {_named(run, drawn.look)}\n{_figures(run, limit, unit)}", (colours[run.candidate.method],), "o")
        for number, run in enumerate(front, 1)
    ]
    keys = [key._replace(filled=True) for key in keys]
    column = max(key.width for key in keys)
    beside = room - _LEFT - _GAP - column >= _LEAST
    width = room - _LEFT - (column + _GAP if beside else 0.0)
    axes = drawn.axes(_LEFT, 0, width, min(_HEIGHT, _FLAT * width), grid="both")
    axes.set(xscale="log", yscale="log", xlabel="cost of a run [USD]")
    axes.margins(0.08)
    for run in runs:
        x, y = run.cost, run.wall_clock / unit.seconds
        axes.plot(x, y, "o", ms=2.6, mew=0, color=colours[run.candidate.method], alpha=0.55)
    # What else is drawn reaches to the edges of the chart.
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    _shade(axes, limit)
    corners = [(run.cost, run.wall_clock / unit.seconds) for run in front]
    # Between two runs of the front, what can be had is no more than the cheaper one.
    xs, ys = zip((corners[0][0], axes.get_ylim()[1]), *corners, (axes.get_xlim()[1], corners[-1][1]), strict=True)
    axes.plot(xs, ys, color=style.INK, linewidth=0.9, zorder=3, drawstyle="steps-post")
    for run, corner in zip(front, corners, strict=True):
        axes.plot(*corner, "o", ms=4.4, mew=0.7, mec=style.INK, mfc=colours[run.candidate.method], zorder=4)
    _number(axes, corners)
    for axis in (axes.xaxis, axes.yaxis):
        log_ticks(axis)
    top = axes.get_position().y1
    methods = [Key(drawn.look.name(method), (colour,), "o", filled=True) for method, colour in colours.items()]
    drawn.unit(axes, f"wall-clock [{unit.name}]", above=drawn.keys(methods, _LEFT, top + 0.18, width) - top + 0.12)
    left, above = (_LEFT + width + _GAP, top) if beside else (_LEFT, -_BELOW)
    drawn.text(left, above - 0.06, "from the cheapest to the fastest", color=style.MUTED)
    drawn.listed(keys, left, above - 0.16, column if beside else room - _LEFT)


def _named(run: Outcome, look: Look) -> str:
    return f"{look.name(run.candidate.method)}, {run.candidate.chosen}"


def _figures(run: Outcome, limit: float, unit: style.TimeUnit) -> str:
    cost = f"{run.cost:,.0f}" if run.cost >= 1000 else f"{run.cost:.3g}"
    text = f"{cost} USD, {style.format_time(run.wall_clock, unit)} {unit.name}"
    return text if run.cost <= limit else f"{text}, beyond the budget"


def _shade(axes: Axes, limit: float) -> None:
    """Shade what the budget does not pay for, as far as that is in the picture."""
    low, high = axes.get_xlim()
    if limit >= high:
        return
    edge = max(limit, low)
    axes.axvspan(edge, high, color="#F2F2F2", zorder=0, linewidth=0)
    axes.axvline(edge, color=style.MUTED, linewidth=0.7, linestyle=":")
    text = f"budget {limit:g} USD" + (", below all runs" if limit <= low else "")
    side = "right" if limit > math.sqrt(low * high) else "left"
    # Above the chart, where there are neither marks nor the front.
    note(axes, text, (edge, axes.get_ylim()[1]), (0, 2.5), ha=side, va="bottom", color=style.MUTED)


def _number(axes: Axes, corners: Sequence[tuple[float, float]]) -> None:
    """Write the numbers of the front below and left of its marks, where there is nothing else."""
    inches = axes.figure.dpi_scale_trans.inverted()
    places = inches.transform(axes.transData.transform(corners))
    groups: list[list[int]] = []
    for number, place in enumerate(places):
        if groups and math.dist(place, places[groups[-1][-1]]) < _TOUCHING:
            groups[-1].append(number)
        else:
            groups.append([number])
    for group in groups:
        text = "-".join(str(number + 1) for number in dict.fromkeys((group[0], group[-1])))
        note(axes, text, corners[group[-1]], (-3.5, -3), ha="right", va="top")
