"""The links of a tree in one direction, each with its level and virtual time; `tree.py` says what they are."""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Sequence
from typing import Any

from simpy import Environment

from sim.network.timing import CLOCK_SLACK, Alarm, EndOfInstant, hand_over
from sim.network.transfer import AccessLink, Link, Transfer

FIXED_POINT = 80
"""Sums of capacities are integers in units of 2**-80 B/s: adding and subtracting them never rounds."""


class _Nobody:
    """Stands at the end of every heap, so that there is always a valid entry to look at."""

    stamp = math.inf


_Entry = tuple[float, float, Any]
_LAST: _Entry = (math.inf, math.inf, _Nobody())


def _first(heap: list[_Entry]) -> _Entry:
    """Return the first valid entry of a heap, dropping void ones before it.

    Entries are (key, stamp, link); one whose stamp is no longer the link's is void. The callers of every event
    look at the first entry themselves: most of the time it is valid.
    """
    entry = heap[0]
    while entry[2].stamp != entry[1]:
        heapq.heappop(heap)
        entry = heap[0]
    return entry


def _fixed_point(value: float) -> int:
    """Return a float in units of 2**-FIXED_POINT, exactly unless it is below 2**(52 - FIXED_POINT)."""
    numerator, denominator = min(value, sys.float_info.max).as_integer_ratio()
    return (numerator << FIXED_POINT) // denominator


class Access(Link, AccessLink):
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
        "above", "cap", "count", "ends", "env", "fair", "latency", "share", "since", "stamp", "trunk", "virtual", "weight",
    )  # fmt: skip

    def __init__(self, capacity: float, count: int, latency: float, above: Branch) -> None:
        super().__init__(capacity)
        self.count = count
        self.latency = latency
        self.above = above
        self.trunk = above.trunk
        self.env = above.trunk.env
        # What it takes of the link above when capped; the most that each of its transfers can get [B/s].
        self.share = count * _fixed_point(self.capacity)
        self.cap = self.capacity
        # Clients times transfers: what it takes of the link above for every B/s of the level when fair.
        self.weight = 0
        # Heap of (value of `virtual` at which it ends, tie-breaker, transfer).
        self.ends: list[_Entry] = []
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
        trunk = self.trunk
        trunk.stamps += 1
        heapq.heappush(self.ends, (self.virtual + transfer.size, trunk.stamps, transfer))

    def _leave(self) -> None:
        """Take it out of the link above until the end of the instant, when its rate is set anew."""
        if self.stamp >= 0:
            self.above.lift()
            self.above.take_out(self)
        self.trunk.touched[self] = None
        self.trunk.end_of_instant.request()

    def withdraw(self, transfer: Transfer) -> float:
        """Take out a transfer, and return the bytes of it that are left [B]; see `AccessLink.withdraw`."""
        for entry in self.ends:
            if entry[2] is transfer:
                break
        else:
            return transfer.size
        self._leave()
        left: float = entry[0] - self.virtual
        self.ends.remove(entry)
        heapq.heapify(self.ends)
        if not self.ends:
            self.virtual = 0.0
        return min(max(left, 0.0), transfer.size)

    def set_capacity(self, capacity: float) -> None:
        """Change the capacity [B/s] from now on."""
        if self.ends:
            self._leave()
            self.trunk.changed = True
            self.finish_due()
        self.change(self.env.now, capacity)
        self.share = self.count * _fixed_point(capacity)

    def path(self) -> Sequence[Link]:
        """Links from the client to the server; see `AccessLink.path`."""
        links: list[Link] = [self]
        above: Branch | None = self.above
        while above is not None:
            links.append(above)
            above = above.above
        return links

    def finish_due(self) -> None:
        """End what is due now, before rates change, on a link that has been taken out."""
        slack = self.trunk.clock * CLOCK_SLACK
        rate = self.above.rate() if self.fair else self.cap
        if self.virtual and self.ends and self.ends[0][0] <= self.virtual + (slack * rate if slack else 0.0):
            self.finish(slack, rate)

    def finish(self, slack: float, rate: float) -> None:
        """End the first transfer, and others that are within `slack` [s] of it at `rate` [B/s]."""
        above, trunk = self.above, self.trunk
        if self.stamp >= 0:
            if above is not trunk:
                above.lift()
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


class Branch(Link):
    """One direction of a shared link, with the links below it.

    Parameters
    ----------
    capacity : float
        [B/s], `inf` for unlimited.
    above : Branch
        The link that it shares with others.
    """

    above: Branch | None
    trunk: Trunk

    def __init__(self, capacity: float, above: Branch | None) -> None:
        super().__init__(capacity)
        self.above = above
        if above is not None:
            self.trunk = above.trunk
        self.trunk.branches.append(self)
        self.room = _fixed_point(self.capacity)
        # The fair links below, by the virtual time at which something ends; all links below, by the level above
        # which something in them has to change from fair to capped, and below which, negated, from capped to fair.
        self.ends: list[_Entry] = [_LAST]
        self.rising: list[_Entry] = [_LAST]
        self.falling: list[_Entry] = [_LAST]
        # What the links below take of it: a fixed sum, and `weight` times the level; how many are fair.
        self.taken = 0
        self.weight = 0
        self.links = 0
        # Virtual time, up to when it joined the link above, and what rounding has kept out of it [B].
        self.virtual = 0.0
        self.carry = 0.0
        # The rate of the fair links below, and what it would be without the links above [B/s].
        self.level = math.inf
        self.own = math.inf
        self.fair = False
        self.since = 0.0
        self.stamp: float = -1

    def advance(self, step: float) -> None:
        """Let virtual time pass [B]."""
        # Kahan's summation: without the carry, rounding would grow with the number of events.
        step += self.carry
        virtual = self.virtual + step
        self.carry = step - (virtual - self.virtual)
        self.virtual = virtual

    def rate(self) -> float:
        """Rate of the fair links below up to now [B/s]."""
        return self.above.rate() if self.above is not None and self.fair else self.own

    def put_in(self, access: Access, fair: bool) -> None:
        """Add an access link with transfers on one of the sides, from now on."""
        trunk = self.trunk
        trunk.stamps = stamp = access.stamp = trunk.stamps + 1
        access.fair = fair
        left = access.ends[0][0] - access.virtual
        cap = access.cap
        if fair:
            self.links += 1
            self.weight += access.weight
            access.since = self.virtual
            heapq.heappush(self.ends, (self.virtual + left, stamp, access))
            heapq.heappush(self.rising, (cap, stamp, access))
        else:
            self.taken += access.share
            access.since = clock = trunk.clock
            heapq.heappush(trunk.due, (clock + left / cap if cap else math.inf, stamp, access))
            heapq.heappush(self.falling, (-cap, stamp, access))

    def take_out(self, access: Access) -> None:
        """Take an access link out, and note what it has delivered."""
        if access.fair:
            self.links -= 1
            self.weight -= access.weight
            access.virtual += self.virtual - access.since
        else:
            self.taken -= access.share
            # At an infinite rate no time passes, and zero times infinity is not a number.
            if (clock := self.trunk.clock) > access.since:
                access.virtual += (clock - access.since) * access.cap
        access.stamp = -1

    def join(self) -> None:
        """Put this link with what is below it into the link above, from now on."""
        above, trunk = self.above, self.trunk
        trunk.stamps = stamp = self.stamp = trunk.stamps + 1
        lowest = -_first(self.falling)[0]
        left = _first(self.ends)[0] - self.virtual
        if self.fair:
            above.links += 1
            above.weight += self.weight
            above.taken += self.taken
            self.since = above.virtual
            heapq.heappush(above.ends, (above.virtual + left, stamp, self))
            heapq.heappush(above.rising, (min(self.own, _first(self.rising)[0]), stamp, self))
        else:
            self.since = trunk.clock
            if self.weight:
                lowest = self.own
                heapq.heappush(trunk.due, (trunk.clock + left / self.own if self.own else math.inf, stamp, self))
            self.share = self.room if self.weight else self.taken
            above.taken += self.share
        if lowest >= 0:
            heapq.heappush(above.falling, (-lowest, stamp, self))

    def leave(self) -> None:
        """Take this link out of the link above, and bring its virtual time up to now."""
        above = self.above
        if self.fair:
            above.links -= 1
            above.weight -= self.weight
            above.taken -= self.taken
            self.advance(above.virtual - self.since)
        else:
            above.taken -= self.share
            if self.weight:
                self.advance((self.trunk.clock - self.since) * self.own)
        self.stamp = -1

    def lift(self) -> None:
        """Take this link and all above it out of the next one, until the end of the instant."""
        if self not in self.trunk.lifted:
            self.above.lift()
            if self.stamp >= 0:
                self.leave()
            self.trunk.lifted[self] = None

    def set_capacity(self, capacity: float) -> None:
        """Change the capacity [B/s] from now on."""
        self.lift()
        self.trunk.changed = True
        self.trunk.end_of_instant.request()
        self.change(self.trunk.env.now, capacity)
        self.room = _fixed_point(capacity)

    def finish(self, slack: float, rate: float) -> None:
        """End what is due first, and others within `slack` [s] of it at `rate` [B/s]."""
        self.lift()
        self.virtual, self.carry = max((self.virtual, self.carry), (_first(self.ends)[0], 0.0))
        reached = self.virtual + slack * rate
        while (entry := _first(self.ends))[0] <= reached:
            entry[2].finish(slack, rate)

    def finish_due(self) -> None:
        """End what is due now, before rates change, on a link that has been taken out."""
        if self.weight:
            slack, rate = self.trunk.clock * CLOCK_SLACK, self.rate()
            if _first(self.ends)[0] <= self.virtual + slack * rate:
                self.finish(slack, rate)

    def balance(self, limit: float) -> None:
        """Let links below change sides until all are on the right one, with a level of at most `limit` [B/s].

        Every change at a level of its own raises that level, so this ends: what a link below takes is a concave
        function of the level, each side is a line above it, and each change goes to the lower line (Newton's
        method). Sums are exact and the quotient is correctly rounded, hence monotone: when the rounded values are
        in strict order, so are the exact ones, and equal values cannot go back and forth.
        """
        rising, falling = self.rising, self.falling
        unlimited = math.isinf(self.capacity)
        while True:
            spare = self.room - self.taken
            if unlimited:
                own = math.inf
            elif self.weight:
                own = spare / (self.weight << FIXED_POINT)
            else:
                own = math.inf if spare >= 0 else -math.inf
            level = own if own < limit else limit
            entry = rising[0]
            if entry[2].stamp != entry[1]:
                entry = _first(rising)
            bound = level
            if not (entry[0] < level or (level == math.inf and self.weight)):
                entry = falling[0]
                if entry[2].stamp != entry[1]:
                    entry = _first(falling)
                if -entry[0] <= level:
                    break
                # Until all is on the right side, the level can be far too low: go there in steps.
                bound = max(level, min(-entry[0], sys.float_info.max) / 2)
            link = entry[2]
            if link.__class__ is Access:
                self.take_out(link)
                self.put_in(link, not link.fair)
            else:
                link.leave()
                link.balance(bound)
                link.join()
        self.level, self.own = level, own
        self.fair = self.weight > 0 and own >= limit


class Trunk(Branch):
    """One direction of the server's link, which moves all others along.

    Parameters
    ----------
    env : Environment
        The clock.
    capacity : float
        [B/s], `inf` for unlimited.
    """

    def __init__(self, env: Environment, capacity: float) -> None:
        self.env = env
        self.trunk = self
        self.branches: list[Branch] = []
        super().__init__(capacity, None)
        self.clock: float = env.now
        # The capped links of the whole tree, by the time [s] at which something ends.
        self.due: list[_Entry] = [_LAST]
        self.arrived: list[Transfer] = []
        self.touched: dict[Access, None] = {}
        # Links above come before those below.
        self.lifted: dict[Branch, None] = {}
        self.changed = False
        self.stamps = 0
        self._next_end = math.inf
        self._next_fair = math.inf, _LAST
        self._next_drop = 0
        self._alarm = Alarm(env, self._settle)
        self.end_of_instant = EndOfInstant(env, self._settle)

    def lift(self) -> None:
        """Bring the virtual time up to now."""
        now: float = self.env.now
        if now > self.clock:
            if self.links:
                self.advance(self.level * (now - self.clock))
            self.clock = now

    def rate(self) -> float:
        """Rate of the fair links below up to now [B/s]."""
        return self.level

    def _settle(self) -> None:
        """Take the starts, ends and changes of this instant into account, and set the alarm for the next end."""
        self.lift()
        if self._next_end <= self.clock * (1 + CLOCK_SLACK):
            self._finish_next()
        if self.changed:
            self.changed = False
            for link in [*self.touched, *self.lifted]:
                link.finish_due()
        self._put_in_touched()
        for branch in reversed(self.lifted):
            branch.balance(branch.above.level)
            if branch.weight or branch.falling[0] is not _LAST:
                branch.join()
        self.lifted.clear()
        if self.weight or self.capacity < math.inf:
            self.balance(math.inf)
        if self.stamps > self._next_drop:
            self._drop_void()
        self._set_alarm()
        if self.arrived:
            arrived, self.arrived = self.arrived, []
            hand_over(arrived, self.clock)

    def _finish_next(self) -> None:
        """End the transfers whose last byte arrives now."""
        slack = self.clock * CLOCK_SLACK
        due, (target, stamp, link) = self._next_fair
        # The alarm was set for this virtual time: rounding must not leave it a hair short for ever.
        if due <= self.clock + slack and link.stamp == stamp and self.virtual < target:
            self.virtual, self.carry = target, 0.0
        while (entry := _first(self.due))[0] <= self.clock + slack:
            link = entry[2]
            link.finish(slack, link.cap if link.__class__ is Access else link.own)
        if self.links:
            reached = self.virtual + slack * self.level
            while (entry := _first(self.ends))[0] <= reached:
                entry[2].finish(slack, self.level)

    def _put_in_touched(self) -> None:
        """Put the access links on which transfers started or ended back on the likely side."""
        if not self.links:
            self.virtual = self.carry = 0.0
        for access in self.touched:
            above = access.above
            if above is not self:
                above.lift()
                if not above.links:
                    above.virtual = above.carry = 0.0
            if access.ends:
                access.cap = access.capacity / len(access.ends)
                access.weight = access.count * len(access.ends)
                above.put_in(access, not (access.cap < above.level or above.capacity == math.inf))
        self.touched.clear()

    def _drop_void(self) -> None:
        """Drop all void entries, once in about as many as there are valid ones, which costs O(1) for each."""
        self._next_drop = self.stamps + 4000
        for heap in [self.due, *(heap for link in self.branches for heap in (link.ends, link.rising, link.falling))]:
            heap[:] = [entry for entry in heap if entry[2].stamp == entry[1]]
            heapq.heapify(heap)
            self._next_drop += len(heap)

    def _set_alarm(self) -> None:
        entry, fair = self.due[0], self.ends[0]
        if entry[2].stamp != entry[1]:
            entry = _first(self.due)
        if fair[2].stamp != fair[1]:
            fair = _first(self.ends)
        fair_due = math.inf
        if self.links and self.level:
            fair_due = self.clock + (fair[0] - self.virtual) / self.level
        self._next_fair = fair_due, fair
        self._next_end = min(fair_due, entry[0])
        self._alarm.set(self._next_end)
