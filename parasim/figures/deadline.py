"""Runtime against the quantity that is solved for, the deadline across it, and each method's answer on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from parasim.figures import style
from parasim.figures.labels import label_ends
from parasim.figures.sheet import Key, log_ticks, ring, sheet
from parasim.text import amount, deadline_clock

# All lengths are in inches.
_WIDTH, _HEIGHT = 4.4, 2.5
_MARGIN = 1.15
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
        Each method's runtimes [s] by the quantity, rising; none of some methods, but not of all.
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
    OutputError
        If the files cannot be written.
    """
    drawn = {method: curve for method, curve in curves.items() if curve}
    values = [value for curve in drawn.values() for value, _ in curve]
    low, high = min(values), max(values)
    times = [time for curve in drawn.values() for _, time in curve if time <= _FAR * within] + [within]
    scale = style.time_unit(max(times))
    bottom, top = min(times) / _MARGIN / scale.seconds, max(times) * _MARGIN / scale.seconds
    colours = style.method_colours(drawn)
    names = {method: _name(method, answers, unit) for method in drawn}
    with sheet() as picture:
        axes = picture.axes(0, 0, _WIDTH, _HEIGHT)
        axes.set(xscale="log", yscale="log", xlim=(low / _MARGIN, high * _MARGIN), ylim=(bottom, top), xlabel=meaning)
        limit = within / scale.seconds
        axes.axhline(limit, color=style.INK, linewidth=0.8)
        axes.text(low, limit, f"within {deadline_clock(within)}", size=style.SMALL, va="bottom", weight="bold")
        for method, curve in drawn.items():
            xs, ys = [x for x, _ in curve], [y / scale.seconds for _, y in curve]
            axes.plot(xs, ys, color=colours[method], linewidth=1.3, marker="." if len(xs) < 12 else "", markersize=4)
        for method, (value, wall_clock) in answers.items():
            y = wall_clock / scale.seconds
            axes.plot([value, value], [bottom, y], color=colours[method], linewidth=0.7, linestyle=":")
            ring(axes, value, y, colours[method])
        log_ticks(axes.xaxis, unit)
        log_ticks(axes.yaxis)
        picture.unit(axes, scale.name, above=0.2)
        ends = {names[method]: (curve[-1][1] / scale.seconds, colours[method]) for method, curve in drawn.items()}
        label_ends(picture, axes, ends)
        if answers:
            keys = [Key("the answer, written behind its method", (style.MUTED,), "o")]
            picture.keys(keys, 0, _HEIGHT + 0.08, _WIDTH)
        return picture.save(directory / "deadline")


def _name(method: str, answers: Mapping[str, tuple[float, float]], unit: str) -> str:
    """Name a line by its method and the answer on it."""
    if method not in answers:
        return method
    value, _ = answers[method]
    return f"{method}: {amount(value, unit) if unit else f'{value:,.4g}' if value < 10_000 else f'{value:,.0f}'}"
