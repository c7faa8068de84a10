"""When a client is there: sessions and gaps, drawn or as recorded.

A client that is there leaves at the first instant of one Poisson process, and one that is gone comes back at the first
of another; all other instants change nothing. So whether it is there at a time depends on which of the two had an
instant last, and that is looked up (`sim.failures.marks`) without going through what happened before. Looking back
beyond time 0 as well makes the process stationary there: sessions are under way when a run begins.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Protocol

from parasim_core.sim.failures.marks import Marks
from parasim_core.sim.scenario.calendar import seconds_between

DAY = 86400.0
"""Period of day and night [s]."""
_STEPS = 240
"""Steps of a day in which the mean share is computed: its error is far below a thousandth."""


class Availability(Protocol):
    """Says when clients are there."""

    def there(self, client: int, time: float) -> bool:
        """Tell whether a client is there at a time [s], after the changes of that instant."""
        ...

    def next_change(self, client: int, time: float) -> float:
        """First time after `time` [s] at which it leaves, if it is there, or comes back; inf if never."""
        ...


class Sessions:
    """Sessions of exponential lengths, begun at a rate that may vary over the day.

    Parameters
    ----------
    seed : int
        The scenario's.
    share : float
        Of the time that a client is there, on average over a day; above 0 and below 1.
    session : float
        Mean length of a session [s].
    day_to_night : float
        How many times as often those who are gone come back at noon as at midnight, at least 1. Gaps are exponential
        with mean session (1 - share) / share where it is 1.
    since_six : float
        From six in the morning to time 0 [s].
    """

    def __init__(
        self, seed: int, share: float, session: float, day_to_night: float = 1.0, since_six: float = 0.0
    ) -> None:
        self._since_six = since_six
        self._swing = (day_to_night - 1) / (day_to_night + 1)
        rate = mean_return_rate(share, session, self._swing)
        kept = self._kept if self._swing else None
        self._begins = Marks(seed, "session-begins", rate * (1 + self._swing), kept)
        self._ends = Marks(seed, "session-ends", 1 / session)

    def there(self, client: int, time: float) -> bool:
        """Tell whether a client is there at a time [s]."""
        # The more frequent one first: the other is then looked for in a short time only.
        if self._begins.rate > self._ends.rate:
            begin = self._begins.before(client, time)
            return self._ends.before(client, time, begin) == -math.inf
        end = self._ends.before(client, time)
        return self._begins.before(client, time, end) > end

    def next_change(self, client: int, time: float) -> float:
        """First time after `time` at which it leaves or comes back [s]."""
        return (self._ends if self.there(client, time) else self._begins).after(client, time)

    def _kept(self, time: float) -> float:
        return (1 + self._swing * math.sin(2 * math.pi * (time + self._since_six) / DAY)) / (1 + self._swing)


@lru_cache(maxsize=1024)
def mean_return_rate(share: float, session: float, swing: float) -> float:
    """Rate at which clients come back, on average over a day [1/s], for them to be there for a share of the day.

    Parameters
    ----------
    share : float
        Above 0 and below 1.
    session : float
        Mean length of a session [s].
    swing : float
        The rate is this mean times 1 + swing sin(2 pi t / day); at least 0 and below 1.

    Notes
    -----
    The probability p of being there follows p' = rate(t) (1 - p) - p / session. Its mean over the day rises with the
    rate, which is found by bisection.
    """
    rate = share / (1 - share) / session
    if not swing:
        return rate
    low, high = 0.0, rate
    while share_over_day(high, session, swing) < share:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share_over_day(middle, session, swing) < share else (low, middle)
    return high


def share_over_day(rate: float, session: float, swing: float) -> float:
    """Mean share of the clients that are there where they come back at a rate that swings over the day."""
    steps = []
    for number in range(_STEPS):
        # While the rate is constant, the share tends to a level, and what is left of the way to it falls exponentially.
        back = rate * (1 + swing * math.sin(2 * math.pi * (number + 0.5) / _STEPS))
        change = (back + 1 / session) * DAY / _STEPS
        steps.append((back / (back + 1 / session), math.exp(-change), -math.expm1(-change) / change))
    share = 0.0
    for level, left, _ in steps:
        share = level + (share - level) * left
    # The share with which a day ends as it began: what a day adds to 0, and what it leaves of what was there before.
    share /= 1 - math.prod(left for _, left, _ in steps)
    total = 0.0
    for level, left, mean in steps:
        total += level + (share - level) * mean
        share = level + (share - level) * left
    return total / _STEPS


class RecordedSessions:
    """Sessions as recorded.

    Parameters
    ----------
    sessions : sequence of sequences of (float, float)
        For each client, begin and end of its sessions, rising and apart [s]; they begin again when the last one ends.
        A client without any is never there.
    first : int
        Number of the client that the first list is for. Of fewer lists, the clients after them take turns.
    """

    def __init__(self, sessions: Sequence[Sequence[tuple[float, float]]], first: int = 0) -> None:
        self._sessions = sessions
        self._first = first
        self._changes: dict[int, list[float]] = {}

    def there(self, client: int, time: float) -> bool:
        """Tell whether a client is there at a time [s]."""
        _, _, happened = self._look_up(client, time)
        return happened % 2 == 1

    def next_change(self, client: int, time: float) -> float:
        """First time after `time` at which it leaves or comes back [s]; inf if never."""
        changes, turn, happened = self._look_up(client, time)
        if not changes or (len(changes) == 2 and changes[0] == 0):
            return math.inf
        if happened < len(changes) - 1:
            return turn * changes[-1] + changes[happened]
        # A session that begins at 0 goes on from the last one of the turn before.
        end = (turn + 1) * changes[-1]
        return end + changes[1] if changes[0] == 0 else end

    def _look_up(self, client: int, time: float) -> tuple[list[float], int, int]:
        """Changes of a client, how often all of them have been repeated, and how many have happened since."""
        number = (client - self._first) % len(self._sessions)
        if number not in self._changes:
            self._changes[number] = _changes(self._sessions[number])
        changes = self._changes[number]
        if not changes:
            return changes, 0, 0
        period = changes[-1]
        # All sums are rounded as in `next_change`, so that a change has happened at the time that was told for it.
        turn = math.floor(time / period)
        turn += ((turn + 1) * period <= time) - (turn * period > time)
        known = len(changes) - 1
        return changes, turn, bisect_right(changes, time, 0, known, key=lambda change: turn * period + change)


class DailySessions:
    """Sessions from one time of day to another, on each day's clock.

    Parameters
    ----------
    starts : datetime
        When time 0 is.
    begin, end : time
        On the clock of that zone; an end that is not later than the beginning is one of the next day.

    Notes
    -----
    A time that a day's clock leaves out, as it is put forward over it, is taken for one so much after that.
    """

    def __init__(self, starts: datetime, begin: time, end: time) -> None:
        self._starts, self._begin, self._end = starts, begin, end
        self._overnight = end <= begin
        self._of_day = lru_cache(maxsize=8)(self._session)

    def there(self, client: int, time: float) -> bool:
        """Tell whether a client is there at a time [s]."""
        day = self._day(time)
        return any(begin <= time < end for begin, end in map(self._of_day, (day - 1, day, day + 1)))

    def next_change(self, client: int, time: float) -> float:
        """First time after `time` at which it leaves or comes back [s]."""
        day = self._day(time)
        sessions = [self._of_day(other) for other in range(day - 2, day + 4)]
        return min(change for begin, end in sessions if begin < end for change in (begin, end) if change > time)

    def _day(self, time: float) -> int:
        """Day of a time, roughly: clocks are put forward and back."""
        return math.floor(time / DAY)

    def _session(self, day: int) -> tuple[float, float]:
        """Begin and end of the session that begins so many days after the first one [s]."""
        date = self._starts.date() + timedelta(days=day)
        ends = date + timedelta(days=self._overnight)
        zone = self._starts.tzinfo
        moments = datetime.combine(date, self._begin, zone), datetime.combine(ends, self._end, zone)
        begin, end = (seconds_between(self._starts, moment) for moment in moments)
        return begin, end


def _changes(sessions: Sequence[tuple[float, float]]) -> list[float]:
    """Times of a client's changes, those at odd places ends; sessions that touch are one."""
    changes: list[float] = []
    for begin, end in sessions:
        if changes and changes[-1] == begin:
            changes[-1] = end
        else:
            changes += (begin, end)
    return changes
