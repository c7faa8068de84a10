"""Runtime against one swept quantity, such as the bandwidth: a line per method, on a logarithmic axis.

Dots are what was simulated. Where the communication of a line becomes fully hidden, it has a ring, and a list below the
chart says whose that is, and where.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.curves import between, dashes_on
from parasim.figures.keys import Key
from parasim.figures.labels import LineEnd, name_lines
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import log_ticks, ring, spaced
from parasim.figures.rows import (
    Row,
    check_columns,
    is_rate,
    pretty_name,
    pretty_value,
    short_names,
    swept_columns,
    text,
)
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.figures.style import FigureError
from parasim_core.sim.errors import UnitError
from parasim_core.sim.scenario.units import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from parasim.hiding import Hidden
from parasim.text import BAND_COLUMNS

# All lengths are in inches.
_WIDTH, _HEIGHT, _FLAT = 5.0, 2.4, 0.75
_LEFT, _BELOW = 0.34, 0.36
_MARKERS = ("o", "s", "^", "D")


def draw_line(
    rows: Sequence[Row], x: str, directory: Path, hidden: Sequence[Hidden] = (), look: Look = USUAL
) -> list[Path]:
    """Draw ``runtime``: the wall-clock against the column `x`.

    Parameters
    ----------
    rows : sequence of mappings
        One per run: the swept fields, `method` among them, then `wall_clock_s` and, where computing times are
        predicted, the ends of its band, `wall_clock_low_s` and `wall_clock_high_s` [s].
    x : str
        Column of the swept quantity: positive numbers, or quantities such as ``100MB/s`` or ``10ms``.
    directory : Path
        Where to write the files; made if it is not there.
    hidden : sequence of Hidden
        Where along which lines communication becomes, or ceases to be, fully hidden.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If there are no rows, a column is missing, a value has no place on a logarithmic axis, or a line has two
        runtimes for one value.
    OutputError
        If the files cannot be written.
    """
    check_columns(rows, (x, "method", "wall_clock_s"))
    lines = _lines(rows, x, hidden, look)
    base = quantity(text(rows[0], x))[1]
    swept = sorted({_number(text(row, x), x) for row in rows})
    draw = partial(_draw, lines=lines, x=x, base=base, swept=swept)
    return draw_to_width(draw, directory / "runtime", look, _WIDTH)


@dataclass(frozen=True)
class _Line:
    """Runs that differ only along the axis: runtimes and their bands by value [s], and where stalls begin or end."""

    method: str
    runtimes: dict[float, float] = field(default_factory=dict)
    bands: dict[float, tuple[float, float]] = field(default_factory=dict)
    marks: list[Hidden] = field(default_factory=list)


def _lines(rows: Sequence[Row], x: str, hidden: Sequence[Hidden], look: Look) -> dict[str, _Line]:
    """Sort runs into lines by their names."""
    told_apart = [name for name in swept_columns(rows) if name != x]
    lines: dict[str, _Line] = {}
    for row in rows:
        line = lines.setdefault(_name(row, told_apart, look), _Line(text(row, "method")))
        value = _number(text(row, x), x)
        if value in line.runtimes:
            raise FigureError(f"two runtimes at {x} {text(row, x)} of one line; tell them apart by a column")
        line.runtimes[value] = float(row["wall_clock_s"])
        if BAND_COLUMNS[0] in row:
            low, high = (float(row[column]) for column in BAND_COLUMNS)
            line.bands[value] = low, high
    for mark in hidden:
        # The line bends there, between two runs of the sweep.
        line = lines[_name(mark.labels, told_apart, look)]
        line.marks.append(mark)
        line.runtimes[mark.value] = mark.wall_clock
    return lines


def _draw(drawn: Sheet, room: float, lines: Mapping[str, _Line], x: str, base: str, swept: Sequence[float]) -> None:
    """Draw the chart, the names of its lines, and whose communication is hidden where."""
    times = [seconds for line in lines.values() for seconds in line.runtimes.values()]
    times += [end for line in lines.values() for band in line.bands.values() for end in band]
    unit = style.time_unit(max(times))
    axes = drawn.axes(_LEFT, 0, room - _LEFT, min(_HEIGHT, _FLAT * room))
    # Methods differ by factors: a log axis where a linear one would press the fast ones to the floor.
    factors = max(times) > 5 * min(times) > 0
    low, high = (min(times) / 1.2, max(times) * 1.2) if factors else (0.0, max(times) * 1.2 or unit.seconds)
    axes.set(xscale="log", yscale="log" if factors else "linear", ylim=(low / unit.seconds, high / unit.seconds))
    axes.set_xlabel(pretty_name(x, drawn.look))
    axes.margins(x=0.05)
    ends = _draw_lines(axes, lines, unit, rate=is_rate(x) or base == "B/s")
    write = _writer(base)
    shown, _ = spaced(axes.xaxis, swept, write)
    axes.set_xticks(shown, [write(value) for value in shown])
    axes.minorticks_off()
    if factors:
        log_ticks(axes.yaxis)
    drawn.unit(axes, f"wall-clock [{unit.name}]")
    bottom = name_lines(drawn, [axes], ends, room, -_BELOW)
    if any(line.bands for line in lines.values()):
        drawn.listed([Key("band of predicted computing times", (style.GRID,))], _LEFT, bottom - 0.08, room - _LEFT)
        bottom -= 0.2
    keys = []
    for name, line in lines.items():
        for mark in line.marks:
            ring(axes, mark.value, mark.wall_clock / unit.seconds, ends[name].colour)
            keys.append(Key(f"{name}: {_where(mark, write, base)}", (ends[name].colour,), "o"))
    if keys:
        drawn.text(_LEFT, bottom - 0.12, "all communication is hidden", color=style.MUTED)
        drawn.listed(keys, _LEFT, bottom - 0.19, room - _LEFT)


def _draw_lines(axes: Axes, lines: Mapping[str, _Line], unit: style.TimeUnit, *, rate: bool) -> dict[str, LineEnd]:
    """Draw lines in the colours of their methods; return how they end.

    Those of one colour are drawn in different ways, and so are those that lie on each other, so that all are seen.
    """
    colours = style.method_colours(line.method for line in lines.values())
    met: dict[str, int] = {}
    above: list[dict[float, float]] = []
    ends = {}
    for name, line in lines.items():
        points = sorted((x, seconds / unit.seconds) for x, seconds in line.runtimes.items())
        colour = colours[line.method]
        if line.bands:
            ends_of_band = sorted((x, low / unit.seconds, high / unit.seconds) for x, (low, high) in line.bands.items())
            places, lows, highs = zip(*ends_of_band, strict=True)
            axes.fill_between(places, lows, highs, color=colour, alpha=0.15, linewidth=0)
        met[colour] = met.get(colour, -1) + 1
        dashes, marker = dashes_on(above, line.runtimes, met[colour]), _MARKERS[met[colour] % len(_MARKERS)]
        axes.plot(*between(points, rate=rate), color=colour, linewidth=1.2, linestyle=dashes)
        bends = {mark.value for mark in line.marks}
        dots = [point for point in points if point[0] not in bends]
        axes.plot(*zip(*dots, strict=True), color=colour, linestyle="", marker=marker, markersize=2.6)
        ends[name] = LineEnd(points[-1][1], colour, dashes, marker)
    # As they lie in the picture, so that a list reads from the top.
    return dict(sorted(ends.items(), key=lambda end: -end[1].value))


def _name(row: Row, columns: Sequence[str], look: Look) -> str:
    """Name of a line: its method, and every other column that tells it apart with its name, so that numbers speak."""
    names = short_names((column for column in columns if column != "method"), look)
    names = {column: "" if column == "model" else f"{name} " for column, name in names.items()}
    told = (f"{name}{pretty_value(column, text(row, column), look)}" for column, name in names.items())
    return ", ".join([look.name(text(row, "method")), *told])


def _number(value: str, x: str) -> float:
    try:
        number = quantity(value)[0]
    except UnitError as error:
        raise FigureError(f"{x}: {error}; draw bars instead") from None
    if not 0 < number < math.inf:
        raise FigureError(f"{x}: {value} has no place on a logarithmic axis; draw bars instead")
    return number


def _writer(base: str) -> Callable[[float], str]:
    """Write numbers of a quantity with their unit and its prefix."""
    from matplotlib.ticker import EngFormatter

    # Prefixes go with units alone: a thousandth of a per cent is no "m%".
    plain = "{:.10g} %" if base == "%" else "{:.10g}"
    return plain.format if base in ("", "%") else EngFormatter(base)


def _where(mark: Hidden, write: Callable[[float], str], unit: str) -> str:
    where = write(mark.value if mark.value.is_integer() and not unit else float(f"{mark.value:.3g}"))
    return f"up to {where}" if mark.until else f"from {where} on"
