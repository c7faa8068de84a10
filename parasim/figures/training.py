"""Training: loss against rounds beside loss against simulated wall-clock, and who had which data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.keys import Key
from parasim.figures.labels import LineEnd, name_lines
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import note
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.figures.style import FigureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from parasim_core.train.data.partition import Partition

# All lengths are in inches.
_LEFT, _GUTTER, _HEIGHT, _STEP, _BELOW, _NARROW = 0.34, 0.28, 1.9, 2.6, 0.42, 5.0
_MOST_FOR_BASE = 2.0
"""The base is shown if it is no further from the methods than so many times what they take."""
LOSSES = {"eval_loss": "held-out loss", "train_loss": "training loss"}
_LABEL_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#994F00", "#6E6E6E", "#882255", "#999933", "#44AA99",
)  # fmt: skip


def draw_training(
    metrics: Sequence[Mapping[str, Any]],
    directory: Path,
    base: float | None = None,
    look: Look = USUAL,
    *,
    live: bool = False,
) -> list[Path]:
    """Draw ``training``: held-out loss against rounds and against wall-clock.

    Parameters
    ----------
    metrics : sequence of mappings
        `method`, `round`, `simulated_s`, `eval_loss` (None where it was not measured) of each round.
    directory : Path
        Where to write.
    base : float, optional
        Held-out loss of the base, where every curve begins.
    look : Look
        How the picture is wanted.
    live : bool
        Whether the wall-clock is a real one, not a simulated one.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If no loss was measured.
    """
    draw = partial(draw_losses, metrics=metrics, column="eval_loss", base=base, live=live)
    return draw_to_width(draw, directory / "training", look, style.PAGE_WIDTH)


def draw_losses(
    drawn: Sheet,
    width: float,
    metrics: Sequence[Mapping[str, Any]],
    column: str,
    base: float | None = None,
    *,
    live: bool = False,
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
    live : bool
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
    if start:
        curves = {method: [(0, 0.0, base or 0.0), *curve] for method, curve in curves.items()}
    drawn.text(0, 0.24, LOSSES[column], size=style.NORMAL, va="top")
    names = max(style.text_width(drawn.look.name(method), style.SMALL) for method in curves) + 0.18
    columns = 2 if width > _NARROW else 1
    panel_width = (width - _LEFT - names - (columns - 1) * _GUTTER) / columns
    charts = []
    for number, name in enumerate(("rounds", unit.name if live else f"simulated {unit.name}")):
        left = _LEFT + number % columns * (panel_width + _GUTTER)
        axes = drawn.axes(left, -(number // columns) * _STEP - _HEIGHT, panel_width, _HEIGHT)
        axes.set(ylim=limits, xlabel=name)
        ends = _draw_curves(axes, curves, number, unit.seconds if number else 1.0, drawn.look)
        if start:
            axes.plot([0], [base or 0.0], "o", color=style.INK, markersize=3, clip_on=False, zorder=4)
            ground = {"fc": "white", "ec": "none", "pad": 0.6}
            note(axes, "base", (0, base or 0.0), (5, 0), va="center_baseline", color=style.MUTED, bbox=ground)
        elif base is not None:
            _point_to(axes, base, limits)
        if number % columns:
            axes.set_yticklabels([])
        charts.append(axes)
    name_lines(drawn, charts, ends, width, axes.get_position().y0 - _BELOW)


def _point_to(axes: Axes, base: float, limits: tuple[float, float]) -> None:
    """Say at the axis how far above or below the chart the loss of the base is."""
    above = base > limits[1]
    place, marker = (0, limits[1] if above else limits[0]), "^" if above else "v"
    axes.plot(*place, marker, color=style.INK, markersize=3.5, clip_on=False, zorder=4)
    text = f"base: {base:.2f}, {'above' if above else 'below'} the chart"
    note(axes, text, place, (5, -1 if above else 1), va="center", color=style.MUTED)


def _draw_curves(
    axes: Axes, curves: Mapping[str, Sequence[tuple[int, float, float]]], x: int, scale: float, look: Look
) -> dict[str, LineEnd]:
    """Draw losses against rounds (x = 0) or seconds (x = 1), divided by a scale; return where they end."""
    from matplotlib.ticker import MaxNLocator

    colours = style.method_colours(curves)
    for method, curve in curves.items():
        xs, losses = [point[x] / scale for point in curve], [point[2] for point in curve]
        axes.plot(xs, losses, color=colours[method], linewidth=1.2)
        axes.plot(xs[-1:], losses[-1:], "o", color=colours[method], markersize=3)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=x == 0))
    ends = {look.name(method): LineEnd(curve[-1][2], colours[method]) for method, curve in curves.items()}
    return dict(sorted(ends.items(), key=lambda end: -end[1].value))


def _limits(losses: Sequence[float], base: float | None) -> tuple[float, float]:
    """Choose what the loss axis shows: the methods, and the base unless it would leave them no height."""
    low, high = min(losses), max(losses)
    margin = 0.05 * (high - low) or 0.05
    low, high = low - margin, high + margin
    room = _MOST_FOR_BASE * (high - low)
    if base is not None and low - room <= base <= high + room:
        return min(low, base - margin), max(high, base + margin)
    return low, high


def draw_partition(partition: Partition, directory: Path, look: Look = USUAL) -> list[Path]:
    """Draw ``partition``: how many examples of which label each client has.

    Parameters
    ----------
    partition : Partition
        Who has which examples.
    directory : Path
        Where to write.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.
    """
    width = max(style.COLUMN_WIDTH, min(style.PAGE_WIDTH, 0.22 * len(partition.clients) + 0.5))
    return draw_to_width(partial(_draw_partition, partition=partition), directory / "partition", look, width)


def _draw_partition(drawn: Sheet, room: float, partition: Partition) -> None:
    counts = partition.counts()
    clients = len(partition.clients)
    colours = {label: _LABEL_COLOURS[number % len(_LABEL_COLOURS)] for number, label in enumerate(counts)}
    width, height = room - _LEFT, 1.5
    axes = drawn.axes(_LEFT, 0, width, height)
    keys = [Key(drawn.look.name(label) or "all", (colour,)) for label, colour in colours.items()]
    drawn.keys(keys, 0, height + 0.2, room)
    bottoms = [0] * clients
    for label, numbers in counts.items():
        axes.bar(range(clients), numbers, 0.8, bottoms, color=colours[label])
        bottoms = [bottom + number for bottom, number in zip(bottoms, numbers, strict=True)]
    drawn.unit(axes, "examples")
    step = next((step for step in (1, 2, 5, 10, 20, 50) if clients / step * 0.16 <= width), 100)
    axes.set(xlim=(-0.6, clients - 0.4), xticks=range(0, clients, step), xlabel="client")
