"""What a Gantt chart shows: rows of clients that do the same, aggregators, the server, and links that vary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from parasim_core.sim.analysis.critical_path import Holder
from parasim_core.sim.analysis.failing import Failure
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.lines import Capacities, Level, Line, access, lines, numbers
from parasim_core.sim.engine.timeline import SERVER, Interval, Kind, Span
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.scenario.scenario import Scenario

Piece = tuple[Span, float, float]
"""A piece of the critical path: whose span it belongs to, its start and end [s]."""


@dataclass(frozen=True)
class Schedule:
    """What a Gantt chart shows.

    Attributes
    ----------
    spans : sequence of Span
        What clients and the server do.
    path : sequence of (Span, float, float)
        The critical path in the order of time: whose span each piece belongs to, its start and end [s].
    names : mapping of int to str
        The rows by number of client, those of the server and of aggregators too.
    counts : mapping of int to int
        Number of alike clients that a row stands for.
    clients : int
        Number of all clients.
    presence : mapping of int to sequence of (float, float)
        When each client takes part [s]; where that is not known, waiting is not shown.
    end : float
        Where the picture ends [s].
    capacities : mapping of int to (float or Varying, float or Varying)
        Own links by client or aggregator, up and down [B/s], where one of them varies with time.
    lines : sequence of Line
        Links of sites, regions and the server of which one direction varies.
    sites : mapping of int to int
        By client, a number that those behind the same site's line share.
    failures : sequence of Failure
        What failed of those that are shown.
    """

    spans: Sequence[Span]
    path: Sequence[Piece]
    names: Mapping[int, str]
    counts: Mapping[int, int]
    clients: int
    presence: Mapping[int, Sequence[Interval]]
    end: float
    capacities: Mapping[int, Capacities] = field(default_factory=dict)
    lines: Sequence[Line] = ()
    sites: Mapping[int, int] = field(default_factory=dict)
    failures: Sequence[Failure] = ()


def client_name(fleet: Fleet | None, client: int, count: int = 1) -> str:
    """Name a client after its group, if that is known: alone, with its number, or for so many alike ones."""
    if client < 0:
        return "server" if fleet is None else fleet.actor(client)
    group = None if fleet is None else fleet.group(client)
    name = (group and group.name) or "client"
    if group and group.name and group.count == 1:
        return name
    return f"{name} × {count:,}" if count > 1 else f"{name} {client}"


def piece_of_path(span: Span, holder: str, start: float, end: float) -> Piece:
    """Write a piece of the critical path as it is drawn: a repair is where its device would compute."""
    return span._replace(kind=Kind.COMPUTE) if holder == Holder.REPAIR.value else span, start, end


def window(spans: Sequence[Span], rounds: int) -> float:
    """End of the picture [s]: of the run, or of the last computation of its first rounds."""
    if max((span.round for span in spans), default=0) < rounds:
        return max((span.end for span in spans), default=0.0)
    return max((s.end for s in spans if s.kind is Kind.COMPUTE and s.round < rounds), default=0.0)


def schedule(
    spans: Iterable[Span],
    path: Iterable[Piece],
    counts: Mapping[int, int],
    end: float,
    scenario: Scenario | None,
    presence: Mapping[int, Sequence[Interval]] | None = None,
    failures: Sequence[Failure] = (),
) -> Schedule:
    """Give clients of a group that do the same at the same times one row, named after the group.

    Parameters
    ----------
    spans : iterable of Span
        What is done.
    path : iterable of (Span, float, float)
        The critical path, in the order of time.
    counts : mapping of int to int
        Number of clients that each client stands for.
    end : float
        Where the picture ends [s].
    scenario : Scenario or None
        Names clients and has their links, if it is known.
    presence : mapping of int to sequence of (float, float), optional
        When each client takes part [s].
    failures : sequence of Failure
        What failed.
    """
    fleet = None if scenario is None else Fleet.of(scenario)
    above = [] if scenario is None else list(lines(scenario))
    varying = [line for line in above if any(isinstance(link, Varying) for link in line.capacities)]
    doing: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        if span.start < end:
            doing[span.client].append(span)
    capacities = {} if scenario is None or fleet is None else _varying_access(scenario, fleet, doing, varying)
    behind = {client: line.name for line in varying if line.level is Level.SITE for client in line.clients[0]}
    rows: dict[object, list[int]] = defaultdict(list)
    failing: dict[int, list[Failure]] = defaultdict(list)
    for failure in failures:
        if failure.start < end:
            failing[failure.client].append(failure)
    for client, own in sorted(doing.items()):
        group = client if client < 0 else None if fleet is None else fleet.index(client)
        courses = tuple(map(_identity, capacities.get(client, ())))
        times = tuple((span.round, span.kind, span.start, span.end) for span in own)
        failed = tuple(failure[1:] for failure in failing.get(client, ()))
        rows[group, behind.get(client), courses, tuple((presence or {}).get(client, ())), times, failed].append(client)
    leader = {client: clients[0] for clients in rows.values() for client in clients}
    alike = {clients[0]: sum(counts.get(client, 1) for client in clients) for clients in rows.values()}
    names = {
        clients[0]: row_name(fleet, [range(client, client + counts.get(client, 1)) for client in clients])
        for clients in rows.values()
    }
    shown = [span for client in alike for span in doing[client]]
    # Clients of one row do the same: pieces of one span belong to one, whoever's it is.
    pieces = [
        (piece._replace(client=leader[piece.client]), start, until) for piece, start, until in path if start < end
    ]
    total = sum(n for client, n in alike.items() if client >= 0) if fleet is None else fleet.clients
    sites = {
        client: line.clients[0].start
        for line in above
        if line.level is Level.SITE
        for client in line.clients[0]
        if client in alike and alike[client] <= len(line.clients[0])
    }
    of_rows = [failure for client in dict.fromkeys((*alike, SERVER)) for failure in failing.get(client, ())]
    return Schedule(shown, pieces, names, alike, total, presence or {}, end, capacities, varying, sites, of_rows)


def _varying_access(
    scenario: Scenario, fleet: Fleet, actors: Iterable[int], above: Sequence[Line]
) -> dict[int, Capacities]:
    """Own links of clients and aggregators, where they vary."""
    own = {client: access(scenario, fleet, client) for client in actors if client >= 0}
    own |= {number: line.capacities for line in above for number in line.aggregators if line.level is Level.REGION}
    return {actor: links for actor, links in own.items() if any(isinstance(link, Varying) for link in links)}


def _identity(link: float | Varying) -> object:
    return (id(link.course), link.start, link.scale) if isinstance(link, Varying) else link


def row_name(fleet: Fleet | None, clients: Sequence[range]) -> str:
    """Name a row: by the numbers of clients that follow one another and are not all of their group."""
    first, last = clients[0], clients[-1]
    count = sum(map(len, clients))
    together = range(first.start, last.stop)
    if first.start < 0 or count != len(together) or count == 1 or fleet is None:
        return client_name(fleet, first.start, count)
    group = fleet.group(first.start)
    return (
        client_name(fleet, first.start, count)
        if count == group.count
        else f"{group.name or 'client'} {numbers(together)}"
    )
