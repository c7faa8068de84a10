"""Measured against predicted transfers of TCP: how far the simulator's links are from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calibration.transport.compare import TransportComparison
from parasim.figures import style
from parasim.figures.parity import parity_axes
from parasim.figures.sheet import Key, sheet
from parasim.figures.style import FigureError

_SIDE, _GAP = 2.6, 0.75
_BAND = 0.15
_MARKERS = {"start-up": "o", "loss": "s", "streams": "^", "two-way": "D", "sharing": "X", "trace": "v", "outage": "P"}


def draw_transport(comparisons: Sequence[TransportComparison], path: Path) -> list[Path]:
    """Draw measured seconds and rates against predicted ones, PNG and SVG.

    Parameters
    ----------
    comparisons : sequence of TransportComparison
        What is drawn.
    path : Path
        Where to write, without suffix.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If there is nothing to draw.
    OutputError
        If the files cannot be written.
    """
    if not comparisons:
        raise FigureError("nothing to draw: there are no measured rows")
    kinds = list(dict.fromkeys(one.kind for one in comparisons))
    colours = dict(zip(_MARKERS, style.GROUP_COLOURS, strict=False))
    keys = [Key(kind, (colours[kind],), marker=_MARKERS[kind], filled=True) for kind in kinds]
    with sheet() as drawn:
        drawn.keys([*keys, Key(f"± {_BAND:.0%}", (style.GRID,))], -0.3, _SIDE + 0.08, 2 * _SIDE + _GAP)
        units = list(dict.fromkeys(one.unit for one in comparisons))
        for place, unit in enumerate(units):
            shown = [one for one in comparisons if one.unit == unit]
            figures = [figure for one in shown for figure in (one.measured, one.predicted)]
            ends = min(figures) / 1.3, max(figures) * 1.3
            labels = f"measured [{unit}]", f"simulated [{unit}]"
            axes = parity_axes(drawn, place * (_SIDE + _GAP), _SIDE, ends, _BAND, *labels)
            for one in shown:
                looks: dict[str, Any] = {"ms": 3.6, "mew": 0.4, "mec": "white", "color": colours[one.kind]}
                axes.plot(one.measured, one.predicted, _MARKERS[one.kind], **looks)
        return drawn.save(path)
