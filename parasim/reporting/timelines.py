"""The first rounds of a run as a Gantt chart, from `timeline.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from parasim.api import load
from parasim.figures.gantt import draw_schedule
from parasim.figures.schedule import piece_of_path, schedule, window
from parasim.reporting.charts import chart
from parasim.reporting.files import ReportError, number, read_rows
from parasim.reporting.page import PageChart, PageTable
from parasim.reporting.record import Record
from parasim.text import clock
from parasim_core.sim.analysis.failing import FILE, Failure, What
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.timeline import PART_COLUMNS, SERVER, Kind, Span

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
    held = [row.get("resource", "") for row in read_rows(critical)] if critical.exists() else []
    # All pieces of one span belong to the same one, whatever their times.
    path = [
        piece_of_path(piece._replace(start=0.0, end=0.0), holder, piece.start, piece.end)
        for piece, holder in zip(pieces, held, strict=True)
    ]
    shown = schedule(spans, path, counts, end, scenario, failures=_failures(directory / FILE))
    told = [
        (shown.names[span.client], span.kind.value, str(span.round), clock(span.start), clock(span.end))
        for span in sorted(shown.spans, key=lambda span: (span.client < 0, abs(span.client), span.start))
        if span.client != SERVER
    ]
    note = f"The first {_MOST_LINES} of {len(told):,} lines; timeline.csv has all." if len(told) > _MOST_LINES else ""
    table = PageTable(("client", "what", "round", "from", "to"), told[:_MOST_LINES], numbers=3, note=note)
    return chart(partial(draw_schedule, schedule=shown), table)


def _read(path: Path, actors: Mapping[str, int]) -> tuple[list[Span], list[int]]:
    """Read spans, and how many clients each is of."""
    rows = read_rows(path)
    try:
        return [_span(row, actors) for row in rows], [int(row.get("count", 1)) for row in rows]
    except (KeyError, ValueError) as error:
        raise _damaged(path, error) from None


def _failures(path: Path) -> list[Failure]:
    """Read what failed, if it was noted."""
    rows = read_rows(path) if path.exists() else []
    try:
        return [
            Failure(
                SERVER if row["client"] == "server" else int(row["client"]),
                What(row["what"]),
                Kind(row["of"]) if row["of"] else None,
                int(row["round"] or -1),
                number(row["start_s"]),
                number(row["end_s"]),
            )
            for row in rows
        ]
    except (KeyError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ReportError:
    return ReportError(f"{path}: is damaged: {type(error).__name__}: {str(error)[:_LONGEST]}")


def _span(row: Mapping[str, str], actors: Mapping[str, int]) -> Span:
    client = actors[row["client"]] if row["client"] in actors else int(row["client"])
    start, end, kind = number(row["start_s"]), number(row["end_s"]), Kind(row["kind"])
    # Not of a computation, nor where links are plain.
    spent = tuple(number(row[part]) for part in PART_COLUMNS if row.get(part))
    return Span(client, int(row["round"]), kind, start, end, 0.0, (), (), spent=spent)
