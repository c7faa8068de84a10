"""The server's link in one direction, at the top of a tree, which keeps the clock of all links; see `tree.py`."""

from __future__ import annotations

import heapq
import math
from typing import Any

from simpy import Environment

from parasim.core.sim.network.access import LAST_ENTRY, Access, Entry, first
from parasim.core.sim.network.alone import Limits
from parasim.core.sim.network.capacity import Varying
from parasim.core.sim.network.levels import Branch
from parasim.core.sim.network.timing import CLOCK_SLACK, Alarm, EndOfInstant, Patience
from parasim.core.sim.network.transfer import Transfer, deliver


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
        # Links in use that vary, by the time [s] at which they are to be looked at again.
        self.wakes: list[tuple[float, int, Access | Branch]] = []
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
        if self._next_end <= self.clock * (1 + CLOCK_SLACK):
            self._finish_next()
        if self.wakes:
            self._wake(self.clock * (1 + CLOCK_SLACK))
        self._level()
        arrived, self.arrived = self.arrived, []
        if self.wakes and not arrived:
            self._run_ahead()
        self._set_alarm()
        if arrived:
            deliver(arrived, self.clock)

    def _run_ahead(self) -> None:
        """Take what the links do next into account at once, as long as nothing else happens before.

        So these changes need no events of the clock, which most of their cost would be.
        """
        until = self.env.peek()
        # Where two directions depend on one another, the other one has to be told in time.
        while (wakes := self.wakes) and not self.meetings and not self.arrived:
            time, _, link = wakes[0]
            if time != link.wake:
                heapq.heappop(wakes)
                continue
            now = time * (1 + CLOCK_SLACK)
            if now >= until or now >= self._next_end:
                break
            if self.fair_links:
                self.advance(self.level * (time - self.clock))
            self.clock = time
            if self._wake(now) and self.course is None and self.stamps <= self._next_drop:
                # Nothing but the level has changed, and what is on its wrong side now.
                if not self.fair_links:
                    self.virtual = self.carry = 0.0
                if self.weight or not self.unlimited:
                    self.balance(math.inf)
                self._find_next_end()
            else:
                self._level()

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
        if self.weight or not self.unlimited:
            self.balance(math.inf)
        if self.stamps > self._next_drop:
            self._drop_void()
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
            link.wake = time
            if time < math.inf:
                self.stamps += 1
                heapq.heappush(self.wakes, (time, self.stamps, link))

    def _wake(self, now: float) -> bool:
        """Look at the links whose rates change by now [s]; say whether all have taken that into account themselves."""
        wakes = self.wakes
        while wakes and wakes[0][0] <= now:
            time, _, link = wakes[0]
            if time != link.wake:
                heapq.heappop(wakes)
            elif link.moves_on(now):
                # Most of what follows traces comes by here, at every change.
                self.stamps += 1
                heapq.heapreplace(wakes, (link.wake, self.stamps, link))
            else:
                heapq.heappop(wakes)
                link.wake = -math.inf
                link.awake()
        return not (self.touched or self.detached)

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
        self._next_drop = self.stamps + 4000 + len(self.wakes)
        self.wakes = [entry for entry in self.wakes if entry[0] == entry[2].wake]
        heapq.heapify(self.wakes)
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
        if self.wakes:
            if self._next_end < math.inf:
                self._patience.changes = 0
            else:
                self._patience.wait(self.clock, self._next_end, self.wakes[0][0])

    def _set_alarm(self) -> None:
        if self.arrived:
            # What ends at a time that was run ahead to.
            self._alarm.set(self.clock)
        else:
            self._alarm.set(min(self._next_end, self.wakes[0][0]) if self.wakes else self._next_end)
