"""A client and what it can do: compute, send, fetch, wait.

A *site* is one client, or `count` clients that behave alike in every respect and are therefore simulated once. It
carries its own causes: an activity is caused by the one before it and by what it has waited for since, so that a
protocol says who does what when, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import simpy

from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.message import Fetch, Receiver, Upload
from parasim_core.sim.engine.server import Server
from parasim_core.sim.engine.training import Training
from parasim_core.sim.engine.world import Causes, Process, World
from parasim_core.sim.network.model import Port


class Thread:
    """What a client does one after the other: its first thread, or a second one beside its computing.

    Attributes
    ----------
    site : Site
        The client.
    after : tuple of int
        Spans that its next activity waits for.
    beside : int or None
        Span of the computation that it runs beside, if that has a serial part.
    under_way : list of Message
        What it sends or fetches at present, mostly one thing.
    """

    __slots__ = ("after", "beside", "site", "under_way")

    def __init__(self, site: Site, after: Causes = ()):
        self.site = site
        self.after = after
        self.beside: int | None = None
        self.under_way: list[Upload | Fetch] = []

    def upload(self, update: Update) -> simpy.Event:
        """Send an update to the server, which has received it when this event happens."""
        return self.site.send(self, update)

    def fetch(self, items: Sequence[int]) -> simpy.Event:
        """Download the server's versions of `items`; nothing happens if there are none."""
        return self.site.bring(self, items) if items else self.site.nothing_to_fetch()

    def wait(self, event: simpy.Event) -> simpy.Event:
        """Wait for something whose value is causes: what comes next waits for them and for what came before."""
        if event.callbacks is None:
            self._also(event)
        else:
            event.callbacks.append(self._also)
        return event

    def released(self, event: simpy.Event) -> simpy.Event:
        """Wait for something that has itself waited for all that this client did: its causes are enough."""
        if event.callbacks is None:
            # What fired before this client came to wait for it has not waited for all that it did.
            self._also(event)
        else:
            event.callbacks.append(self._only)
        return event

    def _also(self, event: simpy.Event) -> None:
        self.after = (*(event.value or ()), *self.after)

    def _only(self, event: simpy.Event) -> None:
        self.after = event.value or ()


class Site(Thread):
    """One client (or `count` alike).

    Attributes
    ----------
    client, count : int
        Number of the (first) client, and for how many it stands.
    port : Port
        Its place in the network.
    rounds : sequence of int
        Rounds in which it takes part.
    packing : float
        Its time to pack or unpack one message [s].
    sends_to : Receiver
        Where its updates go.
    downloads : type of Fetch
        How versions come to it.
    known : mapping of int to int
        Version that it has of each of the server's items; replaced, never changed, as updates refer to it.
    updates, received, lost : int
        How many it has begun to compute, and how many of them have arrived, or vanished with it.
    kept : dict of int to Update, or None
        Updates that it sends later, by round.
    second : Thread or None
        Its newest thread beside a computation.
    """

    __slots__ = (
        *("client", "count", "kept", "known", "packing", "port", "received", "rounds", "second", "sends_to", "server"),
        *("updates", "world"),
    )

    lost = 0
    downloads: ClassVar[type[Fetch]] = Fetch

    def __init__(self, world: World, server: Server, client: int, count: int, port: Port, rounds: Sequence[int]):
        super().__init__(self)
        self.world = world
        self.server = server
        self.client = client
        self.count = count
        self.port = port
        self.rounds = rounds
        self.packing = world.rules.serialization
        self.sends_to: Receiver = server
        self.known: Mapping[int, int] = {}
        self.updates = self.received = 0
        self.second: Thread | None = None
        self.kept: dict[int, Update] | None = None

    def send(self, thread: Thread, update: Update) -> simpy.Event:
        """Send an update off."""
        return Upload(thread, update)

    def bring(self, thread: Thread, items: Sequence[int]) -> simpy.Event:
        """Have the server's versions of some items sent here."""
        return self.downloads(thread, items)

    def keep(self, update: Update) -> None:
        """Keep an update to send it in a later round."""
        self.kept = self.kept or {}
        self.kept[update.round] = update

    def due(self, round: int) -> list[Update]:
        """Take what was kept of rounds up to that one, oldest first."""
        kept = self.kept or {}
        return [kept.pop(own) for own in sorted(kept) if own <= round]

    def train(self, round: int) -> Training:
        """Compute the local update of a round; the event's value is the update."""
        training = Training(self.world, self.client, self.updates, round, self.known, self.after)
        self.updates += 1
        if training.span < 0:
            training.callbacks.append(self._trained)
        else:
            self.after = (training.span,)
        return training

    def meanwhile(self, training: Training, communicate: Callable[[Thread], Process]) -> simpy.Event:
        """Communicate in a second thread while computing, once nothing forbids it; wait for both.

        Parameters
        ----------
        training : Training
            The computation.
        communicate : callable
            Given the second thread, gives its process.
        """
        self.second = thread = _Beside(self, training)
        both = training & self.work(thread.run(communicate))
        both.callbacks.append(thread.join)
        return both

    def work(self, generator: Process) -> simpy.Process:
        """Begin a process of this client."""
        return self.world.env.process(generator)

    def nothing_to_fetch(self) -> simpy.Event:
        """Go on at once."""
        return self.world.nothing

    def missing(self) -> list[int]:
        """Items of which the server has a newer version than this client."""
        known = self.known
        return [item for item, version in self.server.versions.items() if version > known.get(item, -1)]

    def receive(self, versions: Mapping[int, int]) -> None:
        """Have versions of the server's items, from a download or because they are this client's own work."""
        self.known = {**self.known, **versions}
        self.world.learner.receive(self.client, versions)

    def _trained(self, training: simpy.Event) -> None:
        assert isinstance(training, Training)
        self.after = (training.span,)


class _Beside(Thread):
    """A second thread beside a computation."""

    __slots__ = ("training",)

    def __init__(self, site: Site, training: Training):
        super().__init__(site, training.causes)
        self.training = training

    def run(self, communicate: Callable[[Thread], Process]) -> Process:
        training = self.training
        if training.span < 0:
            yield training.begun()
        if training.serial:
            yield training.sendable()
            self.beside = training.span
        yield from communicate(self)

    def join(self, _: simpy.Event) -> None:
        training = self.training
        acted = self.after is not training.causes
        self.site.after = (training.span, *self.after) if acted else (training.span,)
        self.site.second = None
