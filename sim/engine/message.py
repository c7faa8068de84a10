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
        super().__init__(thread.site.world.env)
        self.thread = thread
        self.size = size
        self.started: float = self.env.now
        self.causes = thread.after
        self.transfer: Any = None
        thread.under_way = self

    def _travel(self) -> simpy.Event:
        """Put it on the network; without any bytes it takes the latency alone."""
        site = self.thread.site
        if not self.size:
            return self.env.timeout(site.port.latency)
        network = site.world.network
        send = network.upload if self.kind is Kind.UPLOAD else network.download
        self.transfer = transfer = send(site.port, self.size)
        return transfer

    def _record(self, round: int, blocks: tuple[int, ...]) -> int:
        """Record its span, from the moment it was asked for until now."""
        thread, now = self.thread, self.env.now
        site = thread.site
        parts = self._parts(now)
        span = site.world.timeline.record(
            site.client, round, self.kind, self.started, now, self.size, blocks, self.causes, 0.0, thread.beside, parts
        )
        thread.after = (span,)
        thread.under_way = None
        return span

    def _parts(self, now: float) -> Parts:
        port, packing = self.thread.site.port, self.thread.site.world.rules.serialization
        alone = self.size / (port.uplink if self.kind is Kind.UPLOAD else port.downlink)
        more = now - self.started - packing - port.latency - alone
        # Times are differences of clock readings, each rounded to some 1e-16 of the clock.
        rounding = NEGLIGIBLE * (now - self.started) + 1e-12 * now
        return Parts(packing, port.latency, alone, more if more > rounding else 0.0)

    def cancel(self) -> None:
        """Take it off the network, and record what has got through."""
        if self.transfer is not None and not self.transfer.triggered:
            self.size = self.transfer.cancel()


class Upload(Message):
    """A client's update on its way to the server."""

    kind = Kind.UPLOAD

    def __init__(self, thread: _Thread, update: Update):
        world = thread.site.world
        super().__init__(thread, world.sizes.upload(update))
        self.update = update
        packing = world.rules.serialization
        if packing:
            self.env.timeout(packing).callbacks.append(self._send)
        else:
            self._send()

    def _send(self, _: object = None) -> None:
        self._travel().callbacks.append(self._arrived)

    def _arrived(self, _: object) -> None:
        site, update = self.thread.site, self.update
        span = self._record(update.round, site.world.blocks(update.block))
        site.server.receive(update, span, site.count)
        hand_over(self, None)


class Fetch(Message):
    """The server's versions of some items on their way to a client."""

    kind = Kind.DOWNLOAD

    def __init__(self, thread: _Thread, items: Sequence[int]):
        world = thread.site.world
        super().__init__(thread, sum(world.sizes.download(item) for item in items))
        versions = thread.site.server.versions
        self.versions = {item: versions[item] for item in items}
        self._travel().callbacks.append(self._arrived)

    def _arrived(self, _: object) -> None:
        unpacking = self.thread.site.world.rules.serialization
        if unpacking:
            self.env.timeout(unpacking).callbacks.append(self._unpacked)
        else:
            self._unpacked()

    def _unpacked(self, _: object = None) -> None:
        site = self.thread.site
        site.receive(self.versions)
        self._record(max(self.versions.values()), site.world.blocks(*self.versions))
        hand_over(self, None)
