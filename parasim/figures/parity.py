"""Reported against predicted runtimes: how far the simulator is from the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.sheet import Key, Sheet, log_ticks, sheet
from parasim.figures.style import FigureError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = {"predicted": "o", "fitted": "s", "unexplained": "X"}
_SIDE = 3.0
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
    minutes = [float(cell[column]) for cell in cells for column in ("reported_min", "predicted_min")]
    low, high = min(minutes) / 1.15, max(minutes) * 1.15
    with sheet() as drawn:
        drawn.keys(keys, -0.3, _SIDE + 0.08, _SIDE + 0.3)
        axes = parity_axes(drawn, 0, _SIDE, (low, high), _BAND, "reported in the paper [min]", "simulated [min]")
        for role in reversed(roles):
            looks: dict[str, Any] = {"alpha": 0.75, "mew": 0.4} if role == "unexplained" else {"mew": 0.8}
            for cell in (cell for cell in cells if cell["role"] == role):
                colour = colours[str(cell["method"])]
                looks["mec"] = "white" if role == "unexplained" else colour
                looks["mfc"] = "white" if role == "fitted" else colour
                axes.plot(float(cell["reported_min"]), float(cell["predicted_min"]), _MARKERS[role], ms=4.2, **looks)
        return drawn.save(path.with_suffix(""))


def parity_axes(
    drawn: Sheet, left: float, side: float, ends: tuple[float, float], band: float, across: str, up: str
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
    """
    axes = drawn.axes(left, 0, side, side, grid="both")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel=across)
    axes.set_ylabel(up, labelpad=1)
    log_ticks(axes.xaxis)
    log_ticks(axes.yaxis)
    axes.fill_between(ends, [e * (1 - band) for e in ends], [e * (1 + band) for e in ends], color=style.GRID)
    axes.plot(ends, ends, color=style.MUTED, linewidth=0.6)
    return axes
