"""What every protocol is made of: a server that aggregates, and sites that train, upload and fetch.

A *site* is one client, or `count` clients that behave alike in every respect and are therefore simulated once.
A *shape* is a protocol: the process that each client runs. Its actions take `after`, the numbers of the spans
they waited for, and give back the number of their own span; that is how causes are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import simpy

from sim.learner import Learner, Update
from sim.network.model import Network, Port
from sim.timeline import SERVER, Interval, Kind, Timeline

Process = Generator[simpy.Event, Any, None]
After = tuple[int, ...]


class Sizes(Protocol):
    """What messages weigh [B]."""

    def upload(self, update: Update) -> float:
        """Size of one client's update [B]."""
        ...

    def download(self, item: int) -> float:
        """Size of the server's current version of an item [B]."""
        ...

    def item(self, round: int, block: int | None) -> int:
        """Which of the server's items the aggregate of a round is a new version of."""
        ...


@dataclass(frozen=True)
class Rules:
    """The numbers of a scenario that protocols need.

    Attributes
    ----------
    rounds : int
        Number of rounds.
    seed : int
        Seed of the protocol's own random draws.
    staleness : int
        Rounds an update may take, for overlapped protocols.
    download_fraction : float
        Share of the changed blocks that a client downloads, for cyclic protocols.
    serialization : float
        A client's time to pack or unpack one message [s].
    aggregation : float
        The server's time to aggregate a round [s].
    blocks_named : bool
        Whether items are blocks, to be named in the timeline.
    surveyed : bool
        Whether a full pass on the first participants precedes round 0.
    """

    rounds: int
    seed: int = 0
    staleness: int = 1
    download_fraction: float = 1.0
    serialization: float = 0.0
    aggregation: float = 0.0
    blocks_named: bool = True
    surveyed: bool = False


class Site:
    """One client (or `count` alike) and what it can do."""

    __slots__ = ("client", "count", "known", "port", "rounds", "run")

    def __init__(self, run: Run, client: int, count: int, port: Port, rounds: Sequence[int]):
        self.run = run
        self.client = client
        self.count = count
        self.port = port
        self.rounds = rounds
        self.known: dict[int, int] = {}

    def train(self, round: int, after: After) -> Training:
        """Compute the local update of a round; the event's value is the update."""
        run = self.run
        update = run.learner.train(self.client, round, run.schedule[round])
        span = run.record(
            self,
            round,
            Kind.COMPUTE,
            run.env.now,
            run.env.now + update.seconds,
            0.0,
            update.block,
            after,
            update.serial,
        )
        return Training(run.env, update, span)

    def upload(self, update: Update, after: After, beside: int | None = None) -> Generator[simpy.Event, Any, After]:
        """Send an update to the server, which now counts it among those it has."""
        run = self.run
        start = run.env.now
        size = run.sizes.upload(update)
        if run.rules.serialization:
            yield run.env.timeout(run.rules.serialization)
        yield run.network.upload(self.port, size) if size else run.env.timeout(self.port.latency)
        span = run.record(self, update.round, Kind.UPLOAD, start, run.env.now, size, update.block, after, beside=beside)
        run.server.submit(update, span, self.count)
        return (span,)

    def holds(self, item: int) -> None:
        """Note that the client has the server's version of an item without having downloaded it."""
        versions = {item: self.run.server.versions[item]}
        self.known.update(versions)
        self.run.learner.receive(self.client, versions)

    def missing(self) -> list[int]:
        """Items of which the server has a newer version than this client."""
        known = self.known
        return [item for item, version in self.run.server.versions.items() if version > known.get(item, -1)]

    def fetch(
        self, items: Sequence[int], after: After, beside: int | None = None
    ) -> Generator[simpy.Event, Any, After]:
        """Download the server's versions of `items`, nothing if there are none."""
        if not items:
            return after
        run = self.run
        start = run.env.now
        size = sum(run.sizes.download(item) for item in items)
        versions = {item: run.server.versions[item] for item in items}
        if size:
            yield run.network.download(self.port, size)
        else:
            yield run.env.timeout(self.port.latency)
        if run.rules.serialization:
            yield run.env.timeout(run.rules.serialization)
        self.known.update(versions)
        run.learner.receive(self.client, versions)
        blocks = tuple(items) if run.rules.blocks_named else ()
        newest = max(versions.values())
        span = run.timeline.record(
            self.client, newest, Kind.DOWNLOAD, start, run.env.now, size, blocks, after, beside=beside
        )
        return (span,)


class Training(simpy.Timeout):
    """A local computation in progress; its value is the update."""

    def __init__(self, env: simpy.Environment, update: Update, span: int):
        super().__init__(env, update.seconds, update)
        self.update = update
        self.span = span


class Server:
    """Collects updates, aggregates them round by round, and remembers the version of each item."""

    def __init__(self, run: Run):
        self.run = run
        self.versions: dict[int, int] = {}
        self._received: dict[int, list[Update]] = {}
        self._spans: dict[int, list[int]] = {}
        self._outstanding: dict[int, int] = {}
        self._aggregated: dict[int, simpy.Event] = {}

    def expect(self, round: int, clients: int) -> None:
        """Announce how many clients send an update of a round."""
        self._outstanding[round] = clients

    def aggregated(self, round: int) -> simpy.Event:
        """Fire when a round is in the server's model; the value holds the number of that span."""
        if round not in self._aggregated:
            self._aggregated[round] = self.run.env.event()
        return self._aggregated[round]

    def submit(self, update: Update, span: int, clients: int) -> None:
        """Take in one update; the last one of its round starts the aggregation."""
        self._received.setdefault(update.round, []).append(update)
        self._spans.setdefault(update.round, []).append(span)
        self._outstanding[update.round] -= clients
        if self._outstanding[update.round] == 0:
            self.run.env.process(self._aggregate(update.round))

    def _aggregate(self, round: int) -> Process:
        run = self.run
        start = run.env.now
        if run.rules.aggregation:
            yield run.env.timeout(run.rules.aggregation)
        block = run.schedule[round]
        item = run.sizes.item(round, block)
        # By client, not by arrival: the mean must not depend on who was faster.
        updates = sorted(self._received.pop(round), key=lambda update: update.client)
        run.learner.aggregate(round, item, updates)
        self.versions[item] = round
        blocks = (block,) if run.rules.blocks_named and block is not None else ()
        causes = tuple(self._spans.pop(round))
        span = run.timeline.record(SERVER, round, Kind.AGGREGATE, start, run.env.now, 0.0, blocks, causes)
        self.aggregated(round).succeed((span,))
        if run.observer is not None:
            run.observer(run, round)


class Run:
    """One simulated run: the clock, the server, the sites and what they share."""

    def __init__(self, env: simpy.Environment, network: Network, learner: Learner, sizes: Sizes, rules: Rules):
        self.env = env
        self.network = network
        self.learner = learner
        self.sizes = sizes
        self.rules = rules
        self.timeline = Timeline()
        self.server = Server(self)
        self.sites: list[Site] = []
        self.schedule: Sequence[int | None] = ()
        self.observer: Observer | None = None

    def join(self, client: int, count: int, port: Port, rounds: Sequence[int]) -> Site:
        """Add a site that takes part in the given rounds."""
        site = Site(self, client, count, port, rounds)
        self.sites.append(site)
        return site

    def record(
        self,
        site: Site,
        round: int,
        kind: Kind,
        start: float,
        end: float,
        size: float,
        block: int | None,
        causes: After,
        serial: float = 0.0,
        beside: int | None = None,
    ) -> int:
        """Record a span of a site that concerns at most one block."""
        blocks = (block,) if block is not None and self.rules.blocks_named else ()
        return self.timeline.record(site.client, round, kind, start, end, size, blocks, causes, serial, beside)


Observer = Callable[[Run, int], None]
"""Told the run and the round whenever a round has been aggregated."""


class Shape(Protocol):
    """A protocol: the process that each client runs."""

    def __init__(self, run: Run) -> None: ...

    def start(self) -> None:
        """Begin the processes of all clients."""
        ...

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """Intervals in which a site takes part [s]."""
        ...


def survey(run: Run) -> Generator[simpy.Event, Any, After]:
    """Let the participants of round 0 do the full pass of the gradient-based schedule, if there is one.

    Afterwards the block of every round is known. The pass costs computation; the few numbers that it
    tells the server are not priced.
    """
    spans: list[int] = []
    if run.rules.surveyed:
        passes = []
        for site in run.sites:
            if site.rounds and site.rounds[0] == 0:
                seconds = run.learner.survey(site.client)
                spans.append(run.record(site, 0, Kind.COMPUTE, run.env.now, run.env.now + seconds, 0.0, None, ()))
                passes.append(run.env.timeout(seconds))
        yield run.env.all_of(passes)
    run.schedule = run.learner.schedule()
    return tuple(spans)
