"""The first rounds of a run as a Gantt chart, from `timeline.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parasim.api import load
from parasim.figures.style import TimeUnit, time_unit
from parasim.report.charts import Lanes, Stretch, gantt, ticks
from parasim.report.files import read_rows
from parasim.report.page import Section, Table
from parasim.report.record import Record
from parasim.text import clock
from sim.fleet import Fleet

ROUNDS = 6
"""Rounds that are shown."""
_MOST_ROWS = 12
_MOST_LINES = 300

Row = dict[str, str]


def timeline_section(directory: Path, record: Record | None, title: str = "Timeline") -> list[Section]:
    """Show what clients do in the first rounds; nothing if the directory holds no timeline.

    Parameters
    ----------
    directory : Path
        Where ``timeline.csv`` lies, and ``critical_path.csv`` if there is one.
    record : Record or None
        Whose scenario names the clients.
    title : str
        Of the section.
    """
    path, critical = directory / "timeline.csv", directory / "critical_path.csv"
    if not path.exists():
        return []
    rows = read_rows(path)
    pieces = read_rows(critical) if critical.exists() else []
    end = max((float(r["end_s"]) for r in rows if r["kind"] == "compute" and int(r["round"]) < ROUNDS), default=0.0)
    if int(max(rows, key=lambda row: int(row["round"]))["round"]) < ROUNDS:
        end = max(float(row["end_s"]) for row in rows)
    if end <= 0:
        return []
    shown = [row for row in rows if float(row["start_s"]) < end]
    held = {(row["client"], row["kind"], row["round"]) for row in pieces}
    fleet = None if record is None else Fleet(load(record.scenario).fleet)
    by_client: dict[str, list[Row]] = {}
    for row in shown:
        by_client.setdefault(row["client"], []).append(row)
    by_client.pop("server", None)
    groups = _alike(by_client, fleet)
    clients = _chosen(groups, pieces)
    lanes, told = [], []
    for client in clients:
        name = _name(client, groups[client], fleet)
        stretches = [(row["kind"], _stretch(row, name, held)) for row in by_client[client]]
        computing = [stretch for kind, stretch in stretches if kind == "compute"]
        lanes.append(Lanes(name, [s for kind, s in stretches if kind != "compute"], computing))
        told += [
            (name, row["kind"], row["round"], *(clock(float(row[end])) for end in ("start_s", "end_s")))
            for row in by_client[client]
        ]
    unit = time_unit(end)
    note = f"The first {_MOST_LINES} of {len(told):,} lines; timeline.csv has all." if len(told) > _MOST_LINES else ""
    table = Table(("client", "what", "round", "from", "to"), told[:_MOST_LINES], numbers=3, note=note)
    description = "Each client has two lanes: messages above, computing below; the table has the times."
    figure = gantt(f"What clients do at first, in {unit.name}", description, lanes, end, _marks(end, unit), table)
    left_out = len(groups) - len(clients)
    why = "rows are chosen by their part in the critical path"
    paragraphs = [f"{left_out:,} more rows are left out: {why}."] if left_out else []
    return [Section(title, paragraphs=paragraphs, figures=[figure])]


def _alike(by_client: dict[str, list[Row]], fleet: Fleet | None) -> dict[str, int]:
    """First client of those of a group that do the same at the same times, and how many they are."""
    first: dict[object, str] = {}
    counts: dict[str, int] = {}
    for client in sorted(by_client, key=int):
        group = None if fleet is None else fleet.index(int(client))
        doing = tuple((row["kind"], row["round"], row["start_s"], row["end_s"]) for row in by_client[client])
        leader = first.setdefault((group, doing), client)
        counts[leader] = counts.get(leader, 0) + int(by_client[client][0].get("count", 1))
    return counts


def _chosen(groups: dict[str, int], pieces: Sequence[Row]) -> list[str]:
    """Rows to show: those that hold most of the critical path, then by number; in the order of numbers."""
    held = dict.fromkeys(groups, 0.0)
    for piece in pieces:
        if piece["client"] in held:
            held[piece["client"]] += float(piece["end_s"]) - float(piece["start_s"])
    return sorted(sorted(held, key=lambda client: (-held[client], int(client)))[:_MOST_ROWS], key=int)


def _stretch(row: Row, name: str, held: set[tuple[str, str, str]]) -> Stretch:
    start, end, kind = float(row["start_s"]), float(row["end_s"]), row["kind"]
    critical = " critical" if (row["client"], kind, row["round"]) in held else ""
    return Stretch(start, end, f"{kind}{critical}", f"{name}: {kind} {row['round']}, {clock(start)} to {clock(end)}")


def _name(client: str, count: int, fleet: Fleet | None) -> str:
    group = None if fleet is None else fleet.group(int(client))
    name = "client" if group is None else group.name or "client"
    if count > 1:
        return f"{name} × {count:,}"
    return name if group is not None and group.count == 1 and group.name else f"{name} {client}"


def _marks(end: float, unit: TimeUnit) -> dict[float, str]:
    return {mark * unit.seconds: f"{mark:g}" for mark in ticks(0.0, end / unit.seconds)}
