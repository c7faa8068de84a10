"""Reported against predicted runtimes: how far the simulator is from the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parasim.figures import style
from parasim.figures.style import FigureError, Key

_MARKERS = {"predicted": "o", "fitted": "s", "unexplained": "X"}
_LEFT, _BOTTOM, _RIGHT, _SIDE = 0.45, 0.38, 0.08, 3.0
_BAND = 0.05


def draw_parity(cells: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Draw reported minutes against predicted ones, PNG and SVG.

    Parameters
    ----------
    cells : sequence of mappings
        `method`, `reported_min`, `predicted_min` and `role` (fitted, predicted or unexplained) of each cell.
    path : Path
        Where to write; the suffix does not matter, both kinds are written.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If there are no cells.
    OutputError
        If the files cannot be written.
    """
    if path.suffix not in (".png", ".svg"):
        raise FigureError(f"{path}: a picture ends in .png or .svg")
    if not cells:
        raise FigureError("nothing to draw: there are no cells")
    colours = style.method_colours(str(cell["method"]) for cell in cells)
    keys = [Key("method:"), *(Key(method, (colour,)) for method, colour in colours.items())]
    roles = [role for role in _MARKERS if any(cell["role"] == role for cell in cells)]
    keys += [Key(role, (style.MUTED,), marker=_MARKERS[role], filled=role == "predicted") for role in roles]
    keys.append(Key(f"± {_BAND:.0%}", (style.GRID,)))
    width = _LEFT + _SIDE + _RIGHT
    lines = style.key_lines(keys, width - 0.1)
    height = _BOTTOM + _SIDE + 0.14 + len(lines) * style.KEY_LINE
    minutes = [float(cell[column]) for cell in cells for column in ("reported_min", "predicted_min")]
    low, high = min(minutes) / 1.15, max(minutes) * 1.15
    with style.sheet(width, height) as sheet:
        sheet.keys(lines, 0.06, height - 0.04)
        axes = sheet.axes(_LEFT, _BOTTOM, _SIDE, _SIDE)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        ticks = [tick for tick in (5, 10, 20, 30, 50, 70, 100) if low < tick < high]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(_fixed(ticks))
            axis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        axes.grid(axis="x", color=style.GRID, linewidth=0.5)
        ends = [low, high]
        axes.fill_between(ends, [e * (1 - _BAND) for e in ends], [e * (1 + _BAND) for e in ends], color=style.GRID)
        axes.plot(ends, ends, color=style.MUTED, linewidth=0.6)
        for role in reversed(roles):
            for cell in (cell for cell in cells if cell["role"] == role):
                colour = colours[str(cell["method"])]
                axes.plot(
                    [float(cell["reported_min"])],
                    [float(cell["predicted_min"])],
                    _MARKERS[role],
                    markersize=4.2,
                    markeredgewidth=0.8 if role != "unexplained" else 0.4,
                    markeredgecolor=colour if role != "unexplained" else "white",
                    markerfacecolor=colour if role != "fitted" else "white",
                    alpha=1.0 if role != "unexplained" else 0.75,
                )
        axes.set_xlabel("reported in the paper [min]")
        axes.set_ylabel("simulated [min]", labelpad=1)
        return sheet.save(path.with_suffix(""))


def _fixed(ticks: Sequence[float]) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(ticks)
