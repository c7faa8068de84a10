"""Training: loss against rounds beside loss against simulated wall-clock, and who had which data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.labels import label_ends
from parasim.figures.sheet import Key, Sheet, sheet
from parasim.figures.style import FigureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from train.data.partition import Partition

# All lengths are in inches.
_LEFT, _GUTTER, _HEIGHT, _STEP, _NARROW = 0.42, 0.28, 1.9, 2.6, 5.0
LOSSES = {"eval_loss": "held-out loss", "train_loss": "training loss"}
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
    with sheet() as drawn:
        draw_losses(drawn, style.PAGE_WIDTH, metrics, "eval_loss", base)
        return drawn.save(directory / "training")


def draw_losses(
    drawn: Sheet, width: float, metrics: Sequence[Mapping[str, Any]], column: str, base: float | None = None
) -> None:
    """Draw losses on a sheet.

    Parameters
    ----------
    drawn : Sheet
        The picture.
    width : float
        Of the picture [in]; where two panels side by side would be narrow, one stands below the other.
    metrics : sequence of mappings
        As of `draw_training`.
    column : str
        ``eval_loss`` or ``train_loss``.
    base : float, optional
        As of `draw_training`.

    Raises
    ------
    FigureError
        If no loss was measured.
    """
    curves: dict[str, list[tuple[int, float, float]]] = {}
    for row in metrics:
        if row[column] is not None:
            point = (int(row["round"]) + 1, float(row["simulated_s"]), float(row[column]))
            curves.setdefault(str(row["method"]), []).append(point)
    if not curves:
        raise FigureError("nothing to draw: no held-out loss was measured")
    unit = style.time_unit(max(curve[-1][1] for curve in curves.values()))
    limits = _limits([loss for curve in curves.values() for _, _, loss in curve], base)
    start = base is not None and limits[0] < base < limits[1]
    if base is not None:
        curves = {method: [(0, 0.0, base), *curve] for method, curve in curves.items()}
    of_base = "" if base is None or start else f" (of the base: {base:.2f})"
    drawn.text(0.06, 0.24, LOSSES[column] + of_base, size=style.NORMAL, va="top")
    right = max(style.text_width(method, style.SMALL) for method in curves) + 0.18
    columns = 2 if width > _NARROW else 1
    panel_width = (width - _LEFT - right - (columns - 1) * _GUTTER) / columns
    for number, name in enumerate(("rounds", f"simulated {unit.name}")):
        left = _LEFT + number % columns * (panel_width + _GUTTER)
        axes = drawn.axes(left, -(number // columns) * _STEP - _HEIGHT, panel_width, _HEIGHT)
        axes.set(ylim=limits, xlabel=name)
        ends = _draw_curves(axes, curves, number, unit.seconds if number else 1.0)
        if start:
            axes.plot([0], [base or 0.0], "o", color=style.INK, markersize=3, clip_on=False, zorder=4)
        if number % columns:
            axes.set_yticklabels([])
        if number % columns == columns - 1:
            label_ends(drawn, axes, ends)


def _draw_curves(
    axes: Axes, curves: Mapping[str, Sequence[tuple[int, float, float]]], x: int, scale: float
) -> dict[str, tuple[float, str]]:
    """Draw losses against rounds (x = 0) or seconds (x = 1), divided by a scale; return where they end."""
    from matplotlib.ticker import MaxNLocator

    colours = style.method_colours(curves)
    for method, curve in curves.items():
        xs, losses = [point[x] / scale for point in curve], [point[2] for point in curve]
        axes.plot(xs, losses, color=colours[method], linewidth=1.2)
        axes.plot(xs[-1:], losses[-1:], "o", color=colours[method], markersize=3)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=x == 0))
    return {method: (curve[-1][2], colours[method]) for method, curve in curves.items()}


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
    with sheet() as drawn:
        axes = drawn.axes(0, 0, plot_width, plot_height)
        drawn.unit(axes, "examples")
        keys = [Key(label or "all", (colour,)) for label, colour in colours.items()]
        drawn.keys(keys, 0, plot_height + 0.2, plot_width)
        bottoms = [0] * clients
        for label, numbers in counts.items():
            axes.bar(range(clients), numbers, 0.8, bottoms, color=colours[label])
            bottoms = [bottom + number for bottom, number in zip(bottoms, numbers, strict=True)]
        step = 1 if clients <= 20 else 5 if clients <= 100 else 50
        axes.set(xlim=(-0.6, clients - 0.4), xticks=range(0, clients, step), xlabel="client")
        return drawn.save(directory / "partition")
