"""What failed in a run, as a list: repairs, outages, absences, who vanished, what came to nothing, and deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from parasim_core.sim.engine.fleet import opened_one_by_one
from parasim_core.sim.engine.incidents import Closing
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Interval, Kind
from parasim_core.sim.failures.population import Population
from parasim_core.sim.support.atomic_files import write_rows

FILE = "failures.csv"
COLUMNS = ("client", "what", "of", "round", "start_s", "end_s")


class What(StrEnum):
    """What can fail of a client."""

    REPAIR = "repair"
    """Its device is down, while it has something to do."""
    OUTAGE = "outage"
    """Its link is, likewise."""
    ABSENT = "absent"
    """It is not there."""
    VANISHED = "vanished"
    """It vanishes in the middle of a round: an instant."""
    WASTED = "wasted"
    """It computes or sends what comes to nothing, as it is cut off or begun anew."""
    LATE = "late"
    """Likewise, as the update is dropped, because it is late."""
    DEADLINE = "deadline"
    """A round ends at its deadline: an instant of the server."""


class Failure(NamedTuple):
    """Something that failed.

    Attributes
    ----------
    client : int
        Whose; `SERVER` of a deadline.
    what : What
        What failed.
    of : Kind or None
        What was wasted.
    round : int
        Of what was wasted, that ended, or which it took part in last; -1 for what has no round.
    start, end : float
        [s].
    """

    client: int
    what: What
    of: Kind | None
    round: int
    start: float
    end: float


def failures(result: Result) -> list[Failure]:
    """List what failed of the clients that took part, by client and time; nothing where nothing can fail.

    Parameters
    ----------
    result : Result
        A simulated run.
    """
    if not opened_one_by_one(result.scenario):
        return []
    end = result.wall_clock
    found = [*_wasted(result), *_deadlines(result)]
    for what, of in ((What.REPAIR, result.repairs), (What.OUTAGE, result.outages)):
        downs = ((client, down) for client, intervals in of.items() for down in intervals)
        found += (Failure(client, what, None, -1, begin, min(over, end)) for client, (begin, over) in downs)
    found += (
        Failure(client, What.VANISHED, None, round, time, time)
        for client, round, time in result.timeline.incidents.vanished
    )
    population = Population(result.scenario)
    for client in result.counts:
        found += (Failure(client, What.ABSENT, None, -1, *gone) for gone in _absences(population, client, end))
    return sorted(found, key=lambda failure: (failure.client, failure.start, failure.end, failure.what))


def _absences(population: Population, client: int, end: float) -> Iterator[Interval]:
    """When a client is not there, up to a time [s]."""
    time = 0.0
    while time < end:
        change = population.next_change(client, time)
        if not population.there(client, time):
            yield time, min(change, end)
        time = change


def _deadlines(result: Result) -> Iterator[Failure]:
    # Where there are no rounds, nothing is known of how one ended.
    late = {round for round, closed in result.timeline.incidents.closed.items() if closed.by is Closing.DEADLINE}
    for span in result.timeline.spans:
        if span.kind is Kind.AGGREGATE and span.round in late:
            yield Failure(span.client, What.DEADLINE, None, span.round, span.start, span.start)


def _wasted(result: Result) -> Iterator[Failure]:
    late = result.timeline.incidents.late
    for number in result.timeline.wasted:
        span = result.timeline.spans[number]
        if span.client >= 0:
            what = What.LATE if number in late else What.WASTED
            yield Failure(span.client, what, span.kind, span.round, span.start, span.end)


def write_failures(result: Result, directory: Path) -> list[Path]:
    """Write ``failures.csv``, a line for each: complete, or not at all; nothing where nothing can fail.

    Parameters
    ----------
    result : Result
        A simulated run.
    directory : Path
        Where the file goes.

    Returns
    -------
    list of Path
        The file, if there is one.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if not opened_one_by_one(result.scenario):
        return []
    path = directory / FILE
    rows = (
        (
            "server" if each.client == SERVER else each.client,
            each.what.value,
            each.of or "",
            each.round if each.round >= 0 else "",
            each.start,
            each.end,
        )
        for each in failures(result)
    )
    write_rows(path, COLUMNS, rows)
    return [path]
