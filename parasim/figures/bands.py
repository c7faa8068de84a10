"""Training from several seeds: each method's mean loss against rounds and simulated time, in a band of its spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from parasim.figures import style
from parasim.figures.labels import label_ends
from parasim.figures.sheet import sheet
from parasim.figures.style import FigureError

# All lengths are in inches.
_LEFT, _GUTTER, _HEIGHT = 0.42, 0.28, 1.9


class _Point(NamedTuple):
    rounds: int
    seconds: float
    loss: float
    spread: float


def draw_bands(
    over_seeds: Sequence[Mapping[str, Any]], seeds: int, directory: Path, base: float | None = None
) -> list[Path]:
    """Draw ``training.png`` and ``training.svg``: mean held-out losses, one standard deviation up and down.

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

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If no loss was measured by all seeds.
    """
    from matplotlib.ticker import MaxNLocator

    curves: dict[str, list[_Point]] = {}
    for row in over_seeds:
        if row["seeds"] == seeds and row["eval_loss_mean"] is not None:
            point = _Point(row["round"] + 1, row["simulated_s_mean"], row["eval_loss_mean"], row["eval_loss_sd"])
            curves.setdefault(row["method"], []).append(point)
    if not curves:
        raise FigureError("nothing to draw: no held-out loss was measured by all seeds")
    if base is not None:
        curves = {method: [_Point(0, 0.0, base, 0.0), *curve] for method, curve in curves.items()}
    unit = style.time_unit(max(curve[-1].seconds for curve in curves.values()))
    colours = style.method_colours(curves)
    right = max(style.text_width(method, style.SMALL) for method in curves) + 0.18
    width = (style.PAGE_WIDTH - _LEFT - right - _GUTTER) / 2
    with sheet() as drawn:
        said = f"held-out loss, mean of {seeds} seeds; bands: one standard deviation up and down"
        drawn.text(0.06, 0.24, said, size=style.NORMAL, va="top")
        for number, name in enumerate(("rounds", f"mean simulated {unit.name}")):
            axes = drawn.axes(_LEFT + number * (width + _GUTTER), -_HEIGHT, width, _HEIGHT)
            for method, curve in curves.items():
                xs = [point.seconds / unit.seconds if number else point.rounds for point in curve]
                low, high = ([p.loss + sign * p.spread for p in curve] for sign in (-1, 1))
                axes.fill_between(xs, low, high, color=colours[method], alpha=0.18, linewidth=0)
                for edge in (low, high):
                    axes.plot(xs, edge, color=colours[method], linewidth=0.5, alpha=0.6)
                axes.plot(xs, [point.loss for point in curve], color=colours[method], linewidth=1.2)
            axes.set(xlabel=name)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(7, integer=not number))
            if number:
                axes.set_yticklabels([])
                label_ends(drawn, axes, {name: (curve[-1].loss, colours[name]) for name, curve in curves.items()})
        return drawn.save(directory / "training")
