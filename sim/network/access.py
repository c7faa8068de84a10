"""Access links of a tree in one direction, and what they know of the links above them; see `tree.py`."""

from __future__ import annotations

import heapq
import math
import sys
from typing import Any

from sim.network.timing import CLOCK_SLACK
from sim.network.transfer import Link, Transfer

FIXED_POINT = 80
"""Sums of capacities are integers in units of 2**-80 B/s: adding and subtracting them never rounds."""


class _Nobody:
    """Stands at the end of every heap, so that there is always a valid entry to look at."""

    stamp = math.inf


Entry = tuple[float, float, Any]
LAST_ENTRY: Entry = (math.inf, math.inf, _Nobody())


def first(heap: list[Entry]) -> Entry:
    """Return the first valid entry of a heap, dropping void ones before it.

    Entries are (key, stamp, link); one whose stamp is no longer the link's is void. The callers of every event
    look at the first entry themselves: most of the time it is valid.
    """
    entry = heap[0]
    while entry[2].stamp != entry[1]:
        heapq.heappop(heap)
        entry = heap[0]
    return entry


def fixed_point(value: float) -> int:
    """Return a float in units of 2**-FIXED_POINT, exactly unless it is below 2**(52 - FIXED_POINT)."""
    numerator, denominator = min(value, sys.float_info.max).as_integer_ratio()
    return (numerator << FIXED_POINT) // denominator


class Access(Link):
    """One direction of a port: an access link with the transfers on it.

    Parameters
    ----------
    capacity : float
        Of each client's link [B/s], `inf` for unlimited.
    count : int
        Number of identical clients that it stands for.
    latency : float
        Paid by a transfer before it starts [s].
    above : Branch
        The link that it shares with others.
    """

    __slots__ = (
        "above", "count", "ends", "env", "fair", "latency", "own", "share", "since", "stamp", "trunk", "virtual",
        "weight",
    )  # fmt: skip

    def __init__(self, capacity: float, count: int, latency: float, above: Any) -> None:
        # What `Link` does, without the call, for speed.
        self.capacity = float(capacity)
        self.changes = ()
        self.count = count
        self.latency = latency
        self.above = above
        self.trunk: Any = above.trunk
        self.env = above.trunk.env
        # What it takes of the link above when capped; the most that each of its transfers can get [B/s].
        self.share = count * fixed_point(self.capacity)
        self.own = self.capacity
        # Clients times transfers: what it takes of the link above for every B/s of the level when fair.
        self.weight = 0
        # Heap of (value of `virtual` at which it ends, tie-breaker, transfer).
        self.ends: list[Entry] = []
        # Bytes that every transfer has got since the link was last idle, up to when it joined the link above.
        self.virtual = 0.0
        # When it joined: clock [s] if capped, virtual time of the link above [B] if fair.
        self.since = 0.0
        self.fair = False
        # Of its entries in heaps; -1 while it is out of the link above.
        self.stamp: float = -1

    def start(self, transfer: Transfer) -> None:
        """Let a transfer share from now on; see `AccessLink.start`."""
        self._leave()
        self.trunk.stamps += 1
        heapq.heappush(self.ends, (self.virtual + transfer.size, self.trunk.stamps, transfer))

    def _leave(self) -> None:
        """Take it out of the link above until the end of the instant, when its rate is set anew."""
        if self.stamp >= 0:
            self.above.detach()
            self.above.take_out(self)
        self.trunk.touched[self] = None
        self.trunk.end_of_instant.request()

    def withdraw(self, transfer: Transfer) -> float:
        """Take out a transfer, and return the bytes of it that are left [B]; see `AccessLink.withdraw`."""
        entry = next((entry for entry in self.ends if entry[2] is transfer), None)
        if entry is None:
            return transfer.size
        self._leave()
        left: float = entry[0] - self.virtual
        self.ends.remove(entry)
        heapq.heapify(self.ends)
        if not self.ends:
            self.virtual = 0.0
        remaining: float = min(max(left, 0.0), transfer.size)
        return remaining

    def set_capacity(self, capacity: float) -> None:
        """Change the capacity [B/s] from now on."""
        if self.ends:
            self._leave()
            self.trunk.changed = True
        self.change(self.env.now, capacity)
        self.trunk.varied = True
        self.share = self.count * fixed_point(capacity)

    def path(self) -> list[Any]:
        """Links from the client to the server; see `AccessLink.path`."""
        return [self, *self.above.path()]

    def finish_due(self) -> None:
        """End what is due now, before rates change, on a link that has been taken out."""
        slack = self.trunk.clock * CLOCK_SLACK
        rate = self.above.rate() if self.fair else self.own
        if self.virtual and self.ends and self.ends[0][0] <= self.virtual + (slack * rate if slack else 0.0):
            self.finish(slack, rate)

    def finish(self, slack: float, rate: float) -> None:
        """End the first transfer, and others that are within `slack` [s] of it at `rate` [B/s]."""
        above, trunk = self.above, self.trunk
        if self.stamp >= 0:
            above.detach()
            above.take_out(self)
        ends = self.ends
        if len(ends) == 1:
            trunk.arrived.append(ends.pop()[2])
            self.virtual = 0.0
            return
        reached = max(self.virtual, ends[0][0])
        # Infinite rates are allowed, and zero times infinity is not a number.
        due = reached + slack * rate if slack else reached
        while ends and ends[0][0] <= due:
            trunk.arrived.append(heapq.heappop(ends)[2])
        if ends:
            self.virtual = reached
            trunk.touched[self] = None
        else:
            self.virtual = 0.0
