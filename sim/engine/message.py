"""A message under way between a client and the server.

It is recorded when it has arrived, with what its time was spent on, as the network tells it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import simpy

from sim.engine.server import Server
from sim.engine.world import Causes, World
from sim.learner import Update
from sim.network.model import Port
from sim.network.timing import Continued, go_on
from sim.network.transfer import Transfer
from sim.timeline import Kind, Parts

_NEW = tuple.__new__


class _Site(Protocol):
    """What a message has to know about its client."""

    world: World
    server: Server
    client: int
    count: int
    port: Port

    def receive(self, versions: dict[int, int]) -> None: ...


class _Thread(Protocol):
    """What a message has to know about the thread that sent it."""

    after: Causes
    beside: int | None
    under_way: Any

    @property
    def site(self) -> _Site: ...


class Message(Continued):
    """Something under way; whoever waits for it goes on when it has arrived.

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

    kind: Kind
    transfer: Transfer | None = None

    def __init__(self, thread: _Thread, size: float, round: int, blocks: tuple[int, ...]):
        # Like SimPy's own events of this kind, without a call of the base class, for speed.
        self.env = env = thread.site.world.env
        self.callbacks = []
        self.thread = thread
        self.size = size
        self.round = round
        self.blocks = blocks
        self.started: float = env._now
        thread.under_way = self

    def cancel(self) -> None:
        """Take it off the network, and record what has got through."""
        transfer = self.transfer
        if transfer is None:
            self.size = 0.0
        elif not transfer.triggered:
            self.size = transfer.cancel()
        self._record()

    def _latency(self) -> simpy.Event:
        """Travel without any bytes."""
        return self.env.timeout(self.thread.site.port.latency)

    def _record(self) -> int:
        """Record its span, from the moment it was asked for until now."""
        thread = self.thread
        site = thread.site
        world = site.world
        if self.transfer is None:
            latency, alone, shared, stalled = site.port.latency, 0.0, 0.0, 0.0
        else:
            latency, alone, shared, stalled = self.transfer.parts()
        # Past the class's own constructor, which costs more than all the rest.
        parts = _NEW(Parts, (world.rules.serialization, latency, alone, shared, stalled, 0.0))
        started, now, size = self.started, self.env._now, self.size
        span = world.timeline.record(
            site.client, self.round, self.kind, started, now, size, self.blocks, thread.after, 0.0, thread.beside, parts
        )
        thread.after = (span,)
        thread.under_way = None
        return span

    def _finish(self) -> None:
        self._ok, self._value = True, None
        go_on(self)


class Upload(Message):
    """A client's update on its way to the server."""

    kind = Kind.UPLOAD

    def __init__(self, thread: _Thread, update: Update):
        world = thread.site.world
        super().__init__(thread, world.sizes.upload(update), update.round, world.named(update.block))
        self.update = update
        if world.rules.serialization:
            self.env.timeout(world.rules.serialization).callbacks.append(self._send)
        else:
            self._send()

    def _send(self, _: object = None) -> None:
        if self.size:
            site = self.thread.site
            self.transfer = site.world.network.upload(site.port, self.size)
            self.transfer.callbacks.append(self._arrived)
        else:
            self._latency().callbacks.append(self._arrived)

    def _arrived(self, _: object) -> None:
        site = self.thread.site
        site.server.receive(self.update, self._record(), site.count)
        self._finish()


class Fetch(Message):
    """The server's versions of some items on their way to a client."""

    kind = Kind.DOWNLOAD

    def __init__(self, thread: _Thread, items: Sequence[int]):
        site = thread.site
        world, newest = site.world, site.server.versions
        self.versions = versions = {item: newest[item] for item in items}
        world.learner.serve(site.client, versions)
        blocks = tuple(items) if world.rules.blocks_named else ()
        super().__init__(thread, sum(map(world.sizes.download, items)), max(versions.values()), blocks)
        if self.size:
            self.transfer = world.network.download(site.port, self.size)
            self.transfer.callbacks.append(self._arrived)
        else:
            self._latency().callbacks.append(self._arrived)

    def _arrived(self, _: object) -> None:
        unpacking = self.thread.site.world.rules.serialization
        if unpacking:
            self.env.timeout(unpacking).callbacks.append(self._unpacked)
        else:
            self._unpacked()

    def _unpacked(self, _: object = None) -> None:
        self.thread.site.receive(self.versions)
        self._record()
        self._finish()
