"""Tables (CSV) of links, one client a row, and of rates over time; units stand in cells or in the columns' names."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from statistics import median

from parasim.importing.content import Content
from parasim.importing.mahimahi import rate_of
from parasim.importing.measurement import (
    Direction,
    Loss,
    Measurement,
    Rate,
    RoundTrip,
    bits,
    checked_rate,
    milliseconds,
)
from parasim_core.sim.errors import UnitError, brief, shown
from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.links import Traced
from parasim_core.sim.scenario.trace_files import recorded

_MEANINGS = {
    "name": ("name", "client", "client name", "site", "host", "hostname"),
    "uplink": ("uplink", "upload", "up", "upstream", "upload speed", "uplink speed", "upload rate", "uplink rate"),
    "downlink": ("downlink", "download", "down", "downstream", "download speed", "downlink speed", "download rate"),
    "latency": ("latency", "one way latency", "one way delay", "delay"),
    "round trip": ("round trip", "round trip time", "rtt", "ping"),
    "loss": ("loss", "packet loss", "lost"),
    "count": ("count", "clients", "number of clients"),
    "control": ("control", "congestion control", "congestion"),
    "seconds": ("seconds",),
}
"""What columns may be called."""
_BY_NAME = {name: meaning for meaning, names in _MEANINGS.items() for name in names}
_UNKNOWN = {"", "-", "--", "?", "n/a", "na", "none", "null", "unknown"}
_MOST_ROWS = 1_000_000
_MOST_CLIENTS = 5_000
"""More would make a fleet longer than YAML is read."""
_MOST_COLUMNS = 200
_PERCENT = {"%", "percent", "pct"}
_DIRECTIONS: tuple[Direction, ...] = ("uplink", "downlink")
_KINDS = {
    "uplink": units.bandwidth_or_zero,
    "downlink": units.bandwidth_or_zero,
    "latency": units.duration,
    "round trip": units.duration,
    "loss": units.share,
}


@dataclass(frozen=True)
class _Column:
    """One column: what it is, and in which unit, if its name says so."""

    heading: str
    meaning: str
    unit: str


def read(content: Content) -> list[Measurement] | None:
    """Read a table; None if it is none.

    Raises
    ------
    ValueError
        If it is one, and a column or a cell is wrong.
    """
    lines = content.text.splitlines()
    heading = next(line for line in lines if line.strip())
    delimiter = max(",;\t", key=heading.count)
    try:
        cells = list(islice(csv.reader(lines, delimiter=delimiter), _MOST_ROWS + 2))
    except csv.Error as error:
        raise ValueError(f"not well-formed CSV: {error}") from None
    rows = [(line, [cell.strip() for cell in row]) for line, row in enumerate(cells, 1) if row]
    columns = [_column(cell) for cell in rows[0][1][: _MOST_COLUMNS + 1]] if rows else []
    if not _KINDS.keys() & {column.meaning for column in columns}:
        return None
    if len(cells) > _MOST_ROWS + 1 or len(columns) > _MOST_COLUMNS:
        raise ValueError(f"a table of more than {_MOST_ROWS:,} rows or {_MOST_COLUMNS} columns")
    if len(rows) < 2:
        raise ValueError("a table without rows")
    _check_columns(columns)
    for line, row in rows[1:]:
        if len(row) != len(columns):
            raise ValueError(f"line {line}: has {len(row)} cells below {len(columns)} columns")
    table = _Table(columns, rows[1:], comma_is_point=delimiter != ",")
    return [table.over_time(content.path)] if table.has("seconds") and not table.has("name") else table.clients()


def _column(heading: str) -> _Column:
    """Tell what a column is from its name: ``uplink_mbit_s``, ``Download (Mbit/s)``, ``rtt [ms]``, ``loss %``."""
    words = [word for word in re.split(r"[\s_()\[\]-]+", heading[:200]) if word]
    for many in range(min(4, len(words)), 0, -1):
        meaning = _BY_NAME.get(" ".join(words[:many]).lower())
        if meaning is not None:
            unit = [word for word in words[many:] if word.lower() not in ("in", "per")]
            return _Column(heading, meaning, "/".join(unit))
    return _Column(heading, "", "")


def _check_columns(columns: Sequence[_Column]) -> None:
    """Refuse names that are nearly, but not quite, those of columns, and meanings that stand twice."""
    seen: dict[str, str] = {}
    for column in columns:
        if not column.meaning:
            words = re.split(r"[\s_()\[\]-]+", column.heading.lower()[:60])
            starts = (" ".join(words[:many]) for many in (3, 2, 1))
            close = next((near for start in starts if (near := get_close_matches(start, _BY_NAME, 1, 0.8))), None)
            if close is not None:
                raise ValueError(f"unknown column {shown(column.heading)}; did you mean {close[0]!r}?")
        elif column.meaning in seen:
            first = shown(seen[column.meaning])
            raise ValueError(f"the columns {first} and {shown(column.heading)} both say the {column.meaning}")
        else:
            seen[column.meaning] = column.heading


class _Table:
    """A table whose columns are known; rows with the lines that they stand in."""

    def __init__(
        self, columns: Sequence[_Column], rows: Sequence[tuple[int, list[str]]], *, comma_is_point: bool
    ) -> None:
        self._rows, self._comma_is_point = rows, comma_is_point
        self._places = {column.meaning: place for place, column in enumerate(columns) if column.meaning}
        self._columns = {column.meaning: column for column in columns}
        self._factors = {
            meaning: _factor(self._columns[meaning], kind) for meaning, kind in _KINDS.items() if self.has(meaning)
        }
        unread = [column.heading for column in columns if not column.meaning]
        self._notes: tuple[str, ...] = (
            (f"columns that are not read: {brief(', '.join(unread), 200)}",) if unread else ()
        )

    def has(self, meaning: str) -> bool:
        """Whether there is such a column."""
        return meaning in self._places

    def clients(self) -> list[Measurement]:
        """One client a row, or several that are alike."""
        if len(self._rows) > _MOST_CLIENTS:
            raise ValueError(
                f"more than {_MOST_CLIENTS:,} rows; give clients that are alike one row, with a column count"
            )
        found: list[Measurement] = []
        lines: dict[str, int] = {}
        for line, row in self._rows:
            one = self._client(line, row)
            if one.name and one.name in lines:
                raise ValueError(f"line {line}: {shown(one.name)} stands already in line {lines[one.name]}")
            lines[one.name] = line
            found.append(one)
        # Said once, not with every row.
        return [replace(found[0], notes=self._notes), *found[1:]]

    def over_time(self, path: Path) -> Measurement:
        """Rates of one client over time, as a scenario's trace has them."""
        rates: dict[Direction, Rate] = {}
        notes = self._notes
        for direction in _DIRECTIONS:
            if self.has(direction):
                trace = recorded(Traced.model_construct(trace=str(path), column=self._columns[direction].heading))
                rates[direction] = rate_of(trace, f"mean of {{seconds}} in the column {shown(trace.column)}")
                if trace.holes:
                    notes += (
                        f"{trace.holes:,} holes of {trace.left_out:,.0f} s in all are left out of the {direction}",
                    )
        round_trip = None
        for meaning, ways in (("latency", 2), ("round trip", 1)):
            found = [self._cell(meaning, line, row) for line, row in self._rows] if self.has(meaning) else []
            told = [value for value in found if value is not None]
            if told and round_trip is None:
                seconds = ways * median(told)
                how = f"{milliseconds(seconds)}, from the median of the column {shown(self._columns[meaning].heading)}"
                round_trip = RoundTrip(seconds, how)
        return Measurement("trace", rates.get("uplink"), rates.get("downlink"), round_trip, notes=notes)

    def _client(self, line: int, row: list[str]) -> Measurement:
        rates: dict[Direction, Rate] = {}
        for direction in _DIRECTIONS:
            rate = self._cell(direction, line, row)
            if rate is not None:
                rates[direction] = Rate(
                    checked_rate(rate, f"line {line}, {direction}"), f"{bits(rate)}, line {line}", False
                )
        latency, both_ways = self._cell("latency", line, row), self._cell("round trip", line, row)
        round_trip = None
        if latency is not None and both_ways is not None:
            raise ValueError(f"line {line}: has a latency and a round trip; leave one of them out")
        if latency is not None:
            round_trip = RoundTrip(2 * latency, f"{milliseconds(2 * latency)}, twice the way there, line {line}")
        elif both_ways is not None:
            round_trip = RoundTrip(both_ways, f"{milliseconds(both_ways)}, line {line}")
        lost = self._cell("loss", line, row)
        loss = None if lost is None else Loss(lost, f"{100 * lost:.4g} % of the packets, line {line}")
        control, count = self._text("control", row).lower(), self._text("count", row) or "1"
        if not (count.isascii() and count.isdigit() and len(count) < 9 and 1 <= int(count) <= 10_000_000):
            raise ValueError(f"line {line}: {shown(count)} is no number of clients; it must be from 1 to 10,000,000")
        return Measurement(
            "table",
            rates.get("uplink"),
            rates.get("downlink"),
            round_trip,
            loss,
            {"uplink": control} if control else None,
            self._text("name", row),
            int(count),
        )

    def _text(self, meaning: str, row: list[str]) -> str:
        cell = row[self._places[meaning]] if self.has(meaning) else ""
        return "" if cell.lower() in _UNKNOWN else cell

    def _cell(self, meaning: str, line: int, row: list[str]) -> float | None:
        """One value in base units; none where there is nothing."""
        cell = self._text(meaning, row)
        if not cell:
            return None
        try:
            return _quantity(
                cell.replace(",", ".") if self._comma_is_point else cell, self._factors[meaning], _KINDS[meaning]
            )
        except ValueError as error:
            raise ValueError(f"line {line}, column {shown(self._columns[meaning].heading)}: {error}") from None


def _factor(column: _Column, kind: units.QuantityKind) -> float | None:
    """What bare numbers of a column are multiplied by; none if only a unit in each cell tells."""
    unit = column.unit
    if not unit:
        return 1.0 if column.meaning == "loss" else None
    if kind is units.share and unit.lower() in _PERCENT:
        return 0.01
    if unit in kind.units:
        return kind.units[unit]
    told = units.rate_in_name(unit.replace("/", "_")) if kind is units.bandwidth_or_zero else None
    if told is not None:
        return told
    examples = {units.duration: "latency_ms", units.share: "loss_percent"}.get(kind, "uplink_mbit_s or uplink (MB/s)")
    raise ValueError(f"column {shown(column.heading)}: unknown unit {shown(unit)}; write it like {examples}")


def _quantity(cell: str, factor: float | None, kind: units.QuantityKind) -> float:
    """Read a cell; a unit in it is closer than that of its column."""
    try:
        value = float(cell)
    except ValueError:
        return kind(cell)
    if factor is None:
        raise UnitError(
            f"{shown(cell)} has no unit; write {kind.name} like {kind.examples}, or the unit into the column's name"
        )
    if not (0 <= value * factor <= kind.largest and cell.isascii() and "_" not in cell):
        raise UnitError(f"{shown(cell)}: must be a number from 0 to {kind.largest / factor:g}")
    return value * factor
