"""Measured against predicted transfers of TCP: how far the simulator's links are from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parasim.figures import style
from parasim.figures.keys import Key
from parasim.figures.look import USUAL, Look
from parasim.figures.parity import parity_axes, side_by_side
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.figures.style import FigureError
from parasim_core.calibration.transport.compare import TransportComparison

_WIDTH = 6.4
_BAND = 0.15
_MARKERS = {"start-up": "o", "loss": "s", "streams": "^", "two-way": "D", "sharing": "X", "trace": "v", "outage": "P"}


def draw_transport(comparisons: Sequence[TransportComparison], path: Path, look: Look = USUAL) -> list[Path]:
    """Draw measured seconds and rates against predicted ones.

    Parameters
    ----------
    comparisons : sequence of TransportComparison
        What is drawn.
    path : Path
        Where to write, without suffix.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If there is nothing to draw.
    OutputError
        If the files cannot be written.
    """
    if not comparisons:
        raise FigureError("nothing to draw: there are no measured rows")
    return draw_to_width(partial(_draw, comparisons=comparisons), path, look, _WIDTH)


def _draw(drawn: Sheet, room: float, comparisons: Sequence[TransportComparison]) -> None:
    colours = dict(zip(_MARKERS, style.GROUP_COLOURS, strict=False))
    kinds = dict.fromkeys(one.kind for one in comparisons)
    keys = [Key(kind, (colours[kind],), marker=_MARKERS[kind], filled=True) for kind in kinds]
    units = list(dict.fromkeys(one.unit for one in comparisons))
    side, places = side_by_side(room, len(units))
    drawn.keys([*keys, Key(f"± {_BAND:.0%}", (style.GRID,))], 0, side + 0.08, room)
    for (left, bottom), unit in zip(places, units, strict=True):
        shown = [one for one in comparisons if one.unit == unit]
        figures = [figure for one in shown for figure in (one.measured, one.predicted)]
        ends = min(figures) / 1.3, max(figures) * 1.3
        labels = f"measured [{unit}]", f"simulated [{unit}]"
        axes = parity_axes(drawn, left, side, ends, _BAND, *labels, bottom=bottom)
        for one in shown:
            looks: dict[str, Any] = {"ms": 3.6, "mew": 0.4, "mec": "white", "color": colours[one.kind]}
            axes.plot(one.measured, one.predicted, _MARKERS[one.kind], **looks)
