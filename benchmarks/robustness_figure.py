"""Robustness: differences of held-out losses with their confidence intervals, and losses on the way."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from parasim.figures import style
from parasim.figures.keys import Key
from parasim.figures.look import USUAL
from parasim.figures.sheet import Sheet, draw_to_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEFT, _BOTTOM, _TOP, _GUTTER = 0.5, 0.42, 0.42, 0.42
_HEIGHT = 1.45
_MARKERS = "osD^v"

Estimate = tuple[float, float]
"""Mean and half of its confidence interval."""


class Differences(NamedTuple):
    """A panel of differences from a reference, which is the line at zero.

    Attributes
    ----------
    title, label : str
        Of the panel, and of the axis from left to right.
    choices : sequence of str
        What is compared, from left to right.
    estimates : mapping of str to sequence of (float, float) or None
        By legend entry: for each choice its difference; None where there is none.
    joined : bool
        Whether the choices are amounts of something, so that a line joins them.
    """

    title: str
    label: str
    choices: Sequence[str]
    estimates: Mapping[str, Sequence[Estimate | None]]
    joined: bool


class Courses(NamedTuple):
    """A panel of losses on the way.

    Attributes
    ----------
    title, label : str
        Of the panel, and of its horizontal axis.
    courses : mapping of str to sequence of sequence of (float, float)
        By legend entry: for each seed the measurements, place on the axis and loss.
    """

    title: str
    label: str
    courses: Mapping[str, Sequence[Sequence[tuple[float, float]]]]


Panel = Differences | Courses


def draw_robustness(rows: Sequence[Sequence[Panel]], directory: Path) -> list[Path]:
    """Draw ``robustness.png`` and ``robustness.svg``.

    Parameters
    ----------
    rows : sequence of sequence of panels
        From the top.
    directory : Path
        Where to write.

    Returns
    -------
    list of Path
        The two files.
    """
    return draw_to_width(partial(_draw_rows, rows=rows), directory / "robustness", USUAL, style.PAGE_WIDTH)


def _draw_rows(drawn: Sheet, room: float, rows: Sequence[Sequence[Panel]]) -> None:
    for row, panels in enumerate(reversed(rows)):
        width = (room - _LEFT - (len(panels) - 1) * _GUTTER) / len(panels)
        bottom = _BOTTOM + row * (_BOTTOM + _HEIGHT + _TOP)
        for number, panel in enumerate(panels):
            left = _LEFT + number * (width + _GUTTER)
            _draw(drawn, panel, left, bottom, width, first=not number)


def _draw(drawn: Sheet, panel: Panel, left: float, bottom: float, width: float, *, first: bool) -> None:
    axes = drawn.axes(left, bottom, width, _HEIGHT)
    keys = _differences(axes, panel) if isinstance(panel, Differences) else _courses(axes, panel)
    axes.set_xlabel(panel.label)
    if first:
        axes.set_ylabel("difference of loss" if isinstance(panel, Differences) else "held-out loss")
    top = drawn.keys(keys, left - 0.32, bottom + _HEIGHT + 0.06, width + 0.4)
    drawn.text(left - 0.32, top + 0.04, panel.title, size=style.NORMAL, weight="bold", va="bottom")


def _differences(axes: Axes, panel: Differences) -> list[Key]:
    axes.axhline(0, color=style.MUTED, linewidth=0.6)
    count, keys, colours = len(panel.estimates), [], style.method_colours(panel.estimates)
    for number, (name, estimates) in enumerate(panel.estimates.items()):
        colour, marker = colours[name], _MARKERS[number]
        shift = (0.1 if panel.joined else 0.2) * (number - (count - 1) / 2)
        known = [(place + shift, *one) for place, one in enumerate(estimates) if one is not None]
        places, means, halves = (list(column) for column in zip(*known, strict=True))
        line = "-" if panel.joined else ""
        axes.errorbar(places, means, halves, color=colour, marker=marker, markersize=3, linestyle=line, linewidth=0.8)
        keys.append(Key(name, (colour,), marker, filled=True))
    axes.set_xlim(-0.5, len(panel.choices) - 0.5)
    axes.set_xticks(range(len(panel.choices)), panel.choices)
    return keys


def _courses(axes: Axes, panel: Courses) -> list[Key]:
    import numpy as np

    keys, colours = [], style.method_colours(panel.courses)
    for name, courses in panel.courses.items():
        colour = colours[name]
        # Where rounds are over does not depend on the seed unless clients fail; measurements are at rounds.
        places = [place for place, _ in courses[0]]
        losses = np.array([np.interp(places, [x for x, _ in one], [loss for _, loss in one]) for one in courses])
        axes.plot(places, [statistics.fmean(column) for column in losses.T], color=colour, linewidth=1.1)
        axes.fill_between(places, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.12, lw=0)
        keys.append(Key(name, (colour,)))
    axes.set_xlim(left=0)
    return keys
