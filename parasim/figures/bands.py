"""Training from several seeds: each method's mean loss against rounds and simulated time, in a band of its spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from parasim.figures import style
from parasim.figures.labels import LineEnd, name_lines
from parasim.figures.look import USUAL, Look
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.figures.style import FigureError

# All lengths are in inches.
_LEFT, _GUTTER, _HEIGHT, _STEP, _BELOW, _NARROW = 0.34, 0.28, 1.9, 2.6, 0.42, 5.0


class _Point(NamedTuple):
    rounds: int
    seconds: float
    loss: float
    spread: float


def draw_bands(
    over_seeds: Sequence[Mapping[str, Any]],
    seeds: int,
    directory: Path,
    base: float | None = None,
    look: Look = USUAL,
) -> list[Path]:
    """Draw ``training``: mean held-out losses, one standard deviation up and down.

    Parameters
    ----------
    over_seeds : sequence of mappings
        Rows of `parasim.seeds.over_seeds`; those that not all seeds have are left out.
    seeds : int
        How many there are.
    directory : Path
        Where to write.
    base : float, optional
        Mean held-out loss of the bases, where every curve begins.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If no loss was measured by all seeds.
    """
    curves: dict[str, list[_Point]] = {}
    for row in over_seeds:
        if row["seeds"] == seeds and row["eval_loss_mean"] is not None:
            point = _Point(row["round"] + 1, row["simulated_s_mean"], row["eval_loss_mean"], row["eval_loss_sd"])
            curves.setdefault(row["method"], []).append(point)
    if not curves:
        raise FigureError("nothing to draw: no held-out loss was measured by all seeds")
    if base is not None:
        curves = {method: [_Point(0, 0.0, base, 0.0), *curve] for method, curve in curves.items()}
    said = f"held-out loss, mean of {seeds} seeds; bands: one standard deviation up and down"
    draw = partial(_draw, curves=curves, said=said)
    return draw_to_width(draw, directory / "training", look, style.PAGE_WIDTH)


def _draw(drawn: Sheet, width: float, curves: Mapping[str, Sequence[_Point]], said: str) -> None:
    """Draw the curves against rounds and against time, side by side where there is room."""
    unit = style.time_unit(max(curve[-1].seconds for curve in curves.values()))
    colours = style.method_colours(curves)
    drawn.text(0, 0.24, said, size=style.NORMAL, va="top")
    names = max(style.text_width(drawn.look.name(method), style.SMALL) for method in curves) + 0.18
    columns = 2 if width > _NARROW else 1
    panel_width = (width - _LEFT - names - (columns - 1) * _GUTTER) / columns
    charts = []
    for number, name in enumerate(("rounds", f"mean simulated {unit.name}")):
        left = _LEFT + number % columns * (panel_width + _GUTTER)
        axes = drawn.axes(left, -(number // columns) * _STEP - _HEIGHT, panel_width, _HEIGHT)
        for method, curve in curves.items():
            xs = [point.seconds / unit.seconds if number else point.rounds for point in curve]
            low, high = ([p.loss + sign * p.spread for p in curve] for sign in (-1, 1))
            axes.fill_between(xs, low, high, color=colours[method], alpha=0.18, linewidth=0)
            for edge in (low, high):
                axes.plot(xs, edge, color=colours[method], linewidth=0.5, alpha=0.6)
            axes.plot(xs, [point.loss for point in curve], color=colours[method], linewidth=1.2)
        axes.set(xlabel=name)
        axes.set_xlim(left=0)
        if number % columns:
            axes.set_yticklabels([])
        charts.append(axes)
    ends = {drawn.look.name(name): LineEnd(curve[-1].loss, colours[name]) for name, curve in curves.items()}
    name_lines(drawn, charts, ends, width, axes.get_position().y0 - _BELOW)
