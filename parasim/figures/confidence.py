"""How sure a deadline is: the share of runs that are done by a time, a line per method, with the answer marked.

What was asked for are dotted lines; methods and their answers are listed below the chart, the fastest first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parasim.figures import style
from parasim.figures.keys import Key
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import ring
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.text import deadline_clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from parasim.planning.risk.random_runs import RandomRuns
    from parasim_core.sim.replay.conditions import Floats

# All lengths are in inches.
_WIDTH, _HEIGHT, _FLAT = 5.0, 2.3, 0.62
_LEFT, _BELOW = 0.34, 0.42
_POINTS = 400
"""Points of a line: more samples than that no eye tells apart."""
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_TOUCHING = 0.06
"""Marks of the upright axis closer than this would touch."""
_SHOWN = (0.001, 0.999)
"""Quantiles that the time axis reaches, at least: beyond them, single runs would stretch it."""


def draw_confidence(sampled: Sequence[RandomRuns], directory: Path, look: Look = USUAL) -> list[Path]:
    """Draw ``confidence``.

    Parameters
    ----------
    sampled : sequence of RandomRuns
        One per method, all asked for the same.
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
    return draw_to_width(partial(_draw, sampled=sampled), directory / "confidence", look, _WIDTH)


def _draw(drawn: Sheet, room: float, sampled: Sequence[RandomRuns]) -> None:
    probability, within = sampled[0].probability, sampled[0].within
    ends = [float(np.quantile(times, share)) for line in sampled if (times := _done(line)).size for share in _SHOWN]
    ends += [line.planned for line in sampled] + ([] if within is None else [within])
    unit = style.time_unit(max(ends))
    colours = style.method_colours(line.method for line in sampled)
    ordered = sorted(sampled, key=lambda line: float(np.median(line.times)))
    height = min(_HEIGHT, _FLAT * room)
    axes = drawn.axes(_LEFT, 0, room - _LEFT, height)
    margin = 0.06 * (max(ends) - min(ends)) or 0.05 * max(ends)
    axes.set_xlim((min(ends) - margin) / unit.seconds, (max(ends) + margin) / unit.seconds)
    axes.set(ylim=(0, 1), xlabel=f"wall-clock [{unit.name}]")
    axes.set_yticks([probability, *(tick for tick in _TICKS if abs(tick - probability) >= _TOUCHING)])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    axes.axhline(probability, color=style.MUTED, linewidth=0.7, linestyle=":")
    if within is not None:
        axes.axvline(within / unit.seconds, color=style.MUTED, linewidth=0.7, linestyle=":")
    keys = []
    for line in ordered:
        colour = colours[line.method]
        shares = np.linspace(0, 1, min(_POINTS, len(line.times)))
        times = np.quantile(line.times, shares, method="inverted_cdf") / unit.seconds
        times, shares = times[np.isfinite(times)], shares[np.isfinite(times)]
        # Lines end where the picture does, not where their slowest run was; short of 100% if some were never done.
        done = _done(line).size / line.times.size
        axes.plot([*times, axes.get_xlim()[1]], [*shares, done], color=colour, linewidth=1.2)
        axes.plot(line.planned / unit.seconds, 0.0, marker="^", ms=4, color=colour, clip_on=False, zorder=5)
        _mark(axes, line, unit, colour)
        keys.append(Key(f"{drawn.look.name(line.method)}: {_answer(line, unit)}", (colour,), "o", dashes="-"))
    marks = [Key(f"without {sampled[0].without}", (style.MUTED,), "^", filled=True)]
    marks.append(Key("answer, with its 95 % interval", (style.MUTED,), "o"))
    drawn.unit(axes, "share of runs that are done", above=drawn.keys(marks, _LEFT, height + 0.1, room) - height + 0.12)
    asked = f"{100 * probability:.4g}% are done in" if within is None else f"are done in {deadline_clock(within)}"
    drawn.text(_LEFT, -_BELOW, asked, color=style.MUTED)
    drawn.listed(keys, _LEFT, -_BELOW - 0.07, room - _LEFT)


def _done(line: RandomRuns) -> Floats:
    """Wall-clocks of the runs that came to their end [s]."""
    done: Floats = line.times[np.isfinite(line.times)]
    return done


def _answer(line: RandomRuns, unit: style.TimeUnit) -> str:
    if math.isinf(line.estimate):
        return "never"
    if line.within is None:
        return f"{style.format_time(line.estimate, unit)} {unit.name}"
    low, high = line.interval
    return f"{line.estimate:.1%} ({low:.1%} to {high:.1%})"


def _mark(axes: Axes, line: RandomRuns, unit: style.TimeUnit, colour: str) -> None:
    """Mark the answer on a line, with what is known of it."""
    if math.isinf(line.estimate):
        return
    low, high = (line.estimate if end is None or math.isinf(end) else end for end in line.interval)
    looks: dict[str, Any] = {"color": colour, "linewidth": 2.6, "capstyle": "butt"}
    if line.within is None:
        axes.hlines(line.probability, low / unit.seconds, high / unit.seconds, **looks)
        ring(axes, line.estimate / unit.seconds, line.probability, colour, size=4.4)
    else:
        axes.vlines(line.within / unit.seconds, low, high, **looks)
        ring(axes, line.within / unit.seconds, line.estimate, colour, size=4.4)
