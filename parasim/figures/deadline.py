"""Runtime against the quantity that is solved for, the deadline across it, and each method's answer on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.bandwidth import bandwidth_axis
from parasim.figures.labels import label_ends
from parasim.figures.style import FigureError
from parasim.text import amount, deadline_clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches.
_LEFT, _BOTTOM, _TOP, _WIDTH, _HEIGHT, _LABEL_PAD = 0.45, 0.42, 0.30, 4.4, 2.5, 0.18
_MARGIN = 1.15
_WIDE = 1e4
"""From the least to the most, as a factor, where numbers at 2 and 5 would touch."""
_FAR = 8.0
"""Runtimes so many times the deadline lie outside the picture."""


def draw_deadline(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    answers: Mapping[str, tuple[float, float]],
    within: float,
    meaning: str,
    unit: str,
    directory: Path,
) -> list[Path]:
    """Draw ``deadline.png`` and ``deadline.svg``.

    Parameters
    ----------
    curves : mapping of str to sequence of (float, float)
        Each method's runtimes [s] by the quantity, rising.
    answers : mapping of str to (float, float)
        Value and runtime [s] of the methods that have an answer.
    within : float
        The deadline [s].
    meaning, unit : str
        The quantity in words, and its base unit.
    directory : Path
        Where the files go.

    Raises
    ------
    FigureError
        If there is nothing to draw.
    OutputError
        If the files cannot be written.
    """
    drawn = {method: curve for method, curve in curves.items() if curve}
    if not drawn:
        raise FigureError("nothing to draw: no runtime is known")
    values = [value for curve in drawn.values() for value, _ in curve]
    low, high = min(values), max(values)
    times = [time for curve in drawn.values() for _, time in curve if time <= _FAR * within] + [within]
    scale = style.time_unit(max(times))
    bottom, top = min(times) / _MARGIN / scale.seconds, max(times) * _MARGIN / scale.seconds
    colours = style.method_colours(drawn)
    ends: dict[str, tuple[float, str]] = {}
    names = {method: _name(method, answers, unit) for method in drawn}
    right = max(style.text_width(name, style.SMALL) for name in names.values()) + _LABEL_PAD
    with style.sheet(_LEFT + _WIDTH + right, _BOTTOM + _HEIGHT + _TOP) as sheet:
        axes = sheet.axes(_LEFT, _BOTTOM, _WIDTH, _HEIGHT)
        axes.set(xscale="log", yscale="log", xlim=(low / _MARGIN, high * _MARGIN), ylim=(bottom, top))
        limit = within / scale.seconds
        axes.axhline(limit, color=style.INK, linewidth=0.8)
        axes.text(low, limit, f"within {deadline_clock(within)}", size=style.SMALL, va="bottom", weight="bold")
        for method, curve in drawn.items():
            xs, ys = [x for x, _ in curve], [y / scale.seconds for _, y in curve]
            axes.plot(xs, ys, color=colours[method], linewidth=1.3, marker="." if len(xs) < 12 else "", markersize=4)
            share = math.log(min(max(ys[-1], bottom), top) / bottom) / math.log(top / bottom)
            ends[names[method]] = (_BOTTOM + share * _HEIGHT, colours[method])
        for method, (value, wall_clock) in answers.items():
            y = wall_clock / scale.seconds
            axes.plot([value, value], [bottom, y], color=colours[method], linewidth=0.7, linestyle=":")
            axes.plot([value], [y], "o", ms=5.5, mfc="white", mec=colours[method], zorder=5)
        _ticks(axes, low, high, unit)
        axes.set_xlabel(meaning)
        sheet.page.text(_LEFT - 0.05, sheet.height - 0.1, scale.name, size=style.SMALL, ha="right", va="top")
        label_ends(sheet, ends, _LEFT + _WIDTH, _BOTTOM, _BOTTOM + _HEIGHT)
        if answers:
            keys = [style.Key("the answer, written behind its method", (style.MUTED,), "o")]
            sheet.keys(style.key_lines(keys, _WIDTH), _LEFT, sheet.height - 0.08)
        return sheet.save(directory / "deadline")


def _name(method: str, answers: Mapping[str, tuple[float, float]], unit: str) -> str:
    """Name a line by its method and the answer on it."""
    if method not in answers:
        return method
    value, _ = answers[method]
    return f"{method}: {amount(value, unit) if unit else f'{value:,.4g}' if value < 10_000 else f'{value:,.0f}'}"


def _ticks(axes: Axes, low: float, high: float, unit: str) -> None:
    """Put ticks at powers of ten, or at 1, 2, 5, with plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    for axis, wide in ((axes.xaxis, high > _WIDE * low), (axes.yaxis, False)):
        axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=12))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10_000 else f"{value:g}")
    if unit:
        bandwidth_axis(axes.xaxis, low, high)
