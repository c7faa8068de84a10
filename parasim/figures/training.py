"""Training: loss against rounds beside loss against simulated wall-clock, and who had which data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.labels import label_ends
from parasim.figures.style import FigureError, Key

if TYPE_CHECKING:
    from train.partition import Partition

_LEFT, _BOTTOM, _TOP, _GUTTER = 0.42, 0.40, 0.30, 0.28
_PANEL_WIDTH, _PANEL_HEIGHT = 2.6, 1.9
_LABEL_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#994F00", "#F0E442", "#882255", "#999933", "#44AA99",
)  # fmt: skip


def draw_training(metrics: Sequence[Mapping[str, Any]], directory: Path, base: float | None = None) -> list[Path]:
    """Draw ``training.png`` and ``training.svg``: held-out loss against rounds and against simulated time.

    Parameters
    ----------
    metrics : sequence of mappings
        `method`, `round`, `simulated_s`, `eval_loss` (None where it was not measured) of each round.
    directory : Path
        Where to write.
    base : float, optional
        Held-out loss of the base, where every curve begins.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If no loss was measured.
    """
    from matplotlib.ticker import MaxNLocator

    curves: dict[str, list[tuple[int, float, float]]] = {}
    for row in metrics:
        if row["eval_loss"] is not None:
            point = (int(row["round"]) + 1, float(row["simulated_s"]), float(row["eval_loss"]))
            curves.setdefault(str(row["method"]), []).append(point)
    if not curves:
        raise FigureError("nothing to draw: no held-out loss was measured")
    colours = style.method_colours(curves)
    unit = style.time_unit(max(curve[-1][1] for curve in curves.values()))
    low, high = _limits([loss for curve in curves.values() for _, _, loss in curve], base)
    if base is not None:
        curves = {method: [(0, 0.0, base), *curve] for method, curve in curves.items()}
    start = [base] if base is not None and low < base < high else []
    right = max(style.text_width(method, style.SMALL) for method in curves) + 0.18
    width = _LEFT + 2 * _PANEL_WIDTH + _GUTTER + right
    height = _BOTTOM + _PANEL_HEIGHT + _TOP
    with style.sheet(width, height) as sheet:
        for number, name in enumerate(("rounds", f"simulated {unit.name}")):
            left = _LEFT + number * (_PANEL_WIDTH + _GUTTER)
            axes = sheet.axes(left, _BOTTOM, _PANEL_WIDTH, _PANEL_HEIGHT)
            axes.set_ylim(low, high)
            for method, curve in curves.items():
                xs = [point[0] if number == 0 else point[1] / unit.seconds for point in curve]
                axes.plot(xs, [point[2] for point in curve], color=colours[method], linewidth=1.2)
                axes.plot(xs[-1:], [curve[-1][2]], "o", color=colours[method], markersize=3)
            axes.set_xlim(left=0)
            axes.set_xlabel(name)
            if start:
                axes.plot([0], start, "o", color=style.INK, markersize=3, clip_on=False, zorder=4)
            if number == 0:
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if number:
                axes.set_yticklabels([])
        what = "held-out loss" if base is None or start else f"held-out loss (of the base: {base:.2f})"
        sheet.page.text(0.06, height - 0.06, what, size=style.NORMAL, va="top")
        ends = {
            method: (_BOTTOM + (curve[-1][2] - low) / (high - low) * _PANEL_HEIGHT, colours[method])
            for method, curve in curves.items()
        }
        edge = _LEFT + 2 * _PANEL_WIDTH + _GUTTER
        label_ends(sheet, ends, edge, _BOTTOM, _BOTTOM + _PANEL_HEIGHT)
        return sheet.save(directory / "training")


def _limits(losses: Sequence[float], base: float | None) -> tuple[float, float]:
    """Choose what the loss axis shows: the methods, and the base unless it would leave them no height."""
    low, high = min(losses), max(losses)
    margin = 0.05 * (high - low) or 0.05
    low, high = low - margin, high + margin
    if base is not None and low - (high - low) <= base <= high + (high - low):
        return min(low, base - margin), max(high, base + margin)
    return low, high


def draw_partition(partition: Partition, directory: Path) -> list[Path]:
    """Draw ``partition.png`` and ``partition.svg``: how many examples of which label each client has.

    Parameters
    ----------
    partition : Partition
        Who has which examples.
    directory : Path
        Where to write.

    Returns
    -------
    list of Path
        The two files.
    """
    counts = partition.counts()
    clients = len(partition.clients)
    colours = {label: _LABEL_COLOURS[number % len(_LABEL_COLOURS)] for number, label in enumerate(counts)}
    plot_width, plot_height = max(2.8, min(6.5, 0.22 * clients)), 1.5
    width = _LEFT + plot_width + 0.1
    lines = style.key_lines([Key(label or "all", (colour,)) for label, colour in colours.items()], width - 0.12)
    height = _BOTTOM + plot_height + 0.3 + len(lines) * style.KEY_LINE
    with style.sheet(width, height) as sheet:
        sheet.keys(lines, 0.06, height - 0.05)
        sheet.page.text(0.06, _BOTTOM + plot_height + 0.18, "examples", size=style.SMALL, va="top")
        axes = sheet.axes(_LEFT, _BOTTOM, plot_width, plot_height)
        bottoms = [0] * clients
        for label, numbers in counts.items():
            axes.bar(range(clients), numbers, 0.8, bottoms, color=colours[label])
            bottoms = [bottom + number for bottom, number in zip(bottoms, numbers, strict=True)]
        axes.set_xlim(-0.6, clients - 0.4)
        step = 1 if clients <= 20 else 5 if clients <= 100 else 50
        axes.set_xticks(range(0, clients, step))
        axes.set_xlabel("client")
        return sheet.save(directory / "partition")
