"""The first rounds of a run as a Gantt chart, from `timeline.csv`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from parasim.api import load
from parasim.figures.gantt import Schedule, client_name, draw_schedule, window
from parasim.report.charts import chart
from parasim.report.files import ReportError, number, read_rows
from parasim.report.page import PageChart, PageTable
from parasim.report.record import Record
from parasim.text import clock
from sim.engine.fleet import Fleet
from sim.engine.timeline import SERVER, Kind, Span

ROUNDS = 8
"""Rounds that are shown."""
_MOST_LINES, _LONGEST = 300, 60


def timeline_chart(directory: Path, record: Record) -> PageChart | None:
    """Show what clients do in the first rounds; None if the directory holds no timeline.

    Parameters
    ----------
    directory : Path
        Where ``timeline.csv`` lies, and ``critical_path.csv`` if there is one.
    record : Record
        Whose scenario names the clients.
    """
    if not (directory / "timeline.csv").exists():
        return None
    scenario = load(record.scenario) if record.scenario else None
    fleet = None if scenario is None else Fleet.of(scenario)
    actors = {"server": SERVER}
    if fleet is not None:
        actors |= {fleet.actor(number): number for number in fleet.aggregators.values()}
    spans, many = _read(directory / "timeline.csv", actors)
    end = window(spans, ROUNDS)
    if end <= 0:
        return None
    counts = {span.client: count for span, count in zip(spans, many, strict=True)}
    critical = directory / "critical_path.csv"
    pieces = _read(critical, actors)[0] if critical.exists() else []
    schedule = _schedule([span for span in spans if span.start < end], pieces, counts, end, fleet)
    told = [
        (schedule.names[span.client], span.kind.value, str(span.round), clock(span.start), clock(span.end))
        for span in sorted(schedule.spans, key=lambda span: (span.client < 0, abs(span.client), span.start))
        if span.client != SERVER
    ]
    note = f"The first {_MOST_LINES} of {len(told):,} lines; timeline.csv has all." if len(told) > _MOST_LINES else ""
    table = PageTable(("client", "what", "round", "from", "to"), told[:_MOST_LINES], numbers=3, note=note)
    return chart(partial(draw_schedule, schedule=schedule), table)


def _schedule(
    spans: Sequence[Span], pieces: Sequence[Span], counts: Mapping[int, int], end: float, fleet: Fleet | None
) -> Schedule:
    """Give clients of a group that do the same at the same times one row, named after the group."""
    doing: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        doing[span.client].append(span)
    rows: dict[object, list[int]] = defaultdict(list)
    for client, own in sorted(doing.items()):
        group = client if client < 0 else None if fleet is None else fleet.index(client)
        rows[group, *(span[1:] for span in own)].append(client)
    leader = {client: clients[0] for clients in rows.values() for client in clients}
    alike = {clients[0]: sum(counts[client] for client in clients) for clients in rows.values()}
    names = {client: client_name(fleet, client, count) for client, count in alike.items()}
    # All pieces of one span belong to the same one, whatever their times.
    path = [
        (piece._replace(client=leader[piece.client], start=0.0, end=0.0), piece.start, piece.end)
        for piece in pieces
        if piece.start < end
    ]
    shown = [span for client in alike for span in doing[client]]
    clients = sum(n for client, n in alike.items() if client >= 0) if fleet is None else fleet.clients
    return Schedule(shown, path, names, alike, clients, {}, end)


def _read(path: Path, actors: Mapping[str, int]) -> tuple[list[Span], list[int]]:
    """Read spans, and how many clients each is of."""
    rows = read_rows(path)
    try:
        return [_span(row, actors) for row in rows], [int(row.get("count", 1)) for row in rows]
    except (KeyError, ValueError) as error:
        raise ReportError(f"{path}: is damaged: {type(error).__name__}: {str(error)[:_LONGEST]}") from None


def _span(row: Mapping[str, str], actors: Mapping[str, int]) -> Span:
    client = actors[row["client"]] if row["client"] in actors else int(row["client"])
    return Span(client, int(row["round"]), Kind(row["kind"]), number(row["start_s"]), number(row["end_s"]), 0.0, (), ())
