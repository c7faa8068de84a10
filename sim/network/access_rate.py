"""What an access link of a tree can carry: capacities that vary, and TCP; see `tree.py`."""

from __future__ import annotations

import heapq
import math
import sys
from typing import Any

from parasim_core.sim.network.agenda import Entry
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.timing import AFTER
from parasim_core.sim.network.transport import Connection

FIXED_POINT = 80
"""Sums of capacities are integers in units of 2**-80 B/s: adding and subtracting them never rounds."""

UNIT = 2.0**FIXED_POINT

LARGE = 2.0**512
"""No float from here on has a fraction [B/s]."""

FAR = 1.15
"""A fair link that varies is not looked at while it can carry so many times its share, and neither changes."""


def fixed_point(value: float) -> int:
    """Return a float in units of 2**-FIXED_POINT, exactly unless it is below 2**(52 - FIXED_POINT)."""
    if value < LARGE:
        # Multiplying by a power of two does not round.
        return int(value * UNIT)
    return int(min(value, sys.float_info.max)) << FIXED_POINT


class AccessRate(Link):
    """What one direction of a port has: on which side of the link above it is, at which rate, and until when.

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
        "above", "connection", "count", "coupled", "end", "ends", "env", "fair", "flow", "key", "latency", "own",
        "plain", "share", "since", "special", "stamp", "trunk", "virtual", "wake", "weight",
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
        self.coupled: AccessRate | None = None
        # Whether its rate is more than its capacity divided by its transfers.
        self.special = connection is not None
        # What its transfers go by while nothing else can bind; then nobody needs to wake it.
        self.flow: Varying | None = None
        # When it is to be looked at again [s], -inf if it is not; and the level above which it has to be while it is
        # fair, or the highest below which it is while it is capped [B/s].
        self.wake = -math.inf
        self.key = math.inf
        # Whether nothing but its course and its share of the link above decides what it has, as long as it is in it.
        self.plain = False
        # Value of `virtual` at which its first transfer ends, while it is capped.
        self.end = math.inf
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

    def _leave(self) -> None:
        """Take it out of the link above until the end of the instant, when its rate is set anew."""
        if self.stamp >= 0:
            self.above.detach()
            self.above.take_out(self)
        self.trunk.touched[self] = None
        self.trunk.end_of_instant.request()

    def look_again(self) -> None:
        """Have its rate set anew at the end of this instant, if it carries anything."""
        if self.ends:
            self._leave()
            self.trunk.changed = True

    def path(self) -> list[Any]:
        """Links from the client to the server; see `AccessLink.path`."""
        return [self, *self.above.path()]

    def alone(self, capacity: float | Varying, size: float) -> float | Varying:
        """What one message of so many bytes [B] alone gets of such a link [B/s]."""
        return self.trunk.limits.of(capacity, self.connection, size)  # type: ignore[no-any-return]

    def tune(self) -> None:
        """Set its rate to what it is from now on."""
        now, sent = self.trunk.clock * AFTER, len(self.ends)
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
        course, own, trunk = self.course, self.own, self.trunk
        if not fair:
            self.share = self.count * fixed_point(own * len(self.ends))
            self.end = self.ends[0][0]
        self.key = own
        if course is None or self.flow is not None:
            return own
        other, now = self.coupled, trunk.clock * AFTER
        self.plain = other is None and self.connection is None
        meets = other is not None and bool(other.ends)
        standing = fair and level is None and not self.above.fair_level()
        if standing and not (meets and (_is_alive(self, now) or _is_alive(other, now))):
            # Nothing goes on above; whatever it can carry is looked at as soon as something does.
            self.key, due = 0.0, math.inf
        elif not fair or meets or self.connection is not None:
            due = course.next_change(now)
        else:
            # Any level would do. It is looked at again when it can carry less, or its share is more.
            level = self.above.fair_level() if level is None else level
            if level > 0 and own >= FAR * level:
                self.key = FAR * level
                due = course.stays_above(now, self.key * len(self.ends))
            else:
                due = course.next_change(now)
        trunk.wake_at(due, self)
        return self.key

    def moves_on(self, now: float) -> bool:
        """Go on at what it can carry from now on [s], if only what it follows and its share of the link above matter.

        It is taken to the side on which the level as it is puts it; `Branch.balance` sees to it if that moves.
        """
        if not self.plain:
            return False
        above, trunk, count = self.above, self.trunk, self.count
        level = trunk.level if above is trunk else above.fair_level()
        sent = 1 if self.weight == count else self.weight // count
        assert self.course is not None
        capacity, until = self.course.rate_until(now)
        own = capacity / sent
        if self.fair:
            return self._moves_on_fair(own, until, level)
        if above is not trunk:
            above.detach()
        clock = trunk.clock
        self.virtual = virtual = self.virtual + (clock - self.since) * self.own
        self.since = clock
        if own > level:
            self.cross(own, until, level)
            return True
        if not own and self._is_through():
            return False
        self.own = own
        share = count * fixed_point(own * sent)
        above.capped_sum += share - self.share
        self.share = share
        trunk.agenda.put(until, self)
        if own > self.key:
            self.key = own
            trunk.stamps += 1
            heapq.heappush(above.falling, (-own, self.stamp, self))
        left = self.end - virtual
        if left <= own * (until - clock) * (1 + 1e-9):
            above.note_end(self, left)
        return True

    def _moves_on_fair(self, own: float, until: float, level: float) -> bool:
        """Go on at `own` until it can carry something else [s], as it was fair at this level [B/s]; see `moves_on`."""
        above, was = self.above, self.key
        if own >= level:
            self.own = own
            if own < FAR * level:
                self.key = own
                self.trunk.agenda.put(until, self)
            else:
                self.look_ahead(fair=True)
            self._goes_on_fair(was)
            return True
        if not own:
            return False
        if above is not self.trunk:
            above.detach()
        self.cross(own, until, level)
        return True

    def cross(self, own: float, until: float, level: float) -> None:
        """Go over to the other side of the link above, as `Branch.take_out` and `Branch.put_in` would have it do.

        Parameters
        ----------
        own : float
            Rate of each of its transfers if it is capped [B/s].
        until : float
            When that is another one [s].
        level : float
            Of the link above [B/s].
        """
        above, trunk, weight = self.above, self.trunk, self.weight
        clock, agenda = trunk.clock, trunk.agenda
        trunk.stamps = stamp = self.stamp = trunk.stamps + 1
        if self.fair:
            above.fair_links -= 1
            above.weight -= weight
            self.virtual = virtual = self.virtual + (above.virtual - self.since)
            self.fair = False
            self.since = clock
            self.own = self.key = own
            # What `fixed_point` does, without the call, for speed.
            one = weight == 1 and own < LARGE
            self.share = share = int(own * UNIT) if one else self.count * fixed_point(own * len(self.ends))
            above.capped_sum += share
            self.end = end = self.ends[0][0]
            heapq.heappush(above.falling, (-own, stamp, self))
            if agenda.horizon < until < math.inf:
                self.wake = until
                agenda.far.append((until, self))
            else:
                agenda.put(until, self)
            if end - virtual <= own * (until - clock) * (1 + 1e-9):
                above.note_end(self, end - virtual)
            return
        above.capped_sum -= self.share
        if clock > self.since:
            self.virtual += (clock - self.since) * self.own
        self.fair = True
        self.own = key = own
        if 0 < FAR * level <= own:
            key = FAR * level
            assert self.course is not None
            until = self.course.stays_above(clock * AFTER, key * len(self.ends))
        self.key = key
        above.fair_links += 1
        above.weight += weight
        self.since = since = above.virtual
        heapq.heappush(above.ends, (since + (self.ends[0][0] - self.virtual), stamp, self))
        heapq.heappush(above.rising, (key, stamp, self))
        if agenda.horizon < until < math.inf:
            self.wake = until
            agenda.far.append((until, self))
        else:
            agenda.put(until, self)

    def _goes_on_fair(self, was: float) -> None:
        """Take no more and no less of the link above than before, and be looked at above what its key was [B/s]."""
        if self.key < was:
            self.above.note_lower(self.key, self)
        else:
            # That is where it stands among others.
            self.key = was

    def _is_through(self) -> bool:
        """Whether only rounding is left of the first transfer, as the link goes down."""
        due, _, transfer = self.ends[0]
        return bool(transfer.is_through(due - self.virtual, self.trunk.clock, due))

    def awake(self) -> None:
        """Take its new rate into account."""
        if not self.ends or self.course is None or self.flow is not None:
            return
        if self.coupled is not None:
            self.coupled.look_again()
        above, was = self.above, self.key
        if self.fair and self.stamp >= 0:
            self.tune()
            if self.own >= above.fair_level():
                self.look_ahead(fair=True)
                self._goes_on_fair(was)
                return
        if self.stamp >= 0:
            above.detach()
            above.take_out(self)
        self.trunk.touched[self] = None


def _is_alive(access: AccessRate | None, now: float) -> bool:
    """Whether something can get through from a link to the server at some time from now on [s]."""
    return access is not None and all(link.dead_from() > now for link in access.path())
