"""Recorded links: CSV files and files of Mahimahi as courses of rates, checked, their holes left out.

A trace is a CSV file with a column ``seconds`` and columns of rates, whose names tell their units, or a file of
Mahimahi (Netravali et al., USENIX ATC 2015): a line for each packet of 1500 bytes that the link could deliver, with
the time in milliseconds. Either is read once per process.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from io import StringIO
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from parasim_core.sim.errors import ScenarioError, brief, nearest, shown, shown_path
from parasim_core.sim.network.capacity import Course
from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.links import Traced
from parasim_core.sim.support.atomic_files import read_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_FILE_BYTES = 64 * 2**20
"""Largest trace [B]: some three million rows."""
PACKET = 1500
"""Bytes of a packet of Mahimahi [B]."""
HOLE = 10
"""An interval more than so many times the typical one is a hole in the record."""
_ENOUGH_TO_BE_TYPICAL = 10
_LONGEST = 1e12
_FASTEST = 1e18


class Trace(NamedTuple):
    """A recorded link.

    Attributes
    ----------
    course : Course
        Its rates, again and again.
    column : str
        Where they stood; empty for a file of Mahimahi.
    rows : int
        Rows of the file.
    holes : int
        How many holes of the record were left out.
    left_out : float
        How long they were together [s].
    digest : str
        SHA-256 of the file.
    """

    course: Course
    column: str
    rows: int
    holes: int
    left_out: float
    digest: str


def recorded(link: Traced) -> Trace:
    """Read a trace, or remember it.

    Raises
    ------
    ScenarioError
        If it cannot be read, or anything in it is not as it must be: one line, with the row.
    """
    stamp: tuple[int, ...] = ()
    with suppress(OSError, ValueError):
        found = Path(link.trace).stat()
        stamp = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
    return _recorded(link.trace, link.column, link.unit, stamp)


@lru_cache(maxsize=256)
def _recorded(path: str, column: str | None, unit: str | None, stamp: tuple[int, ...]) -> Trace:
    text, digest = _text(path, stamp)
    if not text.strip():
        raise _wrong(path, "is empty")
    lines = text.split("\n", 1)
    if lines[0].strip().isdecimal():
        if column is not None or unit is not None:
            raise _wrong(path, "a trace of Mahimahi has neither columns nor units; leave out column and unit")
        times, rates, rows = _opportunities(path, text)
        return Trace(Course(times[:-1], rates, times[-1].item()), "", rows, 0, 0.0, digest)
    names = [name.strip().strip('"') for name in lines[0].split(",")]
    column, factor = _chosen(path, names, column, unit)
    body = lines[1] if len(lines) > 1 else ""
    seconds, rates = _columns(path, body, names, ("seconds", column), 2)
    rates = rates * factor
    if (row := _first(rates > _FASTEST)) is not None:
        raise _wrong(path, f"{column} is too large", body, row)
    starts, period, holes, left_out = _times(seconds)
    course = Course(starts, rates[_last_of_each(seconds)], period)
    if course.peak == 0:
        raise _wrong(path, f"{column} carries nothing at all")
    return Trace(course, column, len(seconds), holes, left_out, digest)


# What a file says twice, for up and down, is read once.
@lru_cache(maxsize=2)
def _text(path: str, stamp: tuple[int, ...]) -> tuple[str, str]:
    try:
        content = read_bytes(Path(path), MAX_FILE_BYTES)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _wrong(path, f"is not UTF-8 text (row {line})") from None
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    return text, hashlib.sha256(content).hexdigest()


def _chosen(path: str, names: list[str], column: str | None, unit: str | None) -> tuple[str, float]:
    """Column of the rates, and its unit [B/s]."""
    others = [name for name in names if name != "seconds"]
    if "seconds" not in names:
        raise _wrong(path, f"has no column 'seconds'; {nearest('seconds', names)}", row=0)
    if column is None:
        found = [name for name in others if units.rate_in_name(name) is not None] or others
        if len(found) != 1:
            more = f"it may be {' or '.join(map(shown, found[:5]))}" if found else "there is none besides 'seconds'"
            raise _wrong(path, f"column: say which one has the rates; {more}", row=0)
        column = found[0]
    elif column not in others:
        raise _wrong(path, f"has no column {shown(column)}; {nearest(column, others)}", row=0)
    if names.count(column) > 1 or names.count("seconds") > 1:
        raise _wrong(path, f"the column {shown(column if names.count(column) > 1 else 'seconds')} stands twice", row=0)
    told = units.rate_in_name(column)
    given = None if unit is None else units.bandwidth(f"1 {unit}")
    if told is None and given is None:
        raise _wrong(
            path, f"the name of the column {shown(column)} does not tell its unit; give unit: Mbit/s or another"
        )
    if told is not None and given is not None and told != given:
        raise _wrong(path, f"unit: {unit} is not that of the column {shown(column)}; leave it out")
    factor = given if told is None else told
    assert factor is not None
    return column, factor


def _columns(path: str, body: str, names: list[str], wanted: tuple[str, ...], first: int) -> list[Floats]:
    """Read columns of numbers, finite and not negative, the first one rising."""
    import numpy as np

    places = [names.index(name) for name in wanted]
    if not body.strip():
        raise _wrong(path, "holds no rows")
    try:
        table = np.loadtxt(StringIO(body), delimiter=",", usecols=places, ndmin=2, comments=None, quotechar='"')
    except ValueError as error:
        raise _unreadable(path, body, names, places, first, error) from None
    _refuse_more_cells(path, body, len(names), first)
    for name, values in zip(wanted, table.T, strict=True):
        for wrong, why in ((~np.isfinite(values), "is not finite"), (values < 0, "is negative")):
            if (row := _first(wrong)) is not None:
                raise _wrong(path, f"{name} {why}: {values[row]:g}", body, row, first)
    times = table[:, 0]
    if (row := _first(times[1:] < times[:-1])) is not None:
        raise _wrong(path, f"{wanted[0]} go back from {times[row]:.15g} to {times[row + 1]:.15g}", body, row + 1, first)
    if times[-1] > _LONGEST:
        raise _wrong(path, f"{wanted[0]} reach {times[-1]:g}, which is too long", body, len(times) - 1, first)
    return list(table.T)


def _refuse_more_cells(path: str, body: str, columns: int, first: int) -> None:
    """Refuse rows with more cells than there are columns: decimal commas would pass for other numbers."""
    if max(map(str.count, body.split("\n"), repeat(","))) < columns:
        return
    for row, (_, line) in enumerate(_lines(body)):
        more = next(csv.reader([line]))[columns:]
        if any(cell.strip() for cell in more):
            of = "one column" if columns == 1 else f"{columns} columns"
            raise _wrong(path, f"has more cells than the {of} of the file; decimals have a point", body, row, first)


def _unreadable(
    path: str, body: str, names: list[str], places: list[int], first: int, error: ValueError
) -> ScenarioError:
    """Find the first cell that is no number."""
    for row, (_, line) in enumerate(_lines(body)):
        cells = line.split(",")
        for place in places:
            cell = cells[place].strip().strip('"') if place < len(cells) else ""
            try:
                # Python takes underscores between digits, NumPy does not.
                float(cell.replace("_", "x"))
            except ValueError:
                return _wrong(
                    path, f"{names[place]} is {shown(cell) if cell else 'empty'}, not a number", body, row, first
                )
    return _wrong(path, brief(str(error)))


def _times(seconds: Floats) -> tuple[Floats, float, int, float]:
    """When rates begin, without the holes of the record, when it is over, how many holes there were and how long."""
    import numpy as np

    times = seconds[_last_of_each(seconds)]
    intervals = np.diff(times)
    typical = float(np.median(intervals)) if len(intervals) else 1.0
    excess = np.where(intervals > HOLE * typical, intervals - typical, 0.0)
    if len(intervals) < _ENOUGH_TO_BE_TYPICAL:
        excess[:] = 0.0
    starts = times - times[0]
    starts[1:] -= np.cumsum(excess)
    return starts, float(starts[-1]) + typical, int(np.count_nonzero(excess)), float(excess.sum())


def _last_of_each(times: Floats) -> NDArray[np.bool_]:
    """Of rows of one time, the last one holds."""
    import numpy as np

    kept: NDArray[np.bool_] = np.append(times[1:] > times[:-1], True)
    return kept


def _opportunities(path: str, text: str) -> tuple[Floats, Floats, int]:
    """Rates between successive opportunities of a file of Mahimahi [s, B/s], which deliver what these do."""
    import numpy as np

    [times] = _columns(path, text, ["times"], ("times",), 1)
    if (row := _first(times != np.floor(times))) is not None:
        raise _wrong(path, f"{times[row]:g} is not a whole number of milliseconds", text, row, 1)
    at, packets = np.unique(times, return_counts=True)
    if at[-1] == 0:
        raise _wrong(path, "the last time must be later than 0")
    if at[0] == 0:
        # The zero of one pass is the end of the one before.
        packets[-1] += packets[0]
        at, packets = at[1:], packets[1:]
    starts = np.concatenate([[0.0], at]) / 1000
    return starts, packets * PACKET / np.diff(starts), len(times)


def _first(wrong: NDArray[np.bool_]) -> int | None:
    position = int(wrong.argmax()) if wrong.size else 0
    return position if wrong.size and wrong[position] else None


def _lines(body: str) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers from 0."""
    return ((number, line) for number, line in enumerate(body.split("\n")) if line.strip())


def _wrong(path: str, why: str, body: str = "", row: int | None = None, first: int = 2) -> ScenarioError:
    """Error about a row of data, counted from 0 without empty lines; named as an editor numbers its lines."""
    where = ""
    if row is not None:
        number = next(islice(_lines(body), row, None), (row, ""))[0] + first if body else 1
        where = f"row {number}: "
    return ScenarioError(f"{shown_path(path)}: {where}{why}")
