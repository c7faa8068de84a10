"""The aggregator of a region, between its clients and the server.

Upwards, it waits for all of a round's participants below it and sends the server one message for them; where a round
is not aggregated as a whole anyway, it passes on every update by itself, those of a client one after the other. The
server receives each update that a message stands for, so that what it aggregates is the same as without regions.
Downwards, it fetches from the server what its clients ask for and it has not got yet, once for all of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import simpy

from parasim_core.sim.engine.aggregation import Received
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.message import ClientThread, Fetch, Message
from parasim_core.sim.engine.server import Server
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.engine.world import Causes, World
from parasim_core.sim.network.model import Port
from parasim_core.sim.network.timing import EndOfInstant
from parasim_core.sim.network.transfer import AccessLink


class Aggregator:
    """Gathers updates, and keeps what it fetched for its clients.

    Parameters
    ----------
    world : World
        The run.
    server : Server
        Where updates go and versions come from.
    number : int
        Its number among the actors, below `SERVER`.
    name : str
        The region's.
    port : Port
        Its place in the server's network.
    rounds_numbered : bool
        Whether clients take part in numbered rounds: see `Traits`.

    Attributes
    ----------
    client : int
        Its number.
    known : dict of int to int
        Version of each of the server's items that it has, or that is on its way to it.
    brought : dict of int to int
        Of each item, number of the span that brought it here last.
    under_way : list of Message
        What it sends or fetches at present.
    """

    packing = 0.0

    def __init__(self, world: World, server: Server, number: int, name: str, port: Port, rounds_numbered: bool):
        self.world = world
        self.client = number
        self.name = name
        self.port = port
        self.known: dict[int, int] = {}
        self.brought: dict[int, int] = {}
        self.under_way: list[Message] = []
        self._server = server
        self._rounds_numbered = rounds_numbered
        self._held: dict[int, list[Received]] = {}
        self._outstanding: Counter[int] = Counter()
        # Of each client, what is passed on by itself; the first of them is on its way.
        self._queues: dict[int, deque[Received]] = {}
        self._coming: dict[_Brought, None] = {}
        # What is asked for in one instant comes in one message, whoever asks first.
        self._asked: _Brought | None = None
        self._end_of_instant = EndOfInstant(world.env, self._fetch)

    def expect(self, rounds: Sequence[int], clients: int) -> None:
        """Learn of some more clients that take part in rounds."""
        for round in rounds:
            self._outstanding[round] += clients

    def receive(self, update: Update, span: int, clients: int) -> None:
        """Take in an update; the last one of its round sends them all on."""
        server, received = self._server, Received(update, span, clients)
        # It is not cut off any more.
        server.cut_off.pop((update.client, update.sequence), None)
        if not (self._rounds_numbered and server.policy.waits_for_all):
            queue = self._queues.setdefault(update.client, deque())
            queue.append(received)
            if len(queue) == 1:
                _Passed(self, [received])
            return
        self._held.setdefault(update.round, []).append(received)
        self._outstanding[update.round] -= clients
        if self._outstanding[update.round] <= 0:
            _Passed(self, self._held.pop(update.round))

    def passed(self, received: Sequence[Received], span: int) -> None:
        """Send what waited for a message that the server has now."""
        if queue := self._queues.get(received[0].update.client):
            queue.popleft()
            if queue:
                _Passed(self, [queue[0]], after=(span,))

    def lose(self, round: int, clients: int) -> None:
        """Learn that so many clients will not send their updates of a round; whoever is left may be complete now."""
        self._outstanding[round] -= clients
        if self._outstanding[round] <= 0 and round in self._held:
            _Passed(self, self._held.pop(round))

    def bring(self, versions: Mapping[int, int], causes: Causes, beside: int | None) -> list[_Brought]:
        """Fetch what it has not got of the newest versions of items; return what brings them and is under way.

        Parameters
        ----------
        versions : mapping of int to int
            Of each item, the version that a client wants.
        causes : tuple of int
            Spans that the client waited for before it asked.
        beside : int or None
            Span of the client's computation whose serial part it waited for as well.
        """
        known = self.known
        missing = {item: version for item, version in versions.items() if version > known.get(item, -1)}
        if missing:
            if self._asked is None:
                self._asked = _Brought(self, causes, beside)
                self._coming[self._asked] = None
                self._end_of_instant.request()
            self._asked.since = {item: known.get(item, -1) for item in missing} | self._asked.since
            self._asked.versions |= missing
            known.update(missing)
        return [each for each in self._coming if not each.versions.keys().isdisjoint(versions)]

    def there(self, message: _Brought, span: int) -> None:
        """Have what a message brought."""
        del self._coming[message]
        self.brought |= dict.fromkeys(message.versions, span)

    def _fetch(self) -> None:
        message, self._asked = self._asked, None
        if message is not None:
            message.fetch(self._server.missed)

    def learn(self, versions: Mapping[int, int]) -> None:
        """Have what a client below has: its own work, which went through here, if it is newer."""
        for item, version in versions.items():
            self.known[item] = max(version, self.known.get(item, -1))

    def holds(self) -> list[str]:
        """Say what it has received and not sent on."""
        return [
            f"holds what {_clients(held)} of its clients sent in round {round} and waits for {more} more"
            for round, held in self._held.items()
            if (more := self._outstanding[round])
        ]


class _Sending:
    """What stands for a thread where an aggregator sends: each message waited for something else."""

    __slots__ = ("after", "beside", "site", "under_way")

    def __init__(self, aggregator: Aggregator, after: Causes, beside: int | None = None):
        self.site = aggregator
        self.after = after
        self.beside = beside
        self.under_way = aggregator.under_way


class _Passed(Message):
    """One message for some updates, on its way from an aggregator to the server."""

    __slots__ = ("aggregator", "received")

    kind = Kind.UPLOAD

    def __init__(self, aggregator: Aggregator, received: Sequence[Received], after: Causes = ()):
        world = aggregator.world
        of_block: dict[int | None, list[Received]] = {}
        for each in sorted(received, key=attrgetter("update.client")):
            of_block.setdefault(each.update.block, []).append(each)
        size = sum([world.sizes.together(own[0].update, _clients(own)) for own in of_block.values()])
        blocks = sum(map(world.named, of_block), ())
        causes = (*after, *[each.span for each in received])
        super().__init__(_Sending(aggregator, causes), size, received[0].update.round, blocks)
        self.aggregator = aggregator
        self.received = received
        self._travel(aggregator.port.up)

    def arrive(self) -> None:
        """Have the server receive every update."""
        span = self._record(self._spent())
        for each in self.received:
            self.aggregator._server.receive(each.update, span, each.clients)
        self._finish()
        self.aggregator.passed(self.received, span)


class _Brought(Message):
    """Versions of some items on their way from the server to an aggregator."""

    __slots__ = ("aggregator", "since", "versions")

    kind = Kind.DOWNLOAD

    def __init__(self, aggregator: Aggregator, causes: Causes, beside: int | None):
        super().__init__(_Sending(aggregator, causes, beside), 0, -1, ())
        self.aggregator = aggregator
        # Of each item, the version that is fetched, and the one that was there before.
        self.versions: dict[int, int] = {}
        self.since: dict[int, int] = {}

    def fetch(self, missed: Callable[[int, int], int]) -> None:
        """Depart, with all that was asked for."""
        world, versions = self.aggregator.world, self.versions
        changes = {item: missed(item, self.since[item]) - missed(item, version) for item, version in versions.items()}
        self.size = sum([world.sizes.download(item, number) for item, number in changes.items()])
        self.round = max(versions.values())
        self.blocks = tuple(sorted(versions)) if world.rules.blocks_named else ()
        self._travel(self.aggregator.port.down)

    def cancel(self) -> float:
        """Take it off the network; if it has not departed, there is nothing to record."""
        return super().cancel() if self.round >= 0 else _forgotten(self)

    def arrive(self) -> None:
        """Be there for the clients."""
        self.aggregator.there(self, self._record(self._spent()))
        self._finish()


class _FetchBelow(Fetch):
    """Versions of some items on their way from an aggregator to a client, once it has them itself."""

    __slots__ = ("aggregator", "waits")

    def __init__(self, thread: ClientThread, items: Sequence[int], versions: Mapping[int, int] | None = None):
        assert isinstance(thread.site, Member)
        self.aggregator = thread.site.aggregator
        super().__init__(thread, items, versions)

    def _travel(self, access: AccessLink) -> None:
        coming = self.aggregator.bring(self.versions, self.causes, self.thread.beside)
        self.waits = len(coming)
        for message in coming:
            message.callbacks.append(self._one_there)
        if not coming:
            self._begin()

    def _one_there(self, _: simpy.Event) -> None:
        self.waits -= 1
        if not self.waits and self.under_way:
            self._begin()

    def _begin(self) -> None:
        """Depart: what the aggregator waited for is what this waited for, too."""
        thread, asked = self.thread, self.causes
        brought = [self.aggregator.brought[item] for item in self.versions if item in self.aggregator.brought]
        self.started = self.env.now
        self.causes = tuple(dict.fromkeys([*brought, *asked]))
        if thread.after is asked:
            thread.after = self.causes
        super()._travel(thread.site.port.down)

    def awaited(self) -> str:
        """Say what a client waits for that waits for this."""
        return "its region to have what it downloads" if self.waits else super().awaited()

    def cancel(self) -> float:
        """Take it off the network; if it has not departed, there is nothing to record."""
        return _forgotten(self) if self.waits and self.under_way else super().cancel()


class Member(Site):
    """A client below an aggregator: what it sends goes there, and what it fetches comes from there."""

    __slots__ = ("aggregator",)

    downloads = _FetchBelow

    def __init__(
        self, world: World, server: Server, client: int, count: int, port: Port, rounds: Sequence[int], to: Aggregator
    ):
        super().__init__(world, server, client, count, port, rounds)
        self.aggregator = to
        self.sends_to = to
        to.expect(rounds, count)

    def receive(self, versions: Mapping[int, int]) -> None:
        """Have versions of the server's items, which the aggregator then has as well."""
        super().receive(versions)
        self.aggregator.learn(versions)


def _forgotten(message: Message) -> float:
    message.thread.under_way.remove(message)
    message.under_way = False
    return 0.0


def _clients(received: Sequence[Received]) -> int:
    return sum([each.clients for each in received])
