"""Runtime against one swept quantity, such as the bandwidth: a line per method, on a logarithmic axis.

Lines carry their names at their right ends. Where the communication of one becomes fully hidden, it has a ring, and its
name says where that is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.labels import label_ends
from parasim.figures.rows import Row, check_columns, pretty_name, pretty_value, short_names, swept_columns, text
from parasim.figures.sheet import Key, log_ticks, ring, sheet
from parasim.figures.style import FigureError
from sim.errors import UnitError
from sim.scenario.units import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from parasim.hiding import Hidden
from parasim.text import BAND_COLUMNS

# All lengths are in inches.
_WIDTH, _HEIGHT = 3.6, 2.4
_DASHES = ("-", "--", ":", "-.")


def draw_line(rows: Sequence[Row], x: str, directory: Path, hidden: Sequence[Hidden] = ()) -> list[Path]:
    """Draw ``runtime.png`` and ``runtime.svg``: runtime against the column `x`.

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

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If there are no rows, a column is missing, a value has no place on a logarithmic axis, or a line has two
        runtimes for one value.
    OutputError
        If the files cannot be written.
    """
    from matplotlib.ticker import EngFormatter

    check_columns(rows, (x, "method", "wall_clock_s"))
    lines = _lines(rows, x, hidden)
    shown = [column for column in ("wall_clock_s", *BAND_COLUMNS) if column in rows[0]]
    times = [float(row[column]) for row in rows for column in shown]
    unit = style.time_unit(max(times))
    # Numbers of a quantity carry their unit, with its prefix.
    base = quantity(text(rows[0], x))[1]
    # Prefixes go with units alone: a thousandth of a per cent is no "m%".
    plain = "{:.10g} %" if base == "%" else "{:.10g}"
    write: Callable[[float], str] = plain.format if base in ("", "%") else EngFormatter(base)
    with sheet() as drawn:
        axes = drawn.axes(0, 0, _WIDTH, _HEIGHT)
        # Methods differ by factors: a log axis where a linear one would press the fast ones to the floor.
        factors = max(times) > 5 * min(times) > 0
        low, high = (min(times) / 1.2, max(times) * 1.2) if factors else (0.0, max(times) * 1.2 or unit.seconds)
        axes.set(xscale="log", yscale="log" if factors else "linear", ylim=(low / unit.seconds, high / unit.seconds))
        axes.set_xlabel(pretty_name(x))
        axes.margins(x=0.05)
        ends = _draw_lines(axes, lines, unit)
        _tick(axes, sorted({_number(text(row, x), x) for row in rows}), write, logarithmic=factors)
        drawn.unit(axes, unit.name)
        if any(line.bands for line in lines.values()):
            drawn.keys([Key("band of predicted compute times", (style.GRID,))], 0.5, _HEIGHT + 0.12, _WIDTH)
        labels = {}
        for name, line in lines.items():
            height, colour = ends[name]
            for mark in line.marks:
                ring(axes, mark.value, mark.wall_clock / unit.seconds, colour)
            labels[", ".join([name, *(_hidden(mark, write, base) for mark in line.marks)])] = height, colour
        label_ends(drawn, axes, labels)
        return drawn.save(directory / "runtime")


@dataclass(frozen=True)
class _Line:
    """Runs that differ only along the axis: runtimes and their bands by value [s], and where stalls begin or end."""

    method: str
    runtimes: dict[float, float] = field(default_factory=dict)
    bands: dict[float, tuple[float, float]] = field(default_factory=dict)
    marks: list[Hidden] = field(default_factory=list)


def _lines(rows: Sequence[Row], x: str, hidden: Sequence[Hidden]) -> dict[str, _Line]:
    """Sort runs into lines by their names."""
    told_apart = [name for name in swept_columns(rows) if name != x]
    lines: dict[str, _Line] = {}
    for row in rows:
        line = lines.setdefault(_name(row, told_apart), _Line(text(row, "method")))
        value = _number(text(row, x), x)
        if value in line.runtimes:
            raise FigureError(f"two runtimes at {x} {text(row, x)} of one line; tell them apart by a column")
        line.runtimes[value] = float(row["wall_clock_s"])
        if BAND_COLUMNS[0] in row:
            low, high = (float(row[column]) for column in BAND_COLUMNS)
            line.bands[value] = low, high
    for mark in hidden:
        # The line bends there, between two runs of the sweep.
        line = lines[_name(mark.labels, told_apart)]
        line.marks.append(mark)
        line.runtimes[mark.value] = mark.wall_clock
    return lines


def _draw_lines(axes: Axes, lines: Mapping[str, _Line], unit: style.TimeUnit) -> dict[str, tuple[float, str]]:
    """Draw lines in the colours of their methods, each of one method in another way; return where they end."""
    colours = style.method_colours(line.method for line in lines.values())
    dashes: dict[str, Iterator[str]] = defaultdict(lambda: cycle(_DASHES))
    ends = {}
    for name, line in lines.items():
        xs, ys = zip(*sorted((x, seconds / unit.seconds) for x, seconds in line.runtimes.items()), strict=True)
        colour, style_of_line = colours[line.method], next(dashes[line.method])
        if line.bands:
            band = sorted((x, low / unit.seconds, high / unit.seconds) for x, (low, high) in line.bands.items())
            places, lows, highs = zip(*band, strict=True)
            axes.fill_between(places, lows, highs, color=colour, alpha=0.15, linewidth=0)
        axes.plot(xs, ys, color=colour, linewidth=1.2, linestyle=style_of_line, marker="o", markersize=2.6)
        ends[name] = (ys[-1], colour)
    return ends


def _name(row: Row, columns: Sequence[str]) -> str:
    """Name of a line: its method, and every other column that tells it apart with its name, so that numbers speak."""
    names = short_names(column for column in columns if column != "method")
    names = {column: "" if column == "model" else f"{name} " for column, name in names.items()}
    told = (f"{name}{pretty_value(column, text(row, column))}" for column, name in names.items())
    return ", ".join([text(row, "method"), *told])


def _number(value: str, x: str) -> float:
    try:
        number = quantity(value)[0]
    except UnitError as error:
        raise FigureError(f"{x}: {error}; draw bars instead") from None
    if not 0 < number < math.inf:
        raise FigureError(f"{x}: {value} has no place on a logarithmic axis; draw bars instead")
    return number


def _hidden(mark: Hidden, write: Callable[[float], str], unit: str) -> str:
    where = write(mark.value if mark.value.is_integer() and not unit else float(f"{mark.value:.3g}"))
    return f"communication hidden {f'up to {where}' if mark.until else f'from {where} on'}"


def _tick(axes: Axes, values: Sequence[float], write: Callable[[float], str], *, logarithmic: bool) -> None:
    """Put ticks at the swept values, as far as their numbers do not touch, and at 1, 2, 5 of a logarithmic y."""
    low, high = (math.log(limit) for limit in axes.get_xlim())
    shown: list[float] = []
    edge = -math.inf
    for value in values:
        middle = (math.log(value) - low) / (high - low) * _WIDTH
        half = style.text_width(write(value), style.SMALL) / 2 + 0.03
        if middle - half >= edge:
            shown.append(value)
            edge = middle + half
    axes.set_xticks(shown, [write(value) for value in shown])
    axes.minorticks_off()
    if logarithmic:
        log_ticks(axes.yaxis)
