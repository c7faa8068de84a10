"""Runtime against one swept quantity, such as the bandwidth: a line per method, on a logarithmic axis.

Lines carry their names at their right ends. Where the communication of one is hidden completely from some
value on, a thin upright line marks it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.runtime import Row, pretty, pretty_name, swept_fields, text
from parasim.figures.style import FigureError
from sim import units
from sim.errors import UnitError, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches.
_LEFT, _RIGHT, _BOTTOM, _LABEL_PAD = 0.44, 0.05, 0.36, 0.07
_LABEL_LINE, _NOTE_LINE = 0.105, 0.12
_WIDEST_LABEL_IN_COLUMN = 1.05
_STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class _Kind:
    """What sort of quantity the axis shows: how values are read and how one is written."""

    read: Callable[[str], float]
    write: Callable[[float], str]


def _rounded(write: Callable[[float], str]) -> Callable[[float], str]:
    """Three digits, and a space before the unit."""

    def short(value: float) -> str:
        written = write(float(f"{value:.3g}"))
        number = written.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/")
        return f"{number} {written[len(number) :]}"

    return short


def _format_duration(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= length:
            return f"{seconds / length:.3g}{unit}"
    return f"{seconds * 1e6:.3g}us"


_KINDS = (
    _Kind(float, lambda value: f"{value:.3g}"),
    _Kind(units.bandwidth, _rounded(units.format_bandwidth)),
    _Kind(units.size, _rounded(units.format_size)),
    _Kind(units.duration, _rounded(_format_duration)),
)


def lines(rows: Sequence[Row], x: str) -> dict[str, list[Row]]:
    """Sort rows into the lines that `draw_line` draws.

    Parameters
    ----------
    rows : sequence of mappings
        The runs; see `draw_line`.
    x : str
        Column of the swept quantity.

    Returns
    -------
    dict of str to list of rows
        The rows of each line by its name: the method, then each other field in which the rows differ.

    Raises
    ------
    FigureError
        If there are no rows or a column is missing.
    """
    fields = [field for field in swept_fields(rows, (x, "wall_clock_s")) if field != x]
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(", ".join((text(row, "method"), *_others(row, fields))), []).append(row)
    return found


def _others(row: Row, fields: Sequence[str]) -> list[str]:
    """Values of the other fields of a row; plain numbers with the last word of their field's name."""
    values = []
    for field in fields:
        value = pretty(field, text(row, field))
        bare = value.replace(".", "", 1).isdigit()
        values.append(f"{pretty_name(field.rsplit('.', 1)[-1])} {value}" if bare else value)
    return values


def draw_line(rows: Sequence[Row], x: str, directory: Path, hidden: Mapping[str, float] | None = None) -> list[Path]:
    """Draw ``runtime.png`` and ``runtime.svg``: runtime against the column `x`.

    Parameters
    ----------
    rows : sequence of mappings
        One per run, as `parasim.figures.draw_runtime` takes them; here only `method`, the swept fields and
        `wall_clock_s` [s] are needed.
    x : str
        Column of the swept quantity: positive numbers, or quantities such as ``100MB/s``, ``872MB``, ``10ms``.
    directory : Path
        Where to write the files; made if it is not there.
    hidden : mapping of str to float, optional
        For names of lines (see `lines`), the value of `x`, in base units [B/s, B, s], from which on all
        communication is hidden. A value outside the line's range has no point and is not marked.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If there is nothing to draw, a column is missing, a value has no place on a logarithmic axis, a line has
        two runtimes for one value, or `hidden` names a line that is not there.
    OutputError
        If the files cannot be written.
    """
    hidden = hidden or {}
    named = lines(rows, x)
    kind = _kind([text(row, x) for row in rows], x)
    curves = {label: _curve(label, members, x, kind) for label, members in named.items()}
    for label in hidden:
        if label not in curves:
            raise FigureError(f"hidden: no line named {label!r}; {nearest(label, curves)}")
    marks = {
        label: value for label, value in hidden.items() if curves[label][0][0] <= value <= curves[label][-1][0]
    }
    label_width = max(style.text_width(label, style.SMALL) for label in curves) + _LABEL_PAD
    width = style.COLUMN_WIDTH if label_width <= _WIDEST_LABEL_IN_COLUMN and len(curves) <= 8 else style.PAGE_WIDTH
    height = max(1.75, len(curves) * _LABEL_LINE)
    plot_width = width - _LEFT - _RIGHT - label_width
    top = 0.08 + 0.14 + len(marks) * _NOTE_LINE
    with style.sheet(width, _BOTTOM + height + top) as sheet:
        axes = sheet.axes(_LEFT, _BOTTOM, plot_width, height)
        unit = _draw_curves(axes, curves, {label: text(members[0], "method") for label, members in named.items()})
        _draw_ticks(axes, sorted({at for curve in curves.values() for at, _ in curve}), kind, plot_width)
        axes.set_xlabel(pretty_name(x), labelpad=2)
        sheet.page.text(0.04, _BOTTOM + height + 0.05, unit.name, size=style.SMALL)
        _name_curves(axes, curves, unit, (plot_width, height))
        _mark_hidden(sheet, axes, curves, marks, kind, unit)
        return sheet.save(directory / "runtime")


def _kind(values: Sequence[str], x: str) -> _Kind:
    for kind in _KINDS:
        try:
            numbers = [kind.read(value) for value in values]
        except (ValueError, UnitError):
            continue
        if all(0 < number < math.inf for number in numbers):
            return kind
        raise FigureError(f"{x}: a logarithmic axis has no place for {values[_first_misfit(numbers)]}; draw bars")
    raise FigureError(f"{x}: {', '.join(dict.fromkeys(values))} are not quantities of one kind; draw bars")


def _first_misfit(numbers: Sequence[float]) -> int:
    return next(index for index, number in enumerate(numbers) if not 0 < number < math.inf)


def _curve(label: str, rows: Sequence[Row], x: str, kind: _Kind) -> list[tuple[float, float]]:
    """Points of a line from left to right: (x, runtime [s])."""
    points = sorted((kind.read(text(row, x)), float(row["wall_clock_s"])) for row in rows)
    for (at, _), (following, _) in zip(points, points[1:], strict=False):
        if at == following:
            raise FigureError(f"{label}: two runtimes for {x} {kind.write(at)}; tell the rows apart by a column")
    return points


def _draw_curves(
    axes: Axes, curves: Mapping[str, Sequence[tuple[float, float]]], methods: Mapping[str, str]
) -> style.TimeUnit:
    colours = style.method_colours(methods.values())
    times = [seconds for curve in curves.values() for _, seconds in curve]
    unit = style.time_unit(max(times))
    drawn: dict[str, int] = {}
    for label, curve in curves.items():
        method = methods[label]
        variant = drawn[method] = drawn.get(method, -1) + 1
        axes.plot(
            [at for at, _ in curve],
            [seconds / unit.seconds for _, seconds in curve],
            _STYLES[variant % len(_STYLES)],
            color=colours[method],
            linewidth=1.2,
            marker="o",
            markersize=2.2,
            clip_on=False,
            gid=label,
        )
    axes.set_xscale("log")
    if 0 < min(times) < max(times) / 10:
        axes.set_yscale("log")
        axes.set_ylim(_down_to_125(min(times) / unit.seconds), None)
        _write_log_ticks(axes)
    else:
        axes.set_ylim(0, max(max(times), 1e-9) / unit.seconds * 1.05)
        axes.locator_params(axis="y", nbins=5)
    return unit
