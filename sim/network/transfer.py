"""A message under way: the event that fires when it has arrived, its cancellation, and where its time went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from simpy import Environment, Event
from simpy.core import SimTime
from simpy.events import PENDING

from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network.alone import alone_and_stalled
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.timing import CLOCK_SLACK, go_on
from parasim_core.sim.network.transport import PACKET, SEGMENT, Connection

NEGLIGIBLE = 1e-9
"""Share of a transfer below which a delay by sharing is rounding."""


MOST_ROUNDING = 2.0**-20
"""Share of a transfer above which what is left of it is never rounding, however late it is."""


class AccessLink(Protocol):
    """Where the transfers of a port in one direction start."""

    env: Environment
    latency: float
    connection: Connection | None
    """What TCP makes of it."""
    trunk: Any
    """What settles its transfers; `trunk.varied` tells whether any capacity varies, or has changed so far."""

    @property
    def capacity(self) -> float:
        """Of one client's own link [B/s]."""

    def start(self, transfer: Transfer, size: float) -> None:
        """Let a transfer share from now on, with so many bytes to go on the link [B]."""

    def alone(self, capacity: float | Varying, size: float) -> float | Varying:
        """What one message of so many bytes [B] alone gets of such a link [B/s]."""

    def withdraw(self, transfer: Transfer) -> float:
        """Take out a transfer that has not arrived, and return the bytes of it that are left [B]."""

    def path(self) -> Sequence[Link]:
        """Links that a transfer crosses; first the client's own, with the capacity of one client."""


class TransferParts(NamedTuple):
    """Where the time of a transfer went.

    Attributes
    ----------
    latency : float
        Paid before it began to share [s].
    alone : float
        What its own access link alone would have taken for the bytes delivered, while no link was down [s].
    shared : float
        What sharing with others, and the links above, made it take longer [s]: exactly 0 where that is rounding.
    stalled : float
        During which a link on its path had no capacity [s].
    start_up : float
        Until it went at its full rate, beyond the latency, where TCP is modelled [s].
    limited : float
        What the rate that loss and window allow made it take longer than its own access link alone [s].
    """

    latency: float
    alone: float
    shared: float
    stalled: float
    start_up: float = 0.0
    limited: float = 0.0


class Transfer(Event):
    """A message on its way: an event that fires when the last byte has arrived, with that time [s] as its value.

    Parameters
    ----------
    access : AccessLink
        The access link on which it starts.
    size : float
        Bytes per client [B], finite and positive.

    Raises
    ------
    NetworkError
        If the size is out of range.
    """

    __slots__ = ("_began", "access", "size")

    _cut: tuple[float, float] | None = None
    # With TCP: what of it goes over the link after the start-up [B], headers included, what of that was cut off, and
    # the seconds of the start-up beyond the latency.
    load: float | None = None
    # Its size as it began [B]: what is left of `size` when it is cut off is what got through.
    _whole = 0.0
    _cut_load = 0.0
    _start_up = 0.0
    # The link that bound it when its last byte arrived, where that is noted.
    bound: Link | None = None

    def __init__(self, access: AccessLink, size: float) -> None:
        if not 0 < size < math.inf:
            raise NetworkError(f"message size is {size} B; it must be finite and positive")
        # What SimPy's own initialisation does, without the call, for speed.
        self.env = access.env
        self.callbacks = []
        self.size: float = size
        self.depart(access)

    def depart(self, access: AccessLink) -> None:
        """Begin to travel, now."""
        self.access = access
        self._began: SimTime = self.env._now
        if access.connection is not None:
            self._open(access, access.connection)
        elif access.latency:
            self.env.timeout(access.latency).callbacks.append(self._share)
        else:
            access.start(self, self.size)

    def _open(self, access: AccessLink, connection: Connection) -> None:
        """Begin as TCP does, as fast as the path lets one message go now."""
        rate = min(link.capacity_at(self._began) for link in access.path())
        seconds, load = connection.start_up(self.size, rate)
        self._whole = self.size
        self.load, self._start_up = max(load, 0.0), max(seconds - access.latency, 0.0)
        self.env.timeout(seconds).callbacks.append(self._share if load > 0 else self._through)

    def arrive(self) -> None:
        """Let whoever waits for it go on: the last byte is there."""
        go_on(self)

    def _share(self, _: Event) -> None:
        if self._cut is None:
            self.access.start(self, self.size if self.load is None else self.load)

    def _through(self, _: Event) -> None:
        """Arrive: all of it has got through during the start-up."""
        if self._cut is None:
            self.bound = self.access.path()[0]
            deliver([self], float(self.env.now))

    def cancel(self) -> float:
        """Take the transfer out of the network now; it never fires.

        Returns
        -------
        float
            Bytes per client delivered so far [B].

        Raises
        ------
        NetworkError
            If it has arrived, or was cancelled before.
        """
        if self._cut is not None or self.triggered:
            raise NetworkError("the transfer has arrived or was cancelled before; it cannot be cancelled any more")
        left = self.access.withdraw(self)
        if self.load is None:
            delivered: float = self.size - left
        else:
            # What has got through of a message that is still starting up is not known.
            self._cut_load = self.load - left
            delivered = max(self.size - left * SEGMENT / PACKET, 0.0) if self._cut_load else 0.0
        self._cut = float(self.env.now), delivered
        return delivered

    def fail(self, exception: BaseException) -> float:  # type: ignore[override]
        """Take the transfer out of the network now, and raise an exception in the process that waits for it.

        As with any event of SimPy, a failure that nobody waits for ends the run.

        Parameters
        ----------
        exception : BaseException
            What the process sees at its `yield`.

        Returns
        -------
        float
            Bytes per client delivered so far [B].

        Raises
        ------
        NetworkError
            If it has arrived, or was cancelled before.
        """
        delivered = self.cancel()
        super().fail(exception)  # type: ignore[arg-type]
        return delivered

    @property
    def delivered(self) -> float:
        """Bytes per client that arrived [B], once the transfer is over.

        Raises
        ------
        NetworkError
            If it is still under way.
        """
        return self._end()[1]

    def _end(self) -> tuple[float, float]:
        if self._cut is not None:
            return self._cut
        if not self.triggered:
            raise NetworkError("the transfer is still under way; what became of it is known when it is over")
        return float(self._value), self.size

    def is_through(self, left: float, now: float, gone: float = 0.0) -> bool:
        """Whether nothing but what rounding has left of it would have to wait as a link on its way goes down.

        Parameters
        ----------
        left : float
            Bytes of it that are left [B].
        now : float
            The time [s].
        gone : float
            Bytes [B] of others and of it from the difference of which `left` was worked out.

        Returns
        -------
        bool
            Whether that is less than what the clock's resolution at the highest rate it can have had, and that of
            these bytes, amount to.
        """
        load: float = self.size if self.load is None else self.load
        if left > MOST_ROUNDING * load:
            return False
        fastest = min(link.fastest(self._began, now) for link in self.access.path())
        return left <= CLOCK_SLACK * (now * fastest + load + gone)

    def parts(self) -> TransferParts:
        """Say where the time of a transfer that is over went.

        Returns
        -------
        TransferParts
            Seconds that add up to its duration but for rounding.

        Raises
        ------
        NetworkError
            If it is still under way.
        """
        access, began, stalled = self.access, self._began, 0.0
        latency: float = access.latency
        if self._cut is None and self._value is not PENDING:
            end, load = self._value, self.size
        else:
            end, load = self._end()
            if end - began < latency:
                return TransferParts(end - began, 0.0, 0.0, 0.0)
        if self.load is not None:
            return self._parts_with_start_up(end)
        if access.trunk.varied:
            alone, stalled = alone_and_stalled(
                access.path(), partial(access.alone, size=self.size), began + latency, end, load
            )
        else:
            alone = load / access.capacity
        shared = end - began - latency - alone - stalled
        # Times are differences of clock readings, each rounded to some 1e-16 of the clock.
        if shared <= NEGLIGIBLE * (end - began) + 1e-12 * end:
            shared = 0.0
        # Past the class's own constructor, which costs more than all the rest.
        return _NEW(TransferParts, (latency, alone, shared, stalled, 0.0, 0.0))

    def _parts_with_start_up(self, end: float) -> TransferParts:
        """Parts of a message that TCP began, which has paid its latency."""
        access, elapsed = self.access, end - self._began
        latency: float = access.latency
        start_up = min(self._start_up, elapsed - latency)
        load = self._cut_load if self._cut is not None else self.load or 0.0
        began = self._began + latency + start_up
        limit = partial(access.alone, size=self._whole)
        with_limit, stalled = alone_and_stalled(access.path(), limit, began, end, load)
        alone, _ = alone_and_stalled(access.path(), _whole, began, end, load)
        shared, limited = elapsed - latency - start_up - with_limit - stalled, with_limit - alone
        rounding = NEGLIGIBLE * elapsed + 1e-12 * end
        if limited <= rounding:
            alone, limited = with_limit, 0.0
        return TransferParts(latency, alone, shared if shared > rounding else 0.0, stalled, start_up, limited)

    def bottleneck(self) -> Link | None:
        """Link that bound it when its last byte arrived; None where that is not noted (`Network.note_bottlenecks`).

        Its own access link is the first of `access.path()`; that it is, too, where TCP let it have no more.
        """
        return self.bound


_NEW = tuple.__new__


def _whole(link: float | Varying) -> float | Varying:
    """What a message gets of its access link where nothing limits it."""
    return link


def deliver(transfers: Sequence[Transfer], now: float) -> None:
    """Let transfers arrive at the end of an instant, when nothing else is left to happen in it.

    Parameters
    ----------
    transfers : sequence of Transfer
        All count as arrived before the first process goes on.
    now : float
        The time, which is their value [s].
    """
    for transfer in transfers:
        transfer._ok = True
        transfer._value = now
    for transfer in transfers:
        transfer.arrive()
