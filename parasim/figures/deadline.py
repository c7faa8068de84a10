"""Runtime against the quantity that is solved for, the deadline across it, and each method's answer on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from parasim.figures import style
from parasim.figures.curves import between, dashes_on
from parasim.figures.labels import LineEnd, name_lines
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import log_ticks, ring, write
from parasim.figures.sheet import Key, Sheet, draw_to_width
from parasim.text import amount, deadline_clock

# All lengths are in inches.
_WIDTH, _HEIGHT, _FLAT = 5.4, 2.5, 0.7
_LEFT, _BELOW = 0.34, 0.42
_FEW = 12
"""Points of a line from which on they are no longer marked one by one."""
_MARGIN = 1.15
_FAR = 8.0
"""Runtimes so many times the deadline lie outside the picture."""


class Deadline(NamedTuple):
    """What is drawn.

    Attributes
    ----------
    curves : mapping of str to sequence of (float, float)
        Each method's runtimes [s] by the quantity, rising; none of some methods, but not of all.
    answers : mapping of str to (float, float)
        Value and runtime [s] of the methods that have an answer.
    within : float
        The deadline [s].
    meaning, unit : str
        The quantity in words, and its base unit.
    """

    curves: Mapping[str, Sequence[tuple[float, float]]]
    answers: Mapping[str, tuple[float, float]]
    within: float
    meaning: str
    unit: str


def draw_deadline(deadline: Deadline, directory: Path, look: Look = USUAL) -> list[Path]:
    """Draw ``deadline``.

    Parameters
    ----------
    deadline : Deadline
        What is drawn.
    directory : Path
        Where the files go.
    look : Look
        How the picture is wanted.

    Raises
    ------
    OutputError
        If the files cannot be written.
    """
    return draw_to_width(partial(_draw, deadline=deadline), directory / "deadline", look, _WIDTH)


def _draw(drawn: Sheet, room: float, deadline: Deadline) -> None:
    curves = {method: curve for method, curve in deadline.curves.items() if curve}
    values = [value for curve in curves.values() for value, _ in curve]
    low, high, within = min(values), max(values), deadline.within
    times = [time for curve in curves.values() for _, time in curve if time <= _FAR * within] + [within]
    unit = style.time_unit(max(times))
    bottom, top = min(times) / _MARGIN / unit.seconds, max(times) * _MARGIN / unit.seconds
    colours = style.method_colours(curves)
    axes = drawn.axes(_LEFT, 0, room - _LEFT, min(_HEIGHT, _FLAT * room))
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(low / _MARGIN, high * _MARGIN),
        ylim=(bottom, top),
        xlabel=deadline.meaning,
    )
    limit = within / unit.seconds
    axes.axhline(limit, color=style.INK, linewidth=0.8)
    write(axes, low, limit, f"within {deadline_clock(within)}", va="bottom", weight="bold")
    above: list[dict[float, float]] = []
    kinds = {method: dashes_on(above, dict(curve)) for method, curve in curves.items()}
    for method, curve in curves.items():
        points, kind = [(x, y / unit.seconds) for x, y in curve], kinds[method]
        axes.plot(*between(points, rate=deadline.unit == "B/s"), kind, color=colours[method], linewidth=1.3)
        if len(points) < _FEW:
            axes.plot(*zip(*points, strict=True), "o", color=colours[method], markersize=2)
    for method, (value, wall_clock) in deadline.answers.items():
        y = wall_clock / unit.seconds
        axes.plot([value, value], [bottom, y], color=colours[method], linewidth=0.7, linestyle=":")
        ring(axes, value, y, colours[method])
    log_ticks(axes.xaxis, deadline.unit)
    log_ticks(axes.yaxis)
    ends = {
        _name(method, deadline, drawn.look): LineEnd(curve[-1][1] / unit.seconds, colours[method], kinds[method])
        for method, curve in sorted(curves.items(), key=lambda curve: -curve[1][-1][1])
    }
    top = axes.get_position().y1
    edge = top + 0.08
    if deadline.answers:
        keys = [Key("the answer, written behind its method", (style.MUTED,), "o")]
        edge = drawn.keys(keys, _LEFT, edge, room - _LEFT)
    drawn.unit(axes, f"wall-clock [{unit.name}]", above=edge - top + 0.1)
    name_lines(drawn, [axes], ends, room, -_BELOW)


def _name(method: str, deadline: Deadline, look: Look) -> str:
    """Name a line by its method and the answer on it."""
    if method not in deadline.answers:
        return look.name(method)
    value, _ = deadline.answers[method]
    number = amount(value, deadline.unit) if deadline.unit else f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"
    return f"{look.name(method)}: {number}"
