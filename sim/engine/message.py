"""A message under way between a client and the server.

It is recorded when it has arrived, with what its time was spent on, as the network tells it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.server import Server
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.engine.world import Causes, World
from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network.model import Port
from parasim_core.sim.network.timing import go_on
from parasim_core.sim.network.transfer import AccessLink, Transfer


class Receiver(Protocol):
    """Where updates go: the server, or an aggregator on the way to it."""

    def receive(self, update: Update, span: int, clients: int) -> None:
        """Take in one update, whose upload is the span of that number."""


class _Actor(Protocol):
    """What a message has to know about whose it is."""

    world: World
    client: int
    port: Port
    packing: float


class _Site(_Actor, Protocol):
    """What a client's message has to know about it."""

    server: Server
    sends_to: Receiver
    count: int
    known: Mapping[int, int]
    received: int

    def receive(self, versions: Mapping[int, int]) -> None: ...


class _Thread(Protocol):
    """What a message has to know about the thread that sent it."""

    after: Causes
    beside: int | None
    under_way: list[Any]

    @property
    def site(self) -> _Actor: ...


class ClientThread(_Thread, Protocol):
    """The same of a client's thread."""

    @property
    def site(self) -> _Site:
        """The client."""
        ...


class Message(Transfer):
    """Something under way; whoever waits for it goes on when it is there, unpacked.

    Parameters
    ----------
    thread : Thread
        Whose it is.
    size : float
        [B] per client.
    round : int
        Of the update, or of the newest aggregation that it brings.
    blocks : tuple of int
        What it is about.
    """

    __slots__ = ("blocks", "causes", "round", "started", "thread", "under_way")

    kind: Kind

    def __init__(self, thread: _Thread, size: float, round: int, blocks: tuple[int, ...]):
        # Without a call of the base class, for speed: it departs when it is packed.
        self.env = env = thread.site.world.env
        self.callbacks = []
        self.size = size
        self.thread = thread
        self.round = round
        self.blocks = blocks
        self.started: float = env._now
        self.causes = thread.after
        self.under_way = True
        thread.under_way.append(self)

    def cancel(self) -> float:
        """Take it off the network now, and record what has got through; see `Transfer.cancel`."""
        if not self.under_way:
            raise NetworkError("the message has arrived or was cancelled before; it cannot be cancelled any more")
        if not self.triggered:
            travels = hasattr(self, "access")
            self.size = float(math.floor(super().cancel())) if travels else 0.0
        self._record(self._spent_so_far())
        delivered: float = self.size
        return delivered

    def awaited(self) -> str:
        """Say what its owner waits for that waits for this."""
        return f"its {self.kind.value}"

    def _travel(self, access: AccessLink) -> None:
        if not self.under_way:
            return
        if self.size:
            self.depart(access)
        else:
            # Without any bytes it takes the latency alone.
            self.env.timeout(access.latency).callbacks.append(self._there)

    def _there(self, _: object) -> None:
        if self.under_way:
            self.arrive()

    def _spent(self) -> tuple[float, ...]:
        site = self.thread.site
        if not self.size:
            return site.packing, site.port.latency, 0.0
        latency, alone, shared, stalled, start_up, limited = self.parts()
        if stalled or start_up or limited:
            return site.packing, latency, alone, shared, stalled, 0.0, start_up, limited
        # The last ones are zero unless they are given: there may be millions of these.
        return site.packing, latency, alone, shared

    def _spent_so_far(self) -> tuple[float, ...]:
        """Parts of a message that is cut off: it was packed, or is unpacked, as long as the rest of the time."""
        site, elapsed = self.thread.site, self.env._now - self.started
        packing = min(site.packing, elapsed) if self.kind is Kind.UPLOAD else 0.0
        travelled = (min(site.port.latency, elapsed - packing), 0.0, 0.0, 0.0, 0.0, 0.0)
        if hasattr(self, "access"):
            travelled = self.parts()
        *parts, start_up, limited = travelled
        return max(packing, elapsed - sum(travelled)), *parts, 0.0, start_up, limited

    def _record(self, spent: tuple[float, ...]) -> int:
        """Record its span, from the moment it was asked for until now."""
        thread = self.thread
        site = thread.site
        world = site.world
        started, now, size, causes = self.started, self.env._now, self.size, self.causes
        span = world.timeline.record(
            site.client, self.round, self.kind, started, now, size, self.blocks, causes, 0.0, thread.beside, spent
        )
        if world.shared_links and (link := self.bottleneck()) is not None and link in world.shared_links:
            world.timeline.bound[span] = world.shared_links[link]
        # What the thread has done beside it since it began is waited for as well.
        thread.after = (span,) if thread.after is causes else (span, *thread.after)
        thread.under_way.remove(self)
        self.under_way = False
        return span

    def _finish(self) -> None:
        self._ok, self._value = True, self.env._now
        go_on(self)


class Upload(Message):
    """A client's update on its way to the server."""

    __slots__ = ("update",)

    kind = Kind.UPLOAD
    thread: ClientThread

    def __init__(self, thread: ClientThread, update: Update):
        site = thread.site
        world = site.world
        Message.__init__(self, thread, world.sizes.upload(update), update.round, world.named(update.block))
        self.update = update
        if site.packing:
            self.env.timeout(site.packing).callbacks.append(self._packed)
        else:
            self._travel(site.port.up)

    def _packed(self, _: object) -> None:
        if self.under_way:
            self._travel(self.thread.site.port.up)

    def cancel(self) -> float:
        """Take it off the network; the update is cut off unless it is sent anew."""
        site, update = self.thread.site, self.update
        delivered = super().cancel()
        site.server.cut_off[update.client, update.sequence] = site.count
        return delivered

    def arrive(self) -> None:
        """Be received."""
        if not self.under_way:
            return
        site = self.thread.site
        site.received += 1
        site.sends_to.receive(self.update, self._record(self._spent()), site.count)
        self._finish()


class Fetch(Message):
    """The server's versions of some items on their way to a client."""

    __slots__ = ("versions",)

    kind = Kind.DOWNLOAD
    thread: ClientThread

    def __init__(self, thread: ClientThread, items: Sequence[int], versions: Mapping[int, int] | None = None):
        site = thread.site
        world, newest = site.world, site.server.versions
        known, missed = site.known, site.server.missed
        self.versions: Mapping[int, int]
        if versions is None:
            self.versions = versions = {item: newest[item] for item in items}
            size = sum([world.sizes.download(item, missed(item, known.get(item, -1))) for item in items])
        else:
            # The same ones once more.
            self.versions = versions
            changes = [missed(item, known.get(item, -1)) - missed(item, versions[item]) for item in items]
            size = sum(map(world.sizes.download, items, changes))
        world.learner.serve(site.client, versions)
        blocks = tuple(items) if world.rules.blocks_named else ()
        Message.__init__(self, thread, size, max(versions.values()), blocks)
        self._travel(site.port.down)

    def arrive(self) -> None:
        """Be unpacked by the client, which then has the versions."""
        unpacking = self.thread.site.packing
        if unpacking:
            self.env.timeout(unpacking).callbacks.append(self._unpacked)
        else:
            self._unpacked()

    def _unpacked(self, _: object = None) -> None:
        if not self.under_way:
            return
        self.thread.site.receive(self.versions)
        self._record(self._spent())
        self._finish()
