"""One server link shared by many access links: exact max-min fairness in O(log n) per start or end.

Access link *l* has capacity c_l, stands for m_l clients and carries k_l transfers; the trunk has capacity S.
The max-min fair rate of every transfer on *l* is min(c_l / k_l, L), where the level L solves
sum_l m_l min(c_l, k_l L) = S, or is infinite if the trunk does not bind. That splits the access links into two:

- *capped* ones (c_l / k_l below the level) run at a rate of their own and know when they will finish;
- *fair* ones all run at L. With the virtual time V, dV/dt = L, they finish when V reaches a value that they know
  from the start, however often L changes in between.

Each group keeps its links in two heaps, by finish and by c_l / k_l; the latter tell which links change sides when
the level moves. The transfers on one link always have equal rates, so the same trick works once more inside it: a
transfer finishes when the bytes delivered to each transfer of the link reach a value known from its start.

This is the virtual time of generalised processor sharing (Parekh and Gallager, 1993) with rate caps.
"""

from __future__ import annotations

import heapq
import math

from simpy import Environment, Event

from sim.network.model import check_capacity
from sim.network.timing import CLOCK_SLACK, Alarm, EndOfInstant, hand_over

FIXED_POINT = 80
"""Sums of capacities are integers in units of 2**-80 B/s: adding and subtracting them never rounds."""


class Access:
    """One direction of a port: an access link with the transfers on it.

    Parameters
    ----------
    capacity : float
        Of each client's link [B/s], `inf` for unlimited.
    count : int
        Number of identical clients that it stands for.
    """

    __slots__ = ("cap", "capacity", "count", "delivered", "group", "share", "since", "stamp", "transfers")

    def __init__(self, capacity: float, count: int) -> None:
        self.capacity = float(capacity)
        self.count = count
        # What it takes of the trunk when capped.
        self.share = 0 if math.isinf(capacity) else count * _fixed_point(self.capacity)
        # The most that each of its transfers can get [B/s].
        self.cap = self.capacity
        # Heap of (value of `delivered` at which it ends, tie-breaker, event).
        self.transfers: list[tuple[float, int, Event]] = []
        # Bytes that every transfer has got since the link was last idle, up to when it joined its group.
        self.delivered = 0.0
        self.group: _Group | None = None
        # When it joined: clock [s] if capped, virtual time [B] if fair.
        self.since = 0.0
        self.stamp = 0


_Entry = tuple[float, int, Access]


class _Group:
    """Access links that are all capped, or all fair, in two heaps.

    Entries are (key, stamp, access link); one whose stamp is no longer the link's is void and waits to be
    dropped. An entry for nobody, with an infinite key, is always valid, so that there is always one to look at.
    """

    __slots__ = ("by_cap", "by_finish", "links")

    def __init__(self) -> None:
        nobody = Access(math.inf, count=0)
        self.by_cap: list[_Entry] = [(math.inf, 0, nobody)]
        self.by_finish: list[_Entry] = [(math.inf, 0, nobody)]
        self.links = 0

    def drop_void(self) -> None:
        """Drop all void entries."""
        for heap in (self.by_cap, self.by_finish):
            heap[:] = [entry for entry in heap if entry[2].stamp == entry[1]]
            heapq.heapify(heap)


def _first(heap: list[_Entry]) -> _Entry:
    """Return the first valid entry of a heap, dropping void ones before it.

    The callers of every event look at the first entry themselves: most of the time it is valid.
    """
    entry = heap[0]
    while entry[2].stamp != entry[1]:
        heapq.heappop(heap)
        entry = heap[0]
    return entry


def _fixed_point(value: float) -> int:
    """Return a finite float in units of 2**-FIXED_POINT, exactly unless it is below 2**(52 - FIXED_POINT)."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << FIXED_POINT) // denominator


class Trunk:
    """A server link, crossed by transfers that each also cross one access link.

    Parameters
    ----------
    env : Environment
        The clock.
    name : str
        For messages: ``ingress`` or ``egress``.
    capacity : float
        Of the server's link [B/s], positive, `inf` for unlimited.

    Raises
    ------
    NetworkError
        If the capacity is not positive.
    """

    def __init__(self, env: Environment, name: str, capacity: float) -> None:
        check_capacity(name, capacity)
        self._env = env
        self._unlimited = math.isinf(capacity)
        self._capacity = 0 if self._unlimited else _fixed_point(float(capacity))
        self._capped = _Group()
        self._fair = _Group()
        self._capped_sum = 0
        self._fair_transfers = 0
        self._level = math.inf
        self._virtual = 0.0
        self._carry = 0.0
        self._clock: float = env.now
        self._next_end = math.inf
        self._next_fair = math.inf, _first(self._fair.by_finish)
        self._arrived: list[Event] = []
        self._touched: dict[Access, None] = {}
        self._stamp = 0
        self._next_drop = 0
        self._alarm = Alarm(env, self._settle)
        self._end_of_instant = EndOfInstant(env, self._settle)

    def start(self, access: Access, size: float, arrival: Event) -> None:
        """Start a transfer now.

        Parameters
        ----------
        access : Access
            The access link that it crosses, always used with this trunk.
        size : float
            Message size [B], finite and positive.
        arrival : Event
            Succeeds when the last byte has arrived, with that time [s] as its value.
        """
        if access.group is not None:
            self._advance()
            self._take_out(access)
        self._stamp += 1
        heapq.heappush(access.transfers, (access.delivered + size, self._stamp, arrival))
        self._touched[access] = None
        self._end_of_instant.request()

    def _advance(self) -> None:
        """Bring the virtual time up to now."""
        now: float = self._env.now
        if now > self._clock:
            if self._fair.links:
                # Kahan's summation: without the carry, rounding would grow with the number of events.
                step = self._level * (now - self._clock) + self._carry
                virtual = self._virtual + step
                self._carry = step - (virtual - self._virtual)
                self._virtual = virtual
            self._clock = now

    def _put_in(self, access: Access, group: _Group) -> None:
        """Add an access link with transfers to a group, from now on."""
        self._stamp = stamp = access.stamp = self._stamp + 1
        access.group = group
        group.links += 1
        left = access.transfers[0][0] - access.delivered
        cap = access.cap
        if group is self._fair:
            self._fair_transfers += access.count * len(access.transfers)
            access.since = self._virtual
            finish = self._virtual + left
            order = cap
        else:
            self._capped_sum += access.share
            access.since = self._clock
            finish = self._clock + left / cap
            order = -cap
        heapq.heappush(group.by_finish, (finish, stamp, access))
        heapq.heappush(group.by_cap, (order, stamp, access))

    def _take_out(self, access: Access) -> None:
        """Take an access link out of its group, and note what it has delivered."""
        group = access.group
        if group is self._fair:
            self._fair_transfers -= access.count * len(access.transfers)
            access.delivered += self._virtual - access.since
            self._fair.links -= 1
        else:
            self._capped_sum -= access.share
            # At an infinite rate no time passes, and zero times infinity is not a number.
            if self._clock > access.since:
                access.delivered += (self._clock - access.since) * access.cap
            self._capped.links -= 1
        access.group = None
        access.stamp = -1

    def _settle(self) -> None:
        """Take the starts and ends of this instant into account, and set the alarm for the next end."""
        self._advance()
        if self._next_end <= self._clock * (1 + CLOCK_SLACK):
            self._finish_due()
        self._put_in_touched()
        if not self._unlimited:
            self._balance()
        if self._stamp > self._next_drop:
            # Once in about as many entries as there are valid ones, which costs O(1) for each.
            self._capped.drop_void()
            self._fair.drop_void()
            self._next_drop = self._stamp + 2 * (self._capped.links + self._fair.links) + 4000
        self._set_alarm()
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            for arrival in arrived:
                hand_over(arrival, self._clock)

    def _finish_due(self) -> None:
        """End the transfers whose last byte arrives now."""
        now = self._clock
        slack = now * CLOCK_SLACK
        due, (target, stamp, access) = self._next_fair
        # The alarm was set for this virtual time: rounding must not leave it a hair short for ever.
        if due <= now + slack and access.stamp == stamp and self._virtual < target:
            self._virtual, self._carry = target, 0.0
        if self._capped.links:
            heap = self._capped.by_finish
            while (entry := _first(heap))[0] <= now + slack:
                self._finish(entry[2], slack, entry[2].cap)
        if self._fair.links:
            heap = self._fair.by_finish
            reached = self._virtual + slack * self._level
            while (entry := _first(heap))[0] <= reached:
                self._finish(entry[2], slack, self._level)

    def _finish(self, access: Access, slack: float, rate: float) -> None:
        """End the first transfer of an access link, and others that are within `slack` [s] of it."""
        self._take_out(access)
        transfers = access.transfers
        if len(transfers) == 1:
            self._arrived.append(transfers.pop()[2])
            access.delivered = 0.0
            return
        reached = max(access.delivered, transfers[0][0])
        # Infinite rates are allowed, and zero times infinity is not a number.
        due = reached + slack * rate if slack else reached
        while transfers and transfers[0][0] <= due:
            self._arrived.append(heapq.heappop(transfers)[2])
        if transfers:
            access.delivered = reached
            self._touched[access] = None
        else:
            access.delivered = 0.0

    def _put_in_touched(self) -> None:
        """Put the access links on which transfers started or ended back into the likely group."""
        if not self._fair.links:
            self._virtual = self._carry = 0.0
        for access in self._touched:
            access.cap = access.capacity / len(access.transfers)
            below = access.cap < self._level or self._unlimited
            self._put_in(access, self._capped if below else self._fair)
        self._touched.clear()

    def _balance(self) -> None:
        """Move access links between the groups until every cap is on its side of the level.

        Every move raises the level, so this ends. Sums are exact and the quotient is correctly rounded, hence
        monotone: when the rounded values are in strict order, so are the exact ones, and equal values cannot go
        back and forth.
        """
        slowest_fair, fastest_capped = self._fair.by_cap, self._capped.by_cap
        while True:
            spare = self._capacity - self._capped_sum
            if self._fair_transfers:
                level = spare / (self._fair_transfers << FIXED_POINT)
            else:
                level = math.inf if spare >= 0 else -math.inf
            entry = slowest_fair[0]
            if entry[2].stamp != entry[1]:
                entry = _first(slowest_fair)
            if entry[0] < level:
                self._take_out(entry[2])
                self._put_in(entry[2], self._capped)
                continue
            entry = fastest_capped[0]
            if entry[2].stamp != entry[1]:
                entry = _first(fastest_capped)
            if -entry[0] <= level:
                self._level = level
                return
            self._take_out(entry[2])
            self._put_in(entry[2], self._fair)

    def _set_alarm(self) -> None:
        entry, fair = self._capped.by_finish[0], self._fair.by_finish[0]
        if entry[2].stamp != entry[1]:
            entry = _first(self._capped.by_finish)
        if fair[2].stamp != fair[1]:
            fair = _first(self._fair.by_finish)
        due = entry[0]
        fair_due = math.inf
        if self._fair.links:
            fair_due = self._clock + (fair[0] - self._virtual) / self._level
        self._next_fair = fair_due, fair
        self._next_end = fair_due if fair_due < due else due
        self._alarm.set(self._next_end)
