"""Reported against predicted runtimes: how far the simulator is from the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.look import FORMATS, USUAL, Look
from parasim.figures.marks import log_ticks
from parasim.figures.sheet import Key, Sheet, draw_to_width
from parasim.figures.style import FigureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = {"predicted": "o", "fitted": "s", "unexplained": "X"}
_WIDTH, _LEFT = 3.4, 0.42
_BAND = 0.05
_BESIDE, _BELOW, _SMALLEST = 0.12, 0.45, 1.8
"""Right of square axes, below them, and the least side of those that stand side by side [inches]."""


def draw_parity(cells: Sequence[Mapping[str, Any]], path: Path, look: Look = USUAL) -> list[Path]:
    """Draw reported minutes against predicted ones.

    Parameters
    ----------
    cells : sequence of mappings
        `method`, `reported_min`, `predicted_min` and `role` (fitted, predicted or unexplained) of each cell.
    path : Path
        Where to write. Its ending is not looked at, unless it is PDF and the look names no kinds of files.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If there are no cells.
    OutputError
        If the files cannot be written.
    """
    suffix = path.suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise FigureError(f"{path}: a picture ends in .{', .'.join(FORMATS)}")
    if not cells:
        raise FigureError("nothing to draw: there are no cells")
    if suffix == "pdf" and not look.formats:
        look = replace(look, formats=(suffix,))
    return draw_to_width(partial(_draw, cells=cells), path.with_suffix(""), look, _WIDTH)


def _draw(drawn: Sheet, room: float, cells: Sequence[Mapping[str, Any]]) -> None:
    colours = style.method_colours(str(cell["method"]) for cell in cells)
    keys = [Key("method:"), *(Key(drawn.look.name(method), (colour,)) for method, colour in colours.items())]
    roles = [role for role in _MARKERS if any(cell["role"] == role for cell in cells)]
    keys += [Key(role, (style.MUTED,), marker=_MARKERS[role], filled=role == "predicted") for role in roles]
    keys.append(Key(f"± {_BAND:.0%}", (style.GRID,)))
    minutes = [float(cell[column]) for cell in cells for column in ("reported_min", "predicted_min")]
    ends = min(minutes) / 1.15, max(minutes) * 1.15
    side = room - _LEFT
    drawn.keys(keys, 0, side + 0.08, room)
    axes = parity_axes(drawn, _LEFT, side, ends, _BAND, "reported in the paper [min]", "simulated [min]")
    for role in reversed(roles):
        looks: dict[str, Any] = {"alpha": 0.75, "mew": 0.4} if role == "unexplained" else {"mew": 0.8}
        for cell in (cell for cell in cells if cell["role"] == role):
            colour = colours[str(cell["method"])]
            looks["mec"] = "white" if role == "unexplained" else colour
            looks["mfc"] = "white" if role == "fitted" else colour
            axes.plot(float(cell["reported_min"]), float(cell["predicted_min"]), _MARKERS[role], ms=4.2, **looks)


def parity_axes(
    drawn: Sheet,
    left: float,
    side: float,
    ends: tuple[float, float],
    band: float,
    across: str,
    up: str,
    *,
    bottom: float = 0.0,
) -> Axes:
    """Make square log axes with the line of equal values and a band about it.

    Parameters
    ----------
    drawn : Sheet
        Where.
    left, side : float
        Position and size [inches].
    ends : (float, float)
        Least and largest value on both axes.
    band : float
        Half the width of the band, as a share of the value.
    across, up : str
        Labels of the axes.
    bottom : float
        Their lower edge [inches].
    """
    axes = drawn.axes(left, bottom, side, side, grid="both")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel=across)
    axes.set_ylabel(up, labelpad=1)
    log_ticks(axes.xaxis)
    log_ticks(axes.yaxis)
    axes.fill_between(ends, [e * (1 - band) for e in ends], [e * (1 + band) for e in ends], color=style.GRID)
    axes.plot(ends, ends, color=style.MUTED, linewidth=0.6)
    return axes


def side_by_side(room: float, panels: int) -> tuple[float, list[tuple[float, float]]]:
    """Place square axes beside one another, or below where they would be small.

    Parameters
    ----------
    room : float
        From the left edge of the picture to its right one [inches].
    panels : int
        How many.

    Returns
    -------
    tuple of float and list of (float, float)
        Their side, and the left and lower edge of each, the first one's at 0 [inches].
    """
    side = room / panels - _LEFT - _BESIDE
    if side >= _SMALLEST:
        return side, [(_LEFT + number * (side + _LEFT + _BESIDE), 0.0) for number in range(panels)]
    side = room - _LEFT
    return side, [(_LEFT, -number * (side + _BELOW)) for number in range(panels)]
