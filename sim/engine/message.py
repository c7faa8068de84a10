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
from sim.network.timing import Continued, hand_over
from sim.timeline import Kind, Parts

NEGLIGIBLE = 1e-9
"""Share of a transfer below which a delay is rounding."""


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
    """

    kind: Kind

    def __init__(self, thread: _Thread, size: float):
        site = thread.site
        # Like SimPy's own events of this kind, without a call of the base class, for speed.
        self.env = env = site.world.env
        self.callbacks = []
        self.thread = thread
        self.size = size
        self.started: float = env.now
        self.transfer: Any = None
        thread.under_way = self

    def cancel(self) -> None:
        """Take it off the network, and record what has got through."""
        if self.transfer is not None and not self.transfer.triggered:
            self.size = self.transfer.cancel()

    def _latency(self) -> simpy.Event:
        """Travel without any bytes."""
        return self.env.timeout(self.thread.site.port.latency)

    def _record(self, round: int, blocks: tuple[int, ...], bandwidth: float) -> int:
        """Record its span, from the moment it was asked for until now."""
        thread, size, started, now = self.thread, self.size, self.started, self.env.now
        site = thread.site
        world = site.world
        packing, latency, alone = world.rules.serialization, site.port.latency, size / bandwidth
        shared = now - started - packing - latency - alone
        # Times are differences of clock readings, each rounded to some 1e-16 of the clock.
        if shared <= NEGLIGIBLE * (now - started) + 1e-12 * now:
            shared = 0.0
        parts = Parts(packing, latency, alone, shared)
        span = world.timeline.record(
            site.client, round, self.kind, started, now, size, blocks, thread.after, 0.0, thread.beside, parts
        )
        thread.after = (span,)
        thread.under_way = None
        return span


class Upload(Message):
    """A client's update on its way to the server."""

    kind = Kind.UPLOAD

    def __init__(self, thread: _Thread, update: Update):
        world = thread.site.world
        super().__init__(thread, world.sizes.upload(update))
        self.update = update
        if world.rules.serialization:
            self.env.timeout(world.rules.serialization).callbacks.append(self._send)
        else:
            self._send()

    def _send(self, _: object = None) -> None:
        site = self.thread.site
        self.transfer = transfer = site.world.network.upload(site.port, self.size) if self.size else self._latency()
        transfer.callbacks.append(self._arrived)

    def _arrived(self, _: object) -> None:
        site, update = self.thread.site, self.update
        span = self._record(update.round, site.world.named(update.block), site.port.uplink)
        site.server.receive(update, span, site.count)
        hand_over(self, None)


class Fetch(Message):
    """The server's versions of some items on their way to a client."""

    kind = Kind.DOWNLOAD

    def __init__(self, thread: _Thread, items: Sequence[int]):
        site = thread.site
        world = site.world
        super().__init__(thread, sum([world.sizes.download(item) for item in items]))
        versions = site.server.versions
        self.versions = {item: versions[item] for item in items}
        self.transfer = transfer = world.network.download(site.port, self.size) if self.size else self._latency()
        transfer.callbacks.append(self._arrived)

    def _arrived(self, _: object) -> None:
        unpacking = self.thread.site.world.rules.serialization
        if unpacking:
            self.env.timeout(unpacking).callbacks.append(self._unpacked)
        else:
            self._unpacked()

    def _unpacked(self, _: object = None) -> None:
        site, versions = self.thread.site, self.versions
        site.receive(versions)
        blocks = tuple(versions) if site.world.rules.blocks_named else ()
        self._record(max(versions.values()), blocks, site.port.downlink)
        hand_over(self, None)
