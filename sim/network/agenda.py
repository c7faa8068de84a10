"""What comes next in a tree: heaps with entries that may be void, and the links that are to be looked at."""

from __future__ import annotations

import heapq
import math
from bisect import insort
from operator import itemgetter
from typing import Any

from parasim_core.sim.network.timing import AFTER


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


MOST_IN_ORDER = 1 << 14
"""At most so many looks are put in order at a time."""


def _earlier(look: tuple[float, Any]) -> float:
    return -look[0]


class Agenda:
    """Links by the time of their next look, which is `wake` [s] of the link; every link has one at most.

    In a heap of thousands of links that change every second, each look would go through memory all over. So looks that
    are further away are only collected. As soon as none is left before them, the first quarter is put in order.

    Attributes
    ----------
    near : list of (float, link)
        Times of looks [s] and links, in order, the next one last. Void if it is not the link's `wake`.
    far : list of (float, link)
        All others, in no order.
    horizon : float
        All those are after it, and all near ones are not [s]. What is the same to the clock is on one side: it is
        looked at together.
    """

    __slots__ = ("_most", "far", "horizon", "near")

    def __init__(self) -> None:
        self.near: list[tuple[float, Any]] = []
        self.far: list[tuple[float, Any]] = []
        self.horizon = -math.inf
        # Void ones are dropped when there are more.
        self._most = MOST_IN_ORDER

    def put(self, time: float, link: Any) -> None:
        """Have a link looked at at a time from now on [s], and then only; inf is never."""
        link.wake = time
        if time > self.horizon:
            if time < math.inf:
                self.far.append((time, link))
        else:
            insort(self.near, (time, link), key=_earlier)

    def next(self) -> tuple[float, Any]:
        """Time of the next look [s], and at which link, the last one of `near`; inf and None if there is none."""
        near = self.near
        while near or self._put_in_order():
            entry = near[-1]
            if entry[0] == entry[1].wake:
                return entry
            near.pop()
        return math.inf, None

    def _put_in_order(self) -> bool:
        """Put the first quarter of what was collected in order; False if there is nothing."""
        near, far = self.near, self.far
        if len(far) > self._most:
            far[:] = [entry for entry in far if entry[0] == entry[1].wake]
            self._most = 2 * len(far) + MOST_IN_ORDER
        far.sort(key=itemgetter(0), reverse=True)
        rest = max(3 * len(far) // 4, len(far) - MOST_IN_ORDER)
        while 0 < rest < len(far) and far[rest - 1][0] <= far[rest][0] * AFTER:
            rest -= 1
        near[:] = far[rest:]
        del far[rest:]
        self.horizon = near[0][0] * AFTER if near else -math.inf
        return bool(near)
