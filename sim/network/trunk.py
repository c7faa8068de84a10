"""The server's link in one direction, at the top of a tree, which keeps the clock of all links; see `tree.py`."""

from __future__ import annotations

import heapq
import math
from typing import Any

from simpy import Environment

from parasim_core.sim.network.access import Access
from parasim_core.sim.network.access_rate import FIXED_POINT, UNIT
from parasim_core.sim.network.agenda import LAST_ENTRY, Agenda, Entry, first
from parasim_core.sim.network.alone import Limits
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.levels import Branch
from parasim_core.sim.network.timing import AFTER, CLOCK_SLACK, Alarm, EndOfInstant, Patience
from parasim_core.sim.network.transfer import Transfer, deliver


class Trunk(Branch):
    """One direction of the server's link, which moves all others along.

    Parameters
    ----------
    env : Environment
        The clock.
    capacity : float or Varying
        [B/s], `inf` for unlimited.
    """

    def __init__(self, env: Environment, capacity: float | Varying, name: str = "") -> None:
        self.env = env
        self.trunk = self
        self.branches: list[Branch] = []
        self.varied = False
        super().__init__(capacity, self, name)
        self.clock: float = env.now
        # The capped links of the whole tree, by the time [s] at which something ends.
        self.due: list[Entry] = [LAST_ENTRY]
        self.arrived: list[Transfer] = []
        self.touched: dict[Access, None] = {}
        # Links above come before those below.
        self.detached: dict[Branch, None] = {}
        self.changed = False
        # Whether it is noted which link bound a transfer.
        self.notes = False
        self.limits = Limits()
        # How many links carry something while the other direction of their port, on which they depend, does, too.
        self.meetings = 0
        # Links in use that vary.
        self.agenda = Agenda()
        self.stamps = 0
        self._next_end = math.inf
        self._next_fair = math.inf, LAST_ENTRY
        self._next_drop = 0
        self._alarm = Alarm(env, self._settle)
        self._patience = Patience()
        self.end_of_instant = EndOfInstant(env, self._settle)

    def detach(self) -> None:
        """Bring the virtual time up to now."""
        now: float = self.env._now
        if now > self.clock:
            if self.fair_links:
                self.advance(self.level * (now - self.clock))
            self.clock = now

    def _settle(self) -> None:
        """Take the starts, ends and changes of this instant into account, and set the alarm for the next end."""
        self.detach()
        if self._next_end <= self.clock * AFTER:
            self._finish_next()
        if self.varied:
            time, link = self.agenda.next()
            if time <= self.clock * AFTER:
                self._wake(link, self.clock * AFTER)
        self._level()
        arrived, self.arrived = self.arrived, []
        # Where two directions depend on one another, the other one has to be told in time.
        if self.varied and not arrived and not self.meetings:
            self._run_ahead()
        self._set_alarm()
        if arrived:
            deliver(arrived, self.clock)

    def _run_ahead(self) -> None:
        """Take what the links do next into account at once, as long as nothing else happens before.

        So these changes need no events of the clock, which most of their cost would be.
        """
        until = self.env.peek()
        agenda, due, ends, rising, falling = self.agenda, self.due, self.ends, self.rising, self.falling
        near, far = agenda.near, agenda.far
        while True:
            if not near and not agenda._put_in_order():
                break
            time, link = near[-1]
            if time != link.wake:
                near.pop()
                continue
            now = time * AFTER
            if now >= until or (now >= due[0][0] and now >= first(due)[0]):
                break
            level = self.level
            if self.fair_links:
                virtual = self.virtual
                most = virtual + level * (now - self.clock)
                if most >= ends[0][0] and most >= first(ends)[0]:
                    break
                # What `advance` does, without the call, for speed.
                step = level * (time - self.clock) + self.carry
                self.virtual = reached = virtual + step
                self.carry = step - (reached - virtual)
            self.clock = time
            quick = False
            if link.plain and link.weight == 1 and link.above is self:
                near.pop()
                course = link.course
                if not near or near[-1][0] > now:
                    row = course._row + 1
                    begin = course._until
                    if begin <= time and row < course._last:
                        rows = course.course
                        nxt = course._base + rows.times[row + 1] - course.start
                        course._row, course._begin, course._until = row, begin, nxt
                        own = course.scale * rows.rates[row]
                    else:
                        own, nxt = course.rate_until(now)
                    if link.fair:
                        quick = link._moves_on_fair(own, nxt, level)
                    else:
                        link.virtual = virtual = link.virtual + (time - link.since) * link.own
                        link.since = time
                        if own > level:
                            link.cross(own, nxt, level)
                            quick = True
                        elif own:
                            link.own = own
                            share = int(own * UNIT)
                            self.capped_sum += share - link.share
                            link.share = share
                            link.wake = nxt
                            if nxt > agenda.horizon:
                                far.append((nxt, link))
                            else:
                                agenda.put(nxt, link)
                            if own > link.key:
                                link.key = own
                                self.stamps += 1
                                heapq.heappush(falling, (-own, link.stamp, link))
                            left = link.end - virtual
                            if left <= own * (nxt - time) * (1 + 1e-9):
                                self.note_end(link, left)
                            quick = True
                    if not quick:
                        link.wake = -math.inf
                        link.awake()
                        quick = not (self.touched or self.detached)
                    # Its own capacity is followed only while anything flows.
                    quick = quick and (self.course is None or self.wake > -math.inf)
                else:
                    near.append((time, link))
                    quick = self._wake(link, now)
            else:
                quick = self._wake(link, now)
            if not quick:
                self._level()
                if self.arrived:
                    break
                continue
            # Nothing but the level has changed, and what is on its wrong side now.
            level = (self.exact_capacity - self.capped_sum) / (self.weight << FIXED_POINT) if self.weight else math.inf
            if -falling[0][0] <= level <= rising[0][0] and level < math.inf and self.stamps <= self._next_drop:
                # What `balance` finds, too.
                self.level = self.own = level
            else:
                self._balance()
            if not self.capped_sum:
                self._wait()
        self._find_next_end()

    def _balance(self) -> None:
        """Find the level, as nothing is left out of this link."""
        if not self.fair_links:
            self.virtual = self.carry = 0.0
        if self.weight or not self.unlimited:
            self.balance(math.inf)
        if self.stamps > self._next_drop:
            self._drop_void()

    def _wait(self) -> None:
        """Let time go by until some link changes, but not for ever if nothing flows."""
        flows = self.capped_sum or (self.fair_links and self.level)
        self._patience.wait(self.clock, self.clock if flows else math.inf, self.agenda.next()[0])

    def _level(self) -> None:
        """Take the starts, ends and changes of this instant into account, and see when the next end is."""
        if self.changed:
            self.changed = False
            links: list[Any] = [*self.touched, *self.detached]
            for link in links:
                link.finish_due()
        if self.varied:
            self._finish_rounded()
        if self.touched or not self.fair_links:
            self._put_in_touched()
        if self.detached:
            for branch in reversed(self.detached):
                if branch.course is not None:
                    branch.follow()
                branch.balance(branch.above.level)
                if branch.weight or branch.falling[0] is not LAST_ENTRY:
                    branch.join()
            self.detached.clear()
        if self.course is not None:
            self.follow()
        self._balance()
        if self.varied:
            self._wait()
        self._find_next_end()

    def _finish_rounded(self) -> None:
        """End transfers of which only rounding is left, below shared links that go down."""
        down = [branch for branch in (*self.detached, self) if branch.goes_down()]
        if down:
            touched = [access for access in self.touched if not {*down}.isdisjoint(access.above.path())]
            links: list[Access | Branch] = [*touched, *down]
            for link in links:
                link.finish_rounded()

    def wake_at(self, time: float, link: Access | Branch) -> None:
        """Look at a link again at a time [s], unless that is done then anyway; inf is never."""
        if time != link.wake:
            self.agenda.put(time, link)

    def _wake(self, link: Any, now: float) -> bool:
        """Look at the links whose rates change by now [s]; say whether all have taken that into account themselves."""
        agenda, near, woken = self.agenda, self.agenda.near, False
        while True:
            near.pop()
            if not link.moves_on(now):
                link.wake = -math.inf
                link.awake()
                woken = True
            if not near or near[-1][0] > now:
                break
            time, link = agenda.next()
            if time > now:
                break
        if (woken and self.touched) or self.detached:
            return False
        # Its own capacity is followed only while anything flows.
        return self.course is None or self.wake > -math.inf

    def awake(self) -> None:
        """Nothing to do: it is followed at the end of every instant at which anything happens."""

    def free_again(self) -> None:
        """Find out anew which links cannot bind; those below that vary are looked at again."""
        for branch in self.branches:
            branch.free = branch.never_binds() and (branch is self or branch.above.free)
        links = {entry[2]: None for entry in self.due if entry[2].stamp == entry[1] and isinstance(entry[2], Access)}
        for link in links:
            if link.course is not None:
                link.look_again()

    def _finish_next(self) -> None:
        """End the transfers whose last byte arrives now."""
        slack = self.clock * CLOCK_SLACK
        due, (target, stamp, link) = self._next_fair
        # The alarm was set for this virtual time: rounding must not leave it a hair short for ever.
        if due <= self.clock + slack and link.stamp == stamp and self.virtual < target:
            self.virtual, self.carry = target, 0.0
        while (entry := first(self.due))[0] <= self.clock + slack:
            entry[2].finish(slack, entry[2].own)
        if self.fair_links:
            reached = self.virtual + slack * self.level
            while (entry := first(self.ends))[0] <= reached:
                entry[2].finish(slack, self.level)

    def _put_in_touched(self) -> None:
        """Put the access links on which transfers started or ended back on the likely side."""
        if not self.fair_links:
            self.virtual = self.carry = 0.0
        for access in self.touched:
            above = access.above
            if above is not self:
                above.detach()
                if not above.fair_links:
                    above.virtual = above.carry = 0.0
            if access.ends:
                if access.special:
                    access.tune()
                else:
                    access.own = access.capacity / len(access.ends)
                if not access.own:
                    access.finish_rounded()
            if access.ends:
                access.weight = access.count * len(access.ends)
                above.put_in(access, not (access.own < above.level or above.unlimited))
        self.touched.clear()

    def _drop_void(self) -> None:
        """Drop all void entries, once in about as many as there are valid ones, which costs O(1) for each."""
        self._next_drop = self.stamps + 4000
        for heap in [self.due, *(heap for link in self.branches for heap in (link.ends, link.rising, link.falling))]:
            heap[:] = [entry for entry in heap if entry[2].stamp == entry[1]]
            heapq.heapify(heap)
            self._next_drop += len(heap)

    def _find_next_end(self) -> None:
        entry, fair = self.due[0], self.ends[0]
        if entry[2].stamp != entry[1]:
            entry = first(self.due)
        if fair[2].stamp != fair[1]:
            fair = first(self.ends)
        fair_due = math.inf
        if self.fair_links and self.level:
            fair_due = self.clock + (fair[0] - self.virtual) / self.level
        self._next_fair = fair_due, fair
        self._next_end = fair_due if fair_due < entry[0] else entry[0]

    def _set_alarm(self) -> None:
        if self.arrived:
            # What ends at a time that was run ahead to.
            self._alarm.set(self.clock)
        else:
            self._alarm.set(min(self._next_end, self.agenda.next()[0]) if self.varied else self._next_end)
