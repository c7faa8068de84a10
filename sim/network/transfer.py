"""A message under way: the event that fires when it has arrived, its cancellation, and where its time went."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from simpy import Environment, Event
from simpy.core import SimTime
from simpy.events import PENDING

from sim.errors import NetworkError
from sim.network.timing import go_on

NEGLIGIBLE = 1e-9
"""Share of a transfer below which a delay by sharing is rounding."""


class Link:
    """One direction of a link: what it can carry now, and what it could before.

    Parameters
    ----------
    capacity : float
        [B/s], positive, `inf` for unlimited.
    """

    __slots__ = ("capacity", "changes")

    def __init__(self, capacity: float) -> None:
        self.capacity = float(capacity)
        # Times [s] and the capacities from then on, all that there were; nothing of a link that never changes.
        self.changes: list[tuple[float, float]] | tuple[()] = ()

    def change(self, now: float, capacity: float) -> None:
        """Note a new capacity [B/s] from `now` [s] on."""
        self.changes = self.changes or [(-math.inf, self.capacity)]
        self.changes.append((now, capacity))
        self.capacity = capacity

    def capacity_at(self, time: float) -> float:
        """Capacity at a time that is not in the future, after the changes of that instant [B/s]."""
        if not self.changes:
            return self.capacity
        return self.changes[bisect_right(self.changes, (time, math.inf)) - 1][1]


class AccessLink(Protocol):
    """Where the transfers of a port in one direction start."""

    env: Environment
    latency: float
    trunk: Any
    """What settles its transfers; `trunk.varied` tells whether any capacity has changed so far."""

    @property
    def capacity(self) -> float:
        """Of one client's own link [B/s]."""

    def start(self, transfer: Transfer) -> None:
        """Let a transfer share from now on."""

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
    """

    latency: float
    alone: float
    shared: float
    stalled: float


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
        if access.latency:
            self.env.timeout(access.latency).callbacks.append(self._share)
        else:
            access.start(self)

    def arrive(self) -> None:
        """Let whoever waits for it go on: the last byte is there."""
        go_on(self)

    def _share(self, _: Event) -> None:
        if self._cut is None:
            self.access.start(self)

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
        delivered = self.size - self.access.withdraw(self)
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
            end, delivered = self._value, self.size
        else:
            end, delivered = self._end()
            if end - began < latency:
                return TransferParts(end - began, 0.0, 0.0, 0.0)
        if access.trunk.varied:
            alone, stalled = _replay(access.path(), began + latency, end, delivered)
        else:
            alone = delivered / access.capacity
        shared = end - began - latency - alone - stalled
        # Times are differences of clock readings, each rounded to some 1e-16 of the clock.
        if shared <= NEGLIGIBLE * (end - began) + 1e-12 * end:
            shared = 0.0
        # Past the class's own constructor, which costs more than all the rest.
        return _NEW(TransferParts, (latency, alone, shared, stalled))


_NEW = tuple.__new__


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


def _replay(path: Sequence[Link], start: float, end: float, size: float) -> tuple[float, float]:
    """Send `size` bytes over the first link alone, while none is down; return the seconds it sends and is down."""
    times = {start, end}
    for link in path:
        for time, _ in reversed(link.changes):
            if time <= start:
                break
            if time < end:
                times.add(time)
    moments = sorted(times)
    sending, stalled, left = [], [], size
    for time, later in pairwise(moments):
        if not all(link.capacity_at(time) for link in path):
            stalled.append(later - time)
        elif left:
            capacity = path[0].capacity_at(time)
            most = capacity * (later - time)
            sending.append(later - time if most < left else left / capacity)
            left = left - most if most < left else 0.0
    return math.fsum(sending), math.fsum(stalled)
