"""How sure a deadline is: the share of runs that are done by a time, a line per method, with the answer marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parasim.figures import style
from parasim.figures.style import FigureError
from sim.studies.quantile import quantile_rank
from sim.studies.variants import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches.
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.45, 0.25, 0.40, 0.24
_PLOT_WIDTH, _PLOT_HEIGHT = 3.8, 2.3
_POINTS = 400
"""Points of a line: more samples than that no eye tells apart."""
_LEVELS = (0.35, 0.55, 0.2, 0.7)
"""Heights of the lines' names, one after the other, so that they do not touch."""
_SHOWN = (0.001, 0.999)
"""Quantiles that the time axis reaches, at least: beyond them, single runs would stretch it."""


class Line(NamedTuple):
    """Random runs of one method.

    Attributes
    ----------
    method : str
        Its name.
    times : array of shape (runs,)
        Wall-clocks, sorted [s].
    planned : float
        Wall-clock without jitter [s].
    interval : tuple of float or None
        Where the deadline lies [s], or the probability to meet it; None where that is not known.
    """

    method: str
    times: Floats
    planned: float
    interval: tuple[float | None, float | None]


def draw_confidence(lines: Sequence[Line], probability: float, within: float | None, directory: Path) -> list[Path]:
    """Draw ``confidence.png`` and ``confidence.svg``.

    Parameters
    ----------
    lines : sequence of Line
        One per method.
    probability : float
        That was asked for.
    within : float or None
        Deadline that was asked for [s].
    directory : Path
        Where to write the files; made if it is not there.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If there are no runs.
    OutputError
        If the files cannot be written.
    """
    if not lines or any(len(line.times) == 0 for line in lines):
        raise FigureError("nothing to draw: there are no runs")
    ends = [float(np.quantile(line.times, share)) for line in lines for share in _SHOWN]
    ends += [line.planned for line in lines] + ([] if within is None else [within])
    unit = style.time_unit(max(ends))
    colours = style.method_colours(line.method for line in lines)
    with style.sheet(_LEFT + _PLOT_WIDTH + _RIGHT, _BOTTOM + _PLOT_HEIGHT + _TOP) as sheet:
        axes = sheet.axes(_LEFT, _BOTTOM, _PLOT_WIDTH, _PLOT_HEIGHT)
        margin = 0.06 * (max(ends) - min(ends)) or 0.05 * max(ends)
        axes.set_xlim((min(ends) - margin) / unit.seconds, (max(ends) + margin) / unit.seconds)
        axes.set(ylim=(0, 1), xlabel=f"wall-clock [{unit.name}]", yticks=[0, 0.25, 0.5, 0.75, 1])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        if within is None:
            axes.axhline(probability, color=style.MUTED, linewidth=0.7, linestyle=":")
        else:
            axes.axvline(within / unit.seconds, color=style.MUTED, linewidth=0.7, linestyle=":")
        for number, line in enumerate(sorted(lines, key=lambda line: float(np.median(line.times)))):
            colour = colours[line.method]
            shares = np.linspace(0, 1, min(_POINTS, len(line.times)))
            times = np.quantile(line.times, shares, method="inverted_cdf") / unit.seconds
            # Lines end where the picture does, not where their slowest run was.
            axes.plot([*times, axes.get_xlim()[1]], [*shares, 1.0], color=colour, linewidth=1.2)
            axes.plot(line.planned / unit.seconds, 0.0, marker="^", ms=4, color=colour, clip_on=False, zorder=5)
            answer = _answer(axes, line, probability, within, unit, colour)
            share = _LEVELS[number % len(_LEVELS)]
            _name(axes, f"{line.method}\n{answer}", (float(np.quantile(line.times, share)) / unit.seconds, share))
        sheet.page.text(_LEFT - 0.05, sheet.height - 0.06, "done", size=style.SMALL, ha="right", va="top")
        keys = [style.Key("without jitter", (style.MUTED,), "^", filled=True)]
        keys += [style.Key("answer, with its 95 % interval", (style.MUTED,), "o")]
        sheet.keys(style.key_lines(keys, _PLOT_WIDTH), _LEFT, sheet.height - 0.04)
        return sheet.save(directory / "confidence")


def _answer(axes: Axes, line: Line, probability: float, within: float | None, unit: style.TimeUnit, colour: str) -> str:
    """Mark the answer on a line, with what is known of it, and say it."""
    low, high = line.interval
    mark = {"marker": "o", "ms": 4.4, "mew": 1.0, "mec": colour, "mfc": "white", "zorder": 5, "clip_on": False}
    if within is not None:
        share = float(np.searchsorted(line.times, within, side="right")) / len(line.times)
        assert low is not None
        assert high is not None
        axes.plot([within / unit.seconds] * 2, [low, high], color=colour, linewidth=2.6, solid_capstyle="butt")
        axes.plot(within / unit.seconds, share, **mark)  # type: ignore[arg-type]
        return f"{share:.1%} ({low:.1%} to {high:.1%})"
    time = float(line.times[quantile_rank(len(line.times), probability)]) / unit.seconds
    left, right = ((time if end is None else end / unit.seconds) for end in (low, high))
    axes.plot([left, right], [probability] * 2, color=colour, linewidth=2.6, solid_capstyle="butt")
    axes.plot(time, probability, **mark)  # type: ignore[arg-type]
    return f"{style.format_time(time * unit.seconds, unit)} {unit.name}"


def _name(axes: Axes, text: str, place: tuple[float, float]) -> None:
    """Write beside a line, on the side where it is on its way up."""
    axes.annotate(
        text,
        place,
        xytext=(5, 0),
        textcoords="offset points",
        size=style.SMALL,
        va="center",
        zorder=6,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
    )
