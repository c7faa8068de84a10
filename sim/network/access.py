"""Access links of a tree in one direction, and what they know of the links above them; see `tree.py`."""

from __future__ import annotations

import heapq
import math
import sys
from typing import Any

from parasim.core.sim.network.capacity import Varying
from parasim.core.sim.network.link import Link
from parasim.core.sim.network.timing import CLOCK_SLACK
from parasim.core.sim.network.transfer import Transfer
from parasim.core.sim.network.transport import Connection

FIXED_POINT = 80
"""Sums of capacities are integers in units of 2**-80 B/s: adding and subtracting them never rounds."""

UNIT = 2.0**FIXED_POINT

LARGE = 2.0**512
"""No float from here on has a fraction [B/s]."""

FAR = 1.25
"""A fair link that varies is not looked at while it can carry so many times its share, and neither changes."""


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
    if value < LARGE:
        # Multiplying by a power of two does not round.
        return int(value * UNIT)
    return int(min(value, sys.float_info.max)) << FIXED_POINT


class Access(Link):
    """One direction of a port: an access link with the transfers on it.

    Parameters
    ----------
    capacity : float or Varying
        Of each client's link [B/s], `inf` for unlimited.
    count : int
        Number of identical clients that it stands for.
    latency : float
        Paid by a transfer before it starts [s].
    above : Branch
        The link that it shares with others.
    connection : Connection, optional
        What TCP makes of it.
    """

    __slots__ = (
        "above", "connection", "count", "coupled", "ends", "env", "fair", "flow", "key", "latency", "own",
        "share", "since", "special", "stamp", "trunk", "virtual", "wake", "weight",
    )  # fmt: skip

    def __init__(
        self,
        capacity: float | Varying,
        count: int,
        latency: float,
        above: Any,
        connection: Connection | None = None,
        name: str = "",
    ) -> None:
        # What `Link` does, without the call, for speed.
        self.name = name
        self.course = None
        self.changes = ()
        self.count = count
        self.latency = latency
        self.above = above
        self.trunk: Any = above.trunk
        self.env = above.trunk.env
        self.connection = connection
        # The other direction of the port, if TCP makes one depend on the other.
        self.coupled: Access | None = None
        # Whether its rate is more than its capacity divided by its transfers.
        self.special = connection is not None
        # What its transfers go by while nothing else can bind; then nobody needs to wake it.
        self.flow: Varying | None = None
        # When it is to be looked at again [s], -inf if it is not; and the level above which it has to be while it is
        # fair, or the highest below which it is while it is capped [B/s].
        self.wake = -math.inf
        self.key = math.inf
        if isinstance(capacity, Varying):
            self.capacity, self.course, self.special = capacity.rate(self.env.now), capacity, True
            self.trunk.varied = True
            above.add_peak(count * capacity.peak)
        else:
            self.capacity = float(capacity)
            above.add_peak(count * self.capacity)
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

    def start(self, transfer: Transfer, size: float) -> None:
        """Let a transfer share from now on; see `AccessLink.start`."""
        if self.coupled is not None and not self.ends:
            self._meet(self.coupled, 1)
        self._leave()
        self.trunk.stamps += 1
        heapq.heappush(self.ends, (self.virtual + size, self.trunk.stamps, transfer))

    def _leave(self) -> None:
        """Take it out of the link above until the end of the instant, when its rate is set anew."""
        if self.stamp >= 0:
            self.above.detach()
            self.above.take_out(self)
        self.trunk.touched[self] = None
        self.trunk.end_of_instant.request()

    def withdraw(self, transfer: Transfer) -> float:
        """Take out a transfer, and return the bytes of it that are left [B]; see `AccessLink.withdraw`."""
        load: float = transfer.size if transfer.load is None else transfer.load
        entry = next((entry for entry in self.ends if entry[2] is transfer), None)
        if entry is None:
            return load
        self._leave()
        left: float = entry[0] - self.virtual
        self.ends.remove(entry)
        heapq.heapify(self.ends)
        if not self.ends:
            self._become_idle()
        return min(max(left, 0.0), load)

    def _become_idle(self) -> None:
        self.virtual = 0.0
        if self.coupled is not None:
            self._meet(self.coupled, -1)

    def _meet(self, other: Access, more: int) -> None:
        """Tell the other direction that this one begins to carry something, or ends to."""
        if other.ends:
            self.trunk.meetings += more
            other.trunk.meetings += more
            other.look_again()

    def set_capacity(self, capacity: float | Varying) -> None:
        """Change the capacity [B/s] from now on."""
        self.look_again()
        self.change(self.env.now, capacity)
        # What it had before is not taken back: links above may then be taken for binding though they are not.
        self.above.add_peak(self.count * (capacity.peak if isinstance(capacity, Varying) else capacity))
        self.trunk.varied = True
        self.wake = -math.inf
        self.special = self.connection is not None or self.course is not None
        self.flow = None
        self.share = self.count * fixed_point(self.capacity)
        if self.coupled is not None:
            self.coupled.look_again()

    def withdraw_peak(self) -> None:
        """Have the links above know that nothing will come from here any more."""
        peak = self.course.peak if self.course is not None else self.capacity
        if peak < math.inf:
            self.above.add_peak(-self.count * peak)

    def path(self) -> list[Any]:
        """Links from the client to the server; see `AccessLink.path`."""
        return [self, *self.above.path()]

    def alone(self, capacity: float | Varying, size: float) -> float | Varying:
        """What one message of so many bytes [B] alone gets of such a link [B/s]."""
        return self.trunk.limits.of(capacity, self.connection, size)  # type: ignore[no-any-return]

    def look_again(self) -> None:
        """Have its rate set anew at the end of this instant, if it carries anything."""
        if self.ends:
            self._leave()
            self.trunk.changed = True

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
        if trunk.notes:
            self._note_bottleneck()
        ends = self.ends
        if len(ends) == 1:
            trunk.arrived.append(ends.pop()[2])
            self._become_idle()
            return
        if self.flow is not None and not self.fair:
            rate = self.flow.rate(trunk.clock)
        reached = max(self.virtual, ends[0][0])
        # Infinite rates are allowed, and zero times infinity is not a number.
        due = reached + slack * rate if slack else reached
        while ends and ends[0][0] <= due:
            trunk.arrived.append(heapq.heappop(ends)[2])
        if ends:
            self.virtual = reached
            trunk.touched[self] = None
        else:
            self._become_idle()

    def finish_rounded(self) -> None:
        """End all transfers of which only rounding is left, as this link or one above it goes down."""
        above, clock, got = self.above, self.trunk.clock, self.virtual
        if self.stamp >= 0:
            if self.fair:
                got += above.bytes_so_far() - self.since
            elif clock > self.since:
                got += (clock - self.since) * self.own if self.flow is None else self.flow.delivered(self.since, clock)
        while self.ends:
            due, _, transfer = self.ends[0]
            if not transfer.is_through(due - got, clock, due + sum(branch.virtual for branch in above.path())):
                return
            self.finish(0.0, 0.0)

    def _note_bottleneck(self) -> None:
        """Note which link has bound the transfers here until now."""
        link: Any = self
        while link.fair and link is not self.trunk:
            link = link.above
        for entry in self.ends:
            entry[2].bound = link

    # What follows is for links whose capacity varies, or before which TCP stands.

    def tune(self) -> None:
        """Set its rate to what it is from now on."""
        now, sent = self.trunk.clock * (1 + CLOCK_SLACK), len(self.ends)
        if self.course is not None:
            self.capacity = self.course.rate(now)
        capacity, other = self.capacity, self.coupled
        own = capacity / sent
        if other is None and not self.above.free:
            self.own, self.flow = own, None
            return
        # Several at once go like long ones.
        size = self.ends[0][2].size if sent == 1 else math.inf
        meets = other is not None and bool(other.ends)
        if self.connection is not None:
            if other is not None and other.ends:
                there = other.capacity if other.course is None else other.course.rate(now)
                capacity = self.connection.beside(capacity, there)
            own = min(capacity / sent, self.connection.limit(capacity, size))
        self.own = own
        self.flow = None
        # With TCP, only what one message alone gets is known for all times.
        if self.course is not None and self.above.free and not meets and (self.connection is None or sent == 1):
            alone = self.alone(self.course, size)
            assert isinstance(alone, Varying)
            self.flow = alone if sent == 1 else alone.scaled(1 / sent)

    def look_ahead(self, fair: bool, level: float | None = None) -> float:
        """See to it that it is looked at again when its rate matters again.

        Parameters
        ----------
        fair : bool
            Whether it is going to be fair.
        level : float, optional
            Where it has changed sides, and levels are still being looked for, the one there [B/s].

        Returns
        -------
        float
            Level above which it has to be looked at while it is fair [B/s], at most its own rate; its own rate while
            it is capped.
        """
        trunk, course, now = self.trunk, self.course, self.trunk.clock * (1 + CLOCK_SLACK)
        if not fair:
            self.share = self.count * fixed_point(self.own * len(self.ends))
        self.key = self.own
        if course is None or self.flow is not None:
            return self.own
        other = self.coupled
        meets = other is not None and bool(other.ends)
        standing = fair and level is None and not self.above.fair_level()
        if standing and not (meets and (_is_alive(self, now) or _is_alive(other, now))):
            # Nothing goes on above; whatever it can carry is looked at as soon as something does.
            self.key, due = 0.0, math.inf
        elif not fair or meets or self.connection is not None:
            due = course.next_change(now)
        else:
            # Any level would do. It is looked at again when it can carry less, or its share is more.
            level = max(self.above.fair_level() if level is None else level, 0.0)
            self.key = min(self.own, (self.own + level) / 2, FAR * level or self.own)
            due = course.stays_above(now, self.key * len(self.ends))
        trunk.wake_at(due, self)
        return self.key

    def moves_on(self, now: float) -> bool:
        """Go on at what it can carry from now on [s], if it is capped by what it follows, and nothing else matters.

        It stays on its side, and in the heaps, for now: if it is on the wrong one by then, `Branch.balance` sees to it.
        """
        if self.fair or self.stamp < 0 or self.flow is not None or self.coupled is not None:
            return False
        above, trunk, sent, was = self.above, self.trunk, len(self.ends), self.own
        if above is not trunk:
            above.detach()
        clock = trunk.clock
        self.virtual += (clock - self.since) * was
        self.since = clock
        assert self.course is not None
        self.capacity, until = self.course.rate_until(now)
        if not self.capacity and self.ends[0][2].is_through(self.ends[0][0] - self.virtual, clock, self.ends[0][0]):
            return False
        self.own = own = self.capacity / sent if sent > 1 else self.capacity
        share = self.count * fixed_point(own * sent)
        above.capped_sum += share - self.share
        self.share = share
        self.wake = until
        if own > self.key:
            self.key = own
            trunk.stamps += 1
            heapq.heappush(above.falling, (-own, self.stamp, self))
        left = self.ends[0][0] - self.virtual
        if left <= own * (until - clock) * (1 + 1e-9):
            above.note_end(self, left)
        return True

    def awake(self) -> None:
        """Take its new rate into account."""
        if not self.ends or self.course is None or self.flow is not None:
            return
        if self.coupled is not None:
            self.coupled.look_again()
        above = self.above
        if self.fair and self.stamp >= 0:
            was = self.key
            self.tune()
            if self.own >= above.fair_level():
                # It takes no more and no less of the link above than before.
                key = self.look_ahead(fair=True)
                if key < was:
                    above.note_lower(key, self)
                self.key = min(key, was)
                return
            above.detach()
            if not self.own:
                self.finish_rounded()
            if self.stamp >= 0:
                above.take_out(self)
                above.put_in(self, fair=False)
            return
        if self.stamp >= 0:
            above.detach()
            above.take_out(self)
        self.trunk.touched[self] = None


def couple(up: Access, down: Access) -> None:
    """Let each direction of a port with TCP know when the other one carries anything."""
    up.coupled, down.coupled = down, up


def _is_alive(access: Access | None, now: float) -> bool:
    """Whether something can get through from a link to the server at some time from now on [s]."""
    return access is not None and all(link.dead_from() > now for link in access.path())
