"""Convergence: curves of several seeds as a mean with its spread, and final losses of two methods side by side."""

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

_LEFT, _BOTTOM, _TOP, _GUTTER = 0.50, 0.36, 0.40, 0.42
_HEIGHT = 1.55
_CURVE_COLOURS = ("#56B4E9", "#0072B2", "#882255", "#E69F00")
_DASHES = ("-", "-", "--", ":")

Curve = Sequence[Sequence[float]]
"""Losses by seed, then by point of measurement."""


class LossCurves(NamedTuple):
    """A panel of losses against rounds.

    Attributes
    ----------
    title : str
        Of the panel.
    rounds : sequence of int
        After how many rounds each loss was measured.
    curves : mapping of str to Curve
        By what is compared, at most four.
    """

    title: str
    rounds: Sequence[int]
    curves: Mapping[str, Curve]


class FinalLosses(NamedTuple):
    """A panel of final losses.

    Attributes
    ----------
    title : str
        Of the panel.
    choices : sequence of str
        What is compared, from left to right.
    losses : mapping of str to sequence of sequence of float
        By method: for each choice, the final loss of each seed.
    """

    title: str
    choices: Sequence[str]
    losses: Mapping[str, Sequence[Sequence[float]]]


def draw_convergence(curves: Sequence[LossCurves], finals: Sequence[FinalLosses], directory: Path) -> list[Path]:
    """Draw ``convergence.png`` and ``convergence.svg``: curves above, final losses below.

    Parameters
    ----------
    curves : sequence of LossCurves
        Panels of the upper row.
    finals : sequence of FinalLosses
        Panels of the lower row.
    directory : Path
        Where to write.

    Returns
    -------
    list of Path
        The two files.
    """
    draw = partial(_draw, curves=curves, finals=finals)
    return draw_to_width(draw, directory / "convergence", USUAL, style.PAGE_WIDTH)


def _draw(drawn: Sheet, room: float, curves: Sequence[LossCurves], finals: Sequence[FinalLosses]) -> None:
    rows: tuple[Sequence[LossCurves | FinalLosses], ...] = (curves, finals)
    for row, panels in enumerate(rows):
        width = (room - _LEFT - (len(panels) - 1) * _GUTTER) / len(panels)
        bottom = _BOTTOM + (1 - row) * (_BOTTOM + _HEIGHT + _TOP)
        for number, panel in enumerate(panels):
            left = _LEFT + number * (width + _GUTTER)
            axes = drawn.axes(left, bottom, width, _HEIGHT)
            keys = _draw_curves(axes, panel) if isinstance(panel, LossCurves) else _draw_finals(axes, panel)
            if not number:
                axes.set_ylabel("held-out loss")
            top = drawn.keys(keys, left - 0.32, bottom + _HEIGHT + 0.05, width + 0.32)
            drawn.text(left - 0.32, top + 0.03, panel.title, size=style.NORMAL, weight="bold", va="bottom")


def _draw_curves(axes: Axes, panel: LossCurves) -> list[Key]:
    for (_, curve), colour, dashes in zip(panel.curves.items(), _CURVE_COLOURS, _DASHES, strict=False):
        by_round = list(zip(*curve, strict=True))
        means = [statistics.fmean(losses) for losses in by_round]
        axes.fill_between(
            panel.rounds, list(map(min, by_round)), list(map(max, by_round)), color=colour, alpha=0.18, lw=0
        )
        axes.plot(panel.rounds, means, dashes, color=colour, linewidth=1.2)
    axes.set_xlim(left=0)
    axes.set_xlabel("rounds")
    return [Key(name, (colour,)) for name, colour in zip(panel.curves, _CURVE_COLOURS, strict=False)]


def _draw_finals(axes: Axes, panel: FinalLosses) -> list[Key]:
    colours = style.method_colours(panel.losses)
    for number, (method, by_choice) in enumerate(panel.losses.items()):
        shift = 0.26 * (number - (len(panel.losses) - 1) / 2)
        for position, losses in enumerate(by_choice):
            axes.plot([position + shift] * 2, [min(losses), max(losses)], color=colours[method], linewidth=1.0)
            axes.plot([position + shift], [statistics.fmean(losses)], "o", color=colours[method], markersize=3.5)
    axes.set_xlim(-0.6, len(panel.choices) - 0.4)
    axes.set_xticks(range(len(panel.choices)), panel.choices)
    return [Key(method, (colour,), "o", filled=True) for method, colour in colours.items()]
