"""Links of limited capacity without root: whoever sends or takes a piece waits until it would be through.

Every link has a bucket. Pieces of all messages on it queue up in the order in which they come, one of each message at
a time, so that messages share it evenly, and one that something else slows down leaves its share to the others: max-min
fairness, but for the size of a piece. A message asks for its next piece at the time at which the one before was to be
through, not when its thread woke up after that: what is late by that does not add up.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

from parasim_core.sim.network.capacity import Varying

LATEST = 0.05
"""A thread that wakes up later than this has lost that time [s]."""
PIECE_SECONDS, LEAST_PIECE, LARGEST_PIECE = 0.01, 4 << 10, 256 << 10
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
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """What it carries now [B/s]."""
        capacity = self._capacity
        if not isinstance(capacity, Varying):
            return capacity
        with self._lock:
            return capacity.rate(self._clock())

    def through(self, size: int, asked: float) -> float:
        """Put a piece of so many bytes in line that is there at a time [s]; return when it is through [s]."""
        if self._capacity == math.inf:
            return asked
        with self._lock:
            self._free_at = self._ends(max(self._free_at, asked), size)
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
        Of all links on its way that are limited here, first the client's own.
    clock : callable
        The buckets' clock [s].
    comes_in : bool
        Whether pieces come in over them: such a one is there as soon as it would be through the first.
    """

    def __init__(
        self, buckets: Sequence[Bucket], clock: Callable[[], float] = time.monotonic, *, comes_in: bool = False
    ):
        self._buckets = buckets
        self._clock = clock
        self._comes_in = comes_in
        self._at = clock()
        self._late = 0.0

    def piece(self) -> int:
        """Size of the next piece [B]."""
        rate = min((bucket.rate for bucket in self._buckets), default=math.inf)
        return int(min(max(rate * PIECE_SECONDS, LEAST_PIECE), LARGEST_PIECE))

    def wait(self, size: int) -> None:
        """Wait until a piece of so many bytes is through all links."""
        # What goes out was there all the time; what comes in is only late by as much as its thread was.
        asked = self._clock() - LATEST
        if self._comes_in:
            rate = self._buckets[0].rate
            asked = self._clock() - self._late - (size / rate if rate else 0.0)
        asked = max(self._at, asked)
        self._at = max((bucket.through(size, asked) for bucket in self._buckets), default=asked)
        while (left := self._at - self._clock()) > 0:
            time.sleep(min(left, 1.0))
        self._late = min(-left, LATEST)
