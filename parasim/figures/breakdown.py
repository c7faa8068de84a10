"""Where a run takes its time: the wall-clock of the mean client of each group, in parts.

A thin line below a bar is what computing hides of the communication: it takes no time of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parasim.figures import style
from parasim.figures.bars import BarPart
from parasim.figures.gantt_failures import REPAIR as FAILED
from parasim.figures.keys import Key
from parasim.figures.labels import shortened
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import fill, write
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.figures.style import FigureError
from parasim.text import clock
from parasim_core.sim.engine.result import Result

PARTS = {
    "compute_s": BarPart("computing", style.COMPUTE),
    "exposed_communication_s": BarPart("exposed communication", style.EXPOSED),
    "waiting_s": BarPart("waiting", style.WAITING),
    "offline_s": BarPart("offline", style.OFFLINE),
    "failed_s": BarPart("failed: repairs, and outages that something waited for", FAILED),
}
"""Parts of a client's wall-clock, by their column."""
_HIDDEN = BarPart("communication hidden behind computing", "#56B4E9")

# All lengths are in inches.
_WIDTH, _ROW, _GAP, _WIDEST_NAME = 5.0, 0.32, 0.07, 0.3
_BAR, _THIN = 0.52, 0.12
"""Heights of a bar and of the line below it, as parts of a row."""
_SEEN = 0.004
"""Share of the wall-clock from which on hidden communication is drawn."""
_MOST = 24
"""Groups that are drawn: those with the most clients."""


def breakdown_parts(row: Mapping[str, Any]) -> dict[str, BarPart]:
    """Parts of a client's wall-clock that a run's figures have, by their column: one more where anything can fail."""
    return {column: part for column, part in PARTS.items() if column in row}


def draw_breakdown(result: Result, directory: Path, look: Look = USUAL) -> list[Path]:
    """Draw ``breakdown``.

    Parameters
    ----------
    result : Result
        The run.
    directory : Path
        Where the files go.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If the run takes no time.
    OutputError
        If the files cannot be written.
    """
    if not result.wall_clock:
        raise FigureError("nothing to draw: the run takes no time")
    groups = result.groups()
    shown = sorted(sorted(groups, key=lambda group: -int(str(group["clients"])))[:_MOST], key=groups.index)
    rows: list[Mapping[str, Any]] = [*shown] if len(groups) > 1 else []
    rows.append({"name": "the fleet", "clients": result.scenario.clients, **result.figures()})
    title = f"{look.name(result.scenario.method.name)}: wall-clock {clock(result.wall_clock)}"
    draw = partial(_draw, rows=rows, wall_clock=result.wall_clock, left_out=len(groups) - len(shown))
    return draw_to_width(draw, directory / "breakdown", look, _WIDTH, title)


def _draw(drawn: Sheet, room: float, rows: Sequence[Mapping[str, Any]], wall_clock: float, left_out: int) -> None:
    unit = style.time_unit(wall_clock)
    names = [_name(row, room * _WIDEST_NAME, drawn.look) for row in rows]
    left = max(style.text_width(name, style.SMALL) for name in names) + _GAP
    width, height = room - left - _GAP, len(rows) * _ROW
    axes = drawn.axes(left, 0, width, height, grid="x")
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, wall_clock / unit.seconds), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=max(3, int(width / 0.5)))
    more = f"; {left_out} groups with fewer clients are not shown" if left_out else ""
    axes.set_xlabel(f"wall-clock of the mean client [{unit.name}]{more}")
    parts = {column: part for column, part in breakdown_parts(rows[-1]).items() if any(row[column] for row in rows)}
    for place, row in enumerate(rows):
        start = 0.0
        for column, part in parts.items():
            length = float(row[column]) / unit.seconds
            if length <= 0:
                continue
            fill(axes.barh(place, length, _BAR, start)[0], part.colour)
            share = f"{float(row[column]) / wall_clock:.0%}"
            if style.text_width(share, style.SMALL) + 0.06 < length / wall_clock * unit.seconds * width:
                pale = part.colour in (style.WAITING, style.OFFLINE)
                looks: dict[str, Any] = {"color": style.INK if pale else "white", "ha": "center", "zorder": 5}
                if part.colour == style.EXPOSED:
                    # On a pattern, a number needs a ground of its own.
                    looks["bbox"] = {"fc": part.colour, "ec": "none", "pad": 0.8}
                write(axes, start + length / 2, place, share, va="center_baseline", **looks)
            start += length
        hidden = float(row["hidden_communication_s"])
        hidden = hidden / unit.seconds if hidden > _SEEN * wall_clock else 0.0
        axes.barh(place + (_BAR + _THIN) / 2 + 0.03, hidden, _THIN, color=_HIDDEN.colour)
    keys = [Key(part.name, (part.colour,)) for part in parts.values()]
    if any(float(row["hidden_communication_s"]) > _SEEN * wall_clock for row in rows):
        keys.append(Key(_HIDDEN.name, (_HIDDEN.colour,), "_"))
    drawn.keys(keys, 0, height + 0.08, room)


def _name(row: Mapping[str, Any], width: float, look: Look) -> str:
    clients = int(row["clients"])
    name = look.name(str(row["name"]))
    return shortened(f"{name} × {clients:,}" if clients > 1 else name, width, style.SMALL)
