"""Which rows a Gantt chart has, in which order: clients by site, links that vary, aggregators, the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from parasim.figures.schedule import Schedule
from parasim_core.sim.analysis.failing import What
from parasim_core.sim.engine.lines import Capacities, Level, Line
from parasim_core.sim.engine.timeline import SERVER, Kind
from parasim_core.sim.network.capacity import Varying

STRIP = 0.37
"""Height of the strip that a capacity is drawn in, as a multiple of the height of a client's row."""
STRIP_GAP = 0.1
"""Between a client's messages and its capacities, and below a row of capacities alone, likewise."""
_MOST = 16.0
"""Height of all clients' and aggregators' rows together, likewise."""
_MOST_AGGREGATORS = 8


class Row(NamedTuple):
    """One row: of a client or another actor, of a link that varies, or of both.

    Attributes
    ----------
    name : str
        Written beside it.
    actor : int or None
        Who does something in it.
    capacities : tuple of (Kind, Varying)
        What a link can carry, a strip for each direction that varies.
    site : int or None
        The same number for those behind one site's line.
    """

    name: str
    actor: int | None
    capacities: tuple[tuple[Kind, Varying], ...] = ()
    site: int | None = None

    @property
    def strips(self) -> float:
        """Height of its strips at the lower edge, as a multiple of that of a client's row."""
        return STRIP * len(self.capacities) + (STRIP_GAP if self.capacities else 0.0)

    @property
    def height(self) -> float:
        """Height, likewise."""
        return self.strips + (self.actor is not None)


def chart_rows(schedule: Schedule, shortest: float) -> list[Row]:
    """Choose rows: of aggregators, of clients that hold the critical path, and of those to whom something happens.

    There are as many as there is space for.

    Parameters
    ----------
    schedule : Schedule
        What is to be shown.
    shortest : float
        What takes less than that is not seen [s].
    """
    end = schedule.end
    held = dict.fromkeys(sorted({s.client for s in schedule.spans if s.start < end and s.client != SERVER}), 0.0)
    for span, start, until in schedule.path:
        if span.client in held and start < end:
            held[span.client] += until - start
    failed = Counter(failure.client for failure in schedule.failures if failure.what is not What.ABSENT)
    first = sorted(held, key=lambda actor: (actor >= 0, -held[actor], -failed[actor]))
    aggregators = [actor for actor in first if actor < 0][:_MOST_AGGREGATORS]
    chosen: list[Row] = []
    for actor in [*aggregators, *(actor for actor in first if actor >= 0)]:
        row = _row(schedule, actor)
        if chosen and sum(row.height for row in chosen) + row.height > _MOST:
            break
        chosen.append(row)
    by_number = sorted(chosen, key=lambda row: row.actor or 0)
    clients = [row for row in by_number if row.actor is not None and row.actor >= 0]
    lines = [line for line in schedule.lines if line.level is Level.REGION and not line.aggregators]
    server = [line for line in schedule.lines if line.level is Level.SERVER]
    aggregates = [s.end - s.start for s in schedule.spans if s.kind is Kind.AGGREGATE and s.start < end]
    works = SERVER if max(aggregates, default=0.0) > shortest else None
    rows = [*_by_site(schedule, clients), *map(_of_line, lines), *reversed(by_number[: len(aggregators)])]
    if server:
        return [*rows, Row(server[0].name, works, _varying(server[0].capacities))]
    return rows if works is None else [*rows, Row(schedule.names[SERVER], SERVER)]


def _row(schedule: Schedule, actor: int) -> Row:
    capacities = _varying(schedule.capacities.get(actor, ()))
    return Row(schedule.names[actor], actor, capacities, schedule.sites.get(actor))


def _by_site(schedule: Schedule, clients: Sequence[Row]) -> Iterator[Row]:
    """Put the line of a site, if it varies, above the first of its clients."""
    lines = {line.clients[0].start: line for line in schedule.lines if line.level is Level.SITE}
    for row in clients:
        if row.site in lines:
            yield _of_line(lines.pop(row.site), row.site)
        yield row


def _of_line(line: Line, site: int | None = None) -> Row:
    return Row(line.name, None, _varying(line.capacities), site)


def _varying(capacities: Capacities | tuple[()]) -> tuple[tuple[Kind, Varying], ...]:
    """Directions that vary, each with its kind of message."""
    pairs = zip((Kind.UPLOAD, Kind.DOWNLOAD), capacities, strict=False)
    return tuple((kind, link) for kind, link in pairs if isinstance(link, Varying))
