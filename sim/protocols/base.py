"""What every protocol is made of: a server that aggregates, and sites that train, upload and fetch.

A *site* is one client, or `count` clients that behave alike in every respect and are therefore simulated once.
A *shape* is a protocol: the process that each client runs. Its actions take `after`, the numbers of the spans
they waited for, and give back the number of their own span; that is how causes are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

import simpy
from simpy.events import NORMAL

from sim.learner import Learner, Promise, Update
from sim.network.model import Network, Port
from sim.network.timing import EndOfInstant
from sim.protocols.rules import Rules, Sizes
from sim.timeline import SERVER, Interval, Kind, Timeline

Process = Generator[simpy.Event, Any, None]
After = tuple[int, ...]


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
        return Training(self, round, after)

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


class Training(simpy.Event):
    """A local computation in progress; its value is the update.

    An update that is only promised is waited for as late as the clock allows, so that a learner with several workers
    can begin others meanwhile: when its training ends, if it is known how long that takes; else at the end of the
    instant in which it began. An aggregation waits for all that are open.

    Attributes
    ----------
    span : int
        Number of its span; -1 as long as nobody knows how long it takes.
    serial : float
        Part at its start during which nothing can be sent [s]; known with the span.
    """

    def __init__(self, site: Site, round: int, after: After):
        run = site.run
        super().__init__(run.env)
        self.span = -1
        self._begun: simpy.Event | None = None
        self._promise: Promise | None = None
        block = run.schedule[round]
        self._of = (site, round, block, after)
        computed = run.learner.train(site.client, round, block)
        if isinstance(computed, Update):
            self._value = computed
            self._take(computed.seconds, computed.serial)
            return
        self._promise = computed
        run.open[self] = None
        if computed.duration is None:
            run.end_of_instant.request()
        else:
            self.callbacks.append(Training.redeem)
            self._take(*computed.duration)

    @property
    def update(self) -> Update:
        """The update; waited for, if it is only promised yet."""
        self.redeem()
        update: Update = self._value
        return update

    def redeem(self) -> None:
        """Wait for the update, if it is only promised yet."""
        if self._promise is None:
            return
        promise, self._promise = self._promise, None
        del self._of[0].run.open[self]
        self._value = update = promise.redeem()
        if self.span < 0:
            self._take(update.seconds, update.serial)
            if self._begun is not None:
                self._begun.succeed()

    def begun(self) -> Generator[simpy.Event, Any, None]:
        """Wait until it is known how long it takes; no time passes."""
        if self.span < 0:
            self._begun = self._begun or self.env.event()
            yield self._begun

    def _take(self, seconds: float, serial: float) -> None:
        """Record its span, and end so many seconds from now."""
        site, round, block, after = self._of
        now = self.env.now
        self.serial = serial
        self.span = site.run.record(site, round, Kind.COMPUTE, now, now + seconds, 0.0, block, after, serial)
        self._ok = True
        self.env.schedule(self, NORMAL, seconds)


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
        # What began to train before must not see the aggregate.
        run.redeem()
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
        self.open: dict[Training, None] = {}
        self.end_of_instant = EndOfInstant(env, self._redeem_unknown)

    def join(self, client: int, count: int, port: Port, rounds: Sequence[int]) -> Site:
        """Add a site that takes part in the given rounds."""
        site = Site(self, client, count, port, rounds)
        self.sites.append(site)
        return site

    def redeem(self) -> None:
        """Wait for all updates that are only promised yet, in the order in which they were."""
        for training in list(self.open):
            training.redeem()

    def _redeem_unknown(self) -> None:
        """Wait for those of which nobody knows how long they take: the clock cannot go on before."""
        for training in list(self.open):
            if training.span < 0:
                training.redeem()

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
