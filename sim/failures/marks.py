"""Random instants of each client, at a constant mean rate, that can be looked up at any time (Poisson processes).

Time is cut into windows. A Poisson process has as many instants in a window as a Poisson distribution draws, uniformly
placed, whatever happens in other windows; so each window of each client has random numbers of its own, and none has to
be gone through to know another.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import accumulate

from parasim_core.sim.support.streams import KeyedStream, Stream

PER_WINDOW = 4
"""Mean number of instants in a window."""
_MOST_KEPT = 16
_PROBABILITIES = [math.exp(-PER_WINDOW) * PER_WINDOW**count / math.factorial(count) for count in range(60)]
_UP_TO = list(accumulate(_PROBABILITIES))
"""Probability of so many instants or fewer in a window."""
_USUALLY = 20


class Marks:
    """A Poisson process for each client.

    Parameters
    ----------
    seed : int
        The scenario's.
    name : str
        The random stream.
    rate : float
        Mean number of instants per second [1/s], above 0.
    kept : callable or None
        Share of the instants that are kept at a time [s], which makes of `rate` the greatest of a rate that varies
        (thinning: Lewis and Shedler, 1979); all if None.
    """

    def __init__(self, seed: int, name: Stream, rate: float, kept: Callable[[float], float] | None = None) -> None:
        self.rate = rate
        self._width = PER_WINDOW / rate
        self._numbers = KeyedStream(seed, name)
        self._thinned = kept
        self._windows: dict[tuple[int, int], list[float]] = {}

    def after(self, client: int, time: float) -> float:
        """First instant later than a time [s]."""
        window = self._window(time)
        while True:
            marks = self._of(client, window)
            if marks and marks[-1] > time:
                return marks[bisect_right(marks, time)]
            window += 1

    def before(self, client: int, time: float, since: float = -math.inf) -> float:
        """Last instant up to a time [s]; -inf if none is later than `since`, at which the search ends."""
        window = self._window(time)
        while True:
            marks = self._of(client, window)
            if marks and marks[0] <= time:
                found = marks[bisect_right(marks, time) - 1]
                return found if found > since else -math.inf
            if window * self._width <= since:
                return -math.inf
            window -= 1

    def _window(self, time: float) -> int:
        # By the bounds as they are rounded below, so that no instant is on one side of a time in one sum and on the
        # other side in another.
        window = math.floor(time / self._width)
        return window + ((window + 1) * self._width <= time) - (window * self._width > time)

    def _of(self, client: int, window: int) -> list[float]:
        """Instants of a window, rising."""
        key = client, window
        if key not in self._windows:
            # What is looked at again at once need not be drawn again; what it holds does not depend on it.
            if len(self._windows) >= _MOST_KEPT:
                self._windows.clear()
            self._windows[key] = self._drawn(client, window)
        return self._windows[key]

    def _drawn(self, client: int, window: int) -> list[float]:
        # Windows before the beginning of a run have odd numbers.
        place = 2 * window if window >= 0 else -2 * window - 1
        numbers = self._numbers.uniform(_USUALLY, client, place)
        count = bisect_left(_UP_TO, numbers[0])
        needed = 1 + count * (2 if self._thinned else 1)
        if needed > _USUALLY:
            numbers = self._numbers.uniform(needed, client, place)
        marks = [(window + number) * self._width for number in numbers[1 : count + 1]]
        if (kept := self._thinned) is not None:
            marks = [mark for mark, number in zip(marks, numbers[count + 1 :], strict=False) if number < kept(mark)]
        return sorted(marks)
