"""Published against predicted steps on GPUs: how far times and memory are from what others measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.keys import Key
from parasim.figures.look import USUAL, Look
from parasim.figures.parity import parity_axes, side_by_side
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.figures.style import FigureError

if TYPE_CHECKING:
    from parasim_core.calibration.devices.validation import Verdict

_WIDTH = 6.4
_PANELS = (("time", "s per step", 1.0, 0.3), ("memory", "GB", 1e9, 0.1))
"""Metric, its unit, the unit's size, and the band that nine in ten times or all memory peaks are to be in."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")


def draw_devices(verdicts: Sequence[Verdict], path: Path, look: Look = USUAL) -> list[Path]:
    """Draw published times and memory peaks against predicted ones.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Rows with their predictions; those that cannot be expressed are left out.
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
        If there is nothing to draw, or more families of GPUs than there are colours.
    OutputError
        If the files cannot be written.
    """
    families: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.predicted is not None:
            families.setdefault(_family(verdict), []).append(verdict)
    if not 0 < len(families) <= len(_MARKERS):
        raise FigureError(f"{len(families)} families of GPUs to draw, possible are 1 to {len(_MARKERS)}")
    return draw_to_width(partial(_draw, families=families), path, look, _WIDTH)


def _draw(drawn: Sheet, room: float, families: Mapping[str, Sequence[Verdict]]) -> None:
    looks = dict(zip(sorted(families), zip(style.GROUP_COLOURS, _MARKERS, strict=True), strict=False))
    keys = [Key(name, (colour,), marker=marker, filled=True) for name, (colour, marker) in looks.items()]
    keys.append(Key("some inputs inferred", (style.MUTED,), marker="o"))
    bands = ", ".join(f"± {band:.0%} ({metric})" for metric, *_, band in _PANELS)
    side, places = side_by_side(room, len(_PANELS))
    drawn.keys([*keys, Key(bands, (style.GRID,))], 0, side + 0.08, room)
    for (left, bottom), (metric, unit, size, band) in zip(places, _PANELS, strict=True):
        points = [
            (name, verdict, verdict.reported / size, verdict.predicted / size)
            for name, own in families.items()
            for verdict in own
            if verdict.row.metric == metric and verdict.reported and verdict.predicted
        ]
        figures = [figure for _, _, *pair in points for figure in pair] or [1.0]
        ends = min(figures) / 1.3, max(figures) * 1.3
        labels = f"published [{unit}]", f"predicted [{unit}]"
        axes = parity_axes(drawn, left, side, ends, band, *labels, bottom=bottom)
        for name, verdict, published, predicted in sorted(points, key=lambda point: point[1].comparable):
            colour, marker = looks[name]
            face, edge = (colour, "white") if verdict.comparable else ("white", colour)
            axes.plot(published, predicted, marker, ms=3.8, mew=0.6, mec=edge, mfc=face)


def _family(verdict: Verdict) -> str:
    device = verdict.row.device()
    return "GeForce" if device.kind == "geforce" else device.name.split("-")[0].upper()
