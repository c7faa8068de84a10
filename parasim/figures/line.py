"""Runtime against one swept quantity, such as the bandwidth: a line per method, on a logarithmic axis.

Lines carry their names at their right ends. Where the communication of one becomes fully hidden, it has a
marked point and a thin upright line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.labels import label_ends
from parasim.figures.rows import Row, check_columns, pretty_name, text
from parasim.figures.sheet import note, ring, sheet
from parasim.figures.style import FigureError
from parasim.figures.ticks import log_ticks
from sim.errors import UnitError
from sim.scenario.units import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from parasim.hiding import Hidden

# All lengths are in inches.
_WIDTH, _HEIGHT = 3.6, 2.4
_DASHES = ("-", "--", ":", "-.")
_NOTE_HEIGHT = 16
"""Height of the two lines at an upright line [pt]."""


def draw_line(rows: Sequence[Row], x: str, directory: Path, hidden: Sequence[Hidden] = ()) -> list[Path]:
    """Draw ``runtime.png`` and ``runtime.svg``: runtime against the column `x`.

    Parameters
    ----------
    rows : sequence of mappings
        One per run: the swept fields, `method` among them, then `wall_clock_s` [s].
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
    told_apart = [column for column in _fields(rows[0], x) if len({text(row, column) for row in rows}) > 1]
    lines: dict[str, list[tuple[float, float]]] = {}
    marks: dict[str, list[Hidden]] = {}
    methods: dict[str, str] = {}
    for row in rows:
        name = _name(row, told_apart)
        points = lines.setdefault(name, [])
        value = _number(text(row, x), x)
        if any(value == other for other, _ in points):
            raise FigureError(f"two runtimes at {x} {text(row, x)} of one line; tell them apart by a column")
        points.append((value, float(row["wall_clock_s"])))
        methods[name] = text(row, "method")
    for mark in hidden:
        # The line bends there, between two runs of the sweep.
        marks.setdefault(_name(mark.labels, told_apart), []).append(mark)
        lines[_name(mark.labels, told_apart)].append((mark.value, mark.wall_clock))
    times = [float(row["wall_clock_s"]) for row in rows]
    unit = style.time_unit(max(times))
    # Numbers of a quantity carry their unit, with its prefix.
    base = quantity(text(rows[0], x))[1]
    write: Callable[[float], str] = EngFormatter(base) if base else "{:.10g}".format
    colours = style.method_colours(methods.values())
    with sheet() as drawn:
        axes = drawn.axes(0, 0, _WIDTH, _HEIGHT)
        # Methods differ by factors: a log axis where a linear one would press the fast ones to the floor.
        factors = max(times) > 5 * min(times) > 0
        low, high = (min(times) / 1.2, max(times) * 1.2) if factors else (0.0, max(times) * 1.2 or unit.seconds)
        axes.set(xscale="log", yscale="log" if factors else "linear")
        axes.set_xlabel("bandwidth of every client" if x == "bandwidth" else pretty_name(x))
        axes.set_ylim(low / unit.seconds, high / unit.seconds)
        values = sorted({_number(text(row, x), x) for row in rows})
        margin = (values[-1] / values[0]) ** 0.05 if len(values) > 1 else 2.0
        axes.set_xlim(values[0] / margin, values[-1] * margin)
        ends, lines_of, notes = {}, dict.fromkeys(colours, 0), 0
        for name, points in lines.items():
            method = methods[name]
            xs, ys = zip(*((value, seconds / unit.seconds) for value, seconds in sorted(set(points))), strict=True)
            dashes = _DASHES[lines_of[method] % len(_DASHES)]
            lines_of[method] += 1
            axes.plot(xs, ys, color=colours[method], linewidth=1.2, linestyle=dashes, marker="o", markersize=2.6)
            for mark in marks.get(name, ()):
                where = write(mark.value if mark.value.is_integer() and not base else float(f"{mark.value:.3g}"))
                since = f"hidden up to {where}" if mark.until else f"hidden from {where} on"
                told = f"{name}:\n{since}" if len(hidden) > 1 else f"communication\n{since}"
                _mark(axes, (mark.value, mark.wall_clock / unit.seconds), colours[method], told, notes)
                notes += 1
            ends[name] = (ys[-1], colours[method])
        _tick(axes, values, write, logarithmic=factors)
        drawn.unit(axes, unit.name)
        label_ends(drawn, axes, ends)
        return drawn.save(directory / "runtime")


def _name(row: Row, columns: Sequence[str]) -> str:
    """Name of a line: its method, and every other column that tells it apart with its name, so that numbers speak."""
    others = [f"{pretty_name(column)} {text(row, column)}" for column in columns if column not in ("method", "model")]
    return ", ".join([text(row, "method"), *(text(row, "model") for column in columns if column == "model"), *others])


def _fields(row: Row, x: str) -> list[str]:
    """Columns that name a run, but the one along the axis."""
    names = list(row)
    return [column for column in names[: names.index("wall_clock_s")] if column != x]


def _number(value: str, x: str) -> float:
    try:
        number = quantity(value)[0]
    except UnitError as error:
        raise FigureError(f"{x}: {error}; draw bars instead") from None
    if not 0 < number < math.inf:
        raise FigureError(f"{x}: {value} has no place on a logarithmic axis; draw bars instead")
    return number


def _mark(axes: Axes, point: tuple[float, float], colour: str, text: str, notes: int) -> None:
    """Mark where communication becomes hidden, its text below the `notes` ones that are there already."""
    x, y = point
    low, high = axes.get_ylim()
    axes.plot([x, x], [low, high], color=colour, linewidth=0.7, linestyle=":")
    ring(axes, x, y, colour)
    on_the_left = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[0] > 0.6
    offset = -4 if on_the_left else 4, -1 - notes * _NOTE_HEIGHT
    box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    note(axes, text, (x, high), offset, ha="right" if on_the_left else "left", va="top", bbox=box)


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
