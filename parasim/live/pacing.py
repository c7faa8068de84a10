"""Links of limited capacity without root: whoever sends or takes a piece waits until it would be through.

Every link has a bucket. Pieces of all messages on it queue up in the order in which they come, one of each message at
a time, so that messages share it evenly, and one that something else slows down leaves its share to the others: max-min
fairness, but for the size of a piece. Deadlines are absolute: whoever wakes up late does not fall behind.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

from parasim_core.sim.network.capacity import Varying

CREDIT = 0.02
"""Longest time that a link that was busy may catch up on [s]: threads wake up late, and a link cannot save up."""
PIECE_SECONDS, LEAST_PIECE, LARGEST_PIECE = 0.004, 4 << 10, 256 << 10
"""A piece lasts about so long [s], and has at least and at most so many bytes [B]."""


class Bucket:
    """One direction of a link.

    Parameters
    ----------
    capacity : float or Varying
        [B/s]; `inf` for unlimited.
    clock : callable
        The time by which a capacity varies [s].
    """

    def __init__(self, capacity: float | Varying, clock: Callable[[], float] = time.monotonic):
        self._capacity = capacity
        self._clock = clock
        self._free_at = -math.inf
        self._messages = 0
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """What it carries now [B/s]."""
        capacity = self._capacity
        if not isinstance(capacity, Varying):
            return capacity
        with self._lock:
            return capacity.rate(self._clock())

    def begin(self) -> None:
        """Learn that a message begins."""
        with self._lock:
            if not self._messages:
                self._free_at = self._clock()
            self._messages += 1

    def end(self) -> None:
        """Learn that one has ended."""
        with self._lock:
            self._messages -= 1

    def through(self, size: int) -> float:
        """Put a piece of so many bytes in line; return when it is through [s]."""
        if self._capacity == math.inf:
            return -math.inf
        with self._lock:
            begins = max(self._free_at, self._clock() - CREDIT)
            self._free_at = self._ends(begins, size)
            return self._free_at

    def _ends(self, begins: float, size: int) -> float:
        capacity = self._capacity
        if not isinstance(capacity, Varying):
            return begins + size / capacity
        left, now = float(size), begins
        while True:
            rate, until = capacity.rate_until(now)
            if rate * (until - now) >= left:
                return now + left / rate
            if until == math.inf:
                return math.inf
            left, now = left - rate * (until - now), until


class Pace:
    """The pace of one message over some links.

    Parameters
    ----------
    buckets : sequence of Bucket
        Of all links on its way that are limited here.
    clock : callable
        The buckets' clock [s].
    """

    def __init__(self, buckets: Sequence[Bucket], clock: Callable[[], float] = time.monotonic):
        self._buckets = buckets
        self._clock = clock

    def __enter__(self) -> Pace:
        for bucket in self._buckets:
            bucket.begin()
        return self

    def __exit__(self, *error: object) -> None:
        for bucket in self._buckets:
            bucket.end()

    def piece(self) -> int:
        """Size of the next piece [B]."""
        rate = min((bucket.rate for bucket in self._buckets), default=math.inf)
        return int(min(max(rate * PIECE_SECONDS, LEAST_PIECE), LARGEST_PIECE))

    def wait(self, size: int) -> None:
        """Wait until a piece of so many bytes is through all links."""
        through = max((bucket.through(size) for bucket in self._buckets), default=-math.inf)
        while (left := through - self._clock()) > 0:
            time.sleep(min(left, 1.0))
