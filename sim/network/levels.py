"""Shared links of a tree in one direction, each with its level and virtual time; see `tree.py`."""

from __future__ import annotations

import heapq
import math
import sys
from typing import Any

from parasim_core.sim.network.access import Access
from parasim_core.sim.network.access_rate import FIXED_POINT, fixed_point
from parasim_core.sim.network.agenda import LAST_ENTRY, Entry, first
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.timing import AFTER, CLOCK_SLACK


class Branch(Link):
    """One direction of a shared link, with the links below it.

    Parameters
    ----------
    capacity : float or Varying
        [B/s], `inf` for unlimited.
    above : Branch
        The link that it shares with others.
    """

    __slots__ = (
        "above", "capped_sum", "carry", "ends", "exact_capacity", "fair", "fair_links", "falling", "free", "level",
        "own", "peaks", "rising", "share", "since", "stamp", "trunk", "unlimited", "virtual", "wake", "weight",
    )  # fmt: skip

    plain = False
    """Whether it goes on by itself when its capacity changes; see `AccessRate`."""

    def __init__(self, capacity: float | Varying, above: Branch, name: str = "") -> None:
        super().__init__(capacity, name)
        self.above = above
        self.trunk: Any = above.trunk
        self.trunk.branches.append(self)
        self.exact_capacity = fixed_point(self.capacity)
        self.unlimited = math.isinf(self.capacity)
        # What all clients below have at most together [B/s]; whether neither it nor any link above can ever bind.
        self.peaks = 0.0
        self.free: bool = self.never_binds() and (above is self or above.free)
        # When its capacity is to be looked at again [s]; -inf if it is not.
        self.wake = -math.inf
        if self.course is not None:
            self.trunk.varied = True
            self.capacity = self.course.rate(self.trunk.env.now)
        # The fair links below, by the virtual time at which something ends; all links below, by the level above
        # which something in them has to change from fair to capped, and below which, negated, from capped to fair.
        self.ends: list[Entry] = [LAST_ENTRY]
        self.rising: list[Entry] = [LAST_ENTRY]
        self.falling: list[Entry] = [LAST_ENTRY]
        # What the links below take of it: `capped_sum` whatever the level, and `weight` times the level; how many
        # of them are fair.
        self.capped_sum = 0
        self.weight = 0
        self.fair_links = 0
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
        return self.above.rate() if self.fair else self.own

    def fair_level(self) -> float:
        """Level of the fair links below, which is that of a link above where this one is fair itself [B/s]."""
        link = self
        while link.fair and link is not link.trunk:
            link = link.above
        return link.level

    def put_in(self, access: Access, fair: bool, level: float | None = None) -> None:
        """Add an access link with transfers on one of the sides, from now on; see `Access.look_ahead`."""
        trunk = self.trunk
        trunk.stamps = stamp = access.stamp = trunk.stamps + 1
        access.fair = fair
        left = access.ends[0][0] - access.virtual
        cap = access.own if not access.special else access.look_ahead(fair, level)
        if fair:
            self.fair_links += 1
            self.weight += access.weight
            access.since = self.virtual
            heapq.heappush(self.ends, (self.virtual + left, stamp, access))
            heapq.heappush(self.rising, (cap, stamp, access))
        else:
            self.capped_sum += access.share
            access.since = trunk.clock
            heapq.heappush(self.falling, (-cap, stamp, access))
            self.note_end(access, left)

    def note_end(self, access: Access, left: float) -> None:
        """Have the first transfer of a capped link end, so many bytes [B] from now on."""
        trunk, own = self.trunk, access.own
        clock = trunk.clock
        if access.flow is not None:
            due = access.flow.when(clock, left, access.ends[0][0] + clock * access.flow.peak * len(access.ends))
        else:
            due = clock + left / own if own else math.inf
            # What a link that varies can carry then is not known; it is asked again when it is woken.
            if access.course is not None and due > access.wake * (1 + 2 * CLOCK_SLACK):
                return
        heapq.heappush(trunk.due, (due, access.stamp, access))

    def take_out(self, access: Access) -> None:
        """Take an access link out, and note what it has delivered."""
        if access.fair:
            self.fair_links -= 1
            self.weight -= access.weight
            access.virtual += self.virtual - access.since
        else:
            self.capped_sum -= access.share
            # At an infinite rate no time passes, and zero times infinity is not a number.
            if (clock := self.trunk.clock) > access.since:
                if access.flow is None:
                    access.virtual += (clock - access.since) * access.own
                else:
                    access.virtual += access.flow.delivered(access.since, clock)
        access.stamp = -1
        access.plain = False

    def moves_on(self, _: float) -> bool:
        """Whether it has gone on by itself; see `Access.moves_on`."""
        return False

    def note_lower(self, key: float, link: Access | Branch) -> None:
        """Have a fair link below looked at above a lower level [B/s] than when it was put in."""
        heapq.heappush(self.rising, (key, link.stamp, link))
        self.trunk.stamps += 1
        if self.fair and self.stamp >= 0:
            self.above.note_lower(key, self)

    def join(self) -> None:
        """Put this link with what is below it into the link above, from now on."""
        above, trunk = self.above, self.trunk
        trunk.stamps = stamp = self.stamp = trunk.stamps + 1
        lowest = -first(self.falling)[0]
        left = first(self.ends)[0] - self.virtual
        if self.fair:
            if not above.fair_links:
                above.virtual = above.carry = 0.0
            above.fair_links += 1
            above.weight += self.weight
            above.capped_sum += self.capped_sum
            self.since = above.virtual
            heapq.heappush(above.ends, (above.virtual + left, stamp, self))
            heapq.heappush(above.rising, (min(self.own, first(self.rising)[0]), stamp, self))
        else:
            self.since = trunk.clock
            if self.weight:
                lowest = self.own
                heapq.heappush(trunk.due, (trunk.clock + left / self.own if self.own else math.inf, stamp, self))
            self.share = self.exact_capacity if self.weight else self.capped_sum
            above.capped_sum += self.share
        if lowest >= 0:
            heapq.heappush(above.falling, (-lowest, stamp, self))

    def leave(self) -> None:
        """Take this link out of the link above, and bring its virtual time up to now."""
        above = self.above
        if self.fair:
            above.fair_links -= 1
            above.weight -= self.weight
            above.capped_sum -= self.capped_sum
            self.advance(above.virtual - self.since)
        else:
            above.capped_sum -= self.share
            if self.weight:
                self.advance((self.trunk.clock - self.since) * self.own)
        self.stamp = -1

    def detach(self) -> None:
        """Take this link and all above it out of the next one, until the end of the instant."""
        if self not in self.trunk.detached:
            self.above.detach()
            if self.stamp >= 0:
                self.leave()
            self.trunk.detached[self] = None

    def set_capacity(self, capacity: float | Varying) -> None:
        """Change the capacity [B/s] from now on."""
        trunk = self.trunk
        self.detach()
        trunk.changed = True
        trunk.end_of_instant.request()
        self.change(trunk.env.now, capacity)
        trunk.varied = True
        self.exact_capacity = fixed_point(self.capacity)
        self.unlimited = math.isinf(self.capacity)
        self.wake = -math.inf
        trunk.free_again()

    def never_binds(self) -> bool:
        """Whether all clients below can go as fast as they ever do."""
        return self.unlimited or (self.course is None and self.peaks * (1 + 1e-9) <= self.capacity)

    def add_peak(self, peak: float) -> None:
        """Note that clients below have so much more at most than they had before [B/s]."""
        self.peaks += peak
        if self.free and not self.never_binds():
            self.trunk.free_again()
        if self.above is not self:
            self.above.add_peak(peak)

    def follow(self) -> None:
        """Set the capacity to what it is from now on, and have it looked at when that changes, if anything flows."""
        assert self.course is not None
        trunk = self.trunk
        now = trunk.clock * AFTER
        self.capacity = self.course.rate(now)
        self.exact_capacity = fixed_point(self.capacity)
        if self.weight or self.capped_sum:
            trunk.wake_at(self.course.next_change(now), self)

    def awake(self) -> None:
        """Take its new rate into account."""
        self.detach()

    def path(self) -> list[Link]:
        """Links from this one to the server."""
        return [self] if self.above is self else [self, *self.above.path()]

    def finish(self, slack: float, rate: float) -> None:
        """End what is due first, and others within `slack` [s] of it at `rate` [B/s]."""
        self.detach()
        # It was the turn of this link: rounding must not leave it a hair short.
        reached = max(self.virtual, first(self.ends)[0]) + slack * rate
        while (entry := first(self.ends))[0] <= reached:
            entry[2].finish(slack, rate)

    def finish_due(self) -> None:
        """End what is due now, before rates change, on a link that has been taken out."""
        if self.weight:
            slack, rate = self.trunk.clock * CLOCK_SLACK, self.rate()
            if first(self.ends)[0] <= self.virtual + slack * rate:
                self.finish(slack, rate)

    def goes_down(self) -> bool:
        """Whether it carries something, and nothing from this instant on."""
        course = self.course
        capacity = self.capacity if course is None else course.rate(self.trunk.clock * AFTER)
        return not capacity and self.level > 0

    def bytes_so_far(self) -> float:
        """Virtual time as of now, also of a link that has not been taken out [B]."""
        if self.stamp < 0:
            return self.virtual
        if self.fair:
            return self.virtual + (self.above.bytes_so_far() - self.since)
        return self.virtual + (self.trunk.clock - self.since) * self.own if self.weight else self.virtual

    def finish_rounded(self) -> None:
        """End all transfers below of which only rounding is left, as this link goes down."""
        for entry in (*self.ends, *self.falling):
            if entry[2].stamp == entry[1] < math.inf:
                entry[2].finish_rounded()

    def stays(self, access: Access, entry: Entry, level: float) -> bool:
        """See what a link that varies can carry now, and put its first entry right if that leaves it on its side."""
        if access.fair:
            if access.course is not None:
                # It may be long since it was looked at.
                access.tune()
            if access.own < level or level == math.inf:
                return False
            heapq.heapreplace(self.rising, (access.look_ahead(True, level), entry[1], access))
        else:
            if access.own > level:
                return False
            access.key = access.own
            heapq.heapreplace(self.falling, (-access.own, entry[1], access))
        return True

    def _put_right(self, access: Access, entry: Entry, level: float, bound: float) -> None:
        """Have a link whose course alone decides cross sides, or put its first entry right; see `stays`."""
        own, until = access.own, access.wake
        if not access.fair:
            if own > level:
                access.cross(own, until, bound)
            else:
                access.key = own
                heapq.heapreplace(self.falling, (-own, entry[1], access))
            return
        # It may be long since it was looked at.
        assert access.course is not None
        own, until = access.course.rate_until(self.trunk.clock * AFTER)
        own /= len(access.ends)
        if own < level or level == math.inf:
            access.cross(own, until, bound)
        else:
            access.own = own
            heapq.heapreplace(self.rising, (access.look_ahead(True, level), entry[1], access))

    def balance(self, limit: float) -> None:
        """Let links below change sides until all are on the right one, with a level of at most `limit` [B/s].

        Every change at a level of its own raises that level, so this ends: what a link below takes is a concave
        function of the level, each side is a line above it, and each change goes to the lower line (Newton's
        method). Sums are exact and the quotient is correctly rounded, hence monotone: when the rounded values are
        in strict order, so are the exact ones, and equal values cannot go back and forth.
        """
        rising, falling, capacity = self.rising, self.falling, self.exact_capacity
        while True:
            weight = self.weight
            if weight and not self.unlimited:
                try:
                    own = (capacity - self.capped_sum) / (weight << FIXED_POINT)
                except OverflowError:
                    # Links without a limit are still among the capped ones, as something that no float can hold.
                    own = math.inf if capacity > self.capped_sum else -math.inf
            else:
                own = math.inf if self.unlimited or capacity >= self.capped_sum else -math.inf
            level = own if own < limit else limit
            entry = rising[0]
            if entry[0] < level or (level == math.inf and self.weight):
                if entry[2].stamp != entry[1]:
                    heapq.heappop(rising)
                    continue
                bound = level
            else:
                entry = falling[0]
                if -entry[0] <= level:
                    break
                if entry[2].stamp != entry[1]:
                    heapq.heappop(falling)
                    continue
                # Until all is on the right side, the level can be far too low: go there in steps.
                bound = max(level, min(-entry[0], sys.float_info.max) / 2)
            link = entry[2]
            if link.plain:
                self._put_right(link, entry, level, bound)
            elif isinstance(link, Access):
                if not link.special or not self.stays(link, entry, level):
                    self.take_out(link)
                    self.put_in(link, not link.fair, bound)
            else:
                link.leave()
                link.balance(bound)
                link.join()
        self.level, self.own = level, own
        self.fair = self.weight > 0 and own >= limit
