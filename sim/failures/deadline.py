"""Deadlines that follow the rounds so far."""

from __future__ import annotations

from bisect import bisect_left, insort

LEAST_ROUNDS = 3
"""Before so many rounds there is no deadline."""


class AdaptiveDeadline:
    """So many times the median of the rounds so far, and so many times their median absolute deviation.

    Parameters
    ----------
    median, mad : float
        How many times.
    """

    def __init__(self, median: float, mad: float) -> None:
        self._median = median
        self._mad = mad
        self._durations: list[float] = []

    def add(self, duration: float) -> None:
        """Learn how long a round took, from its opening to its aggregation [s]."""
        insort(self._durations, duration)

    @property
    def seconds(self) -> float | None:
        """From the next round's opening to its deadline [s]; None if there is none yet."""
        durations = self._durations
        if len(durations) < LEAST_ROUNDS:
            return None
        low, high = (len(durations) - 1) // 2, len(durations) // 2
        median = (durations[low] + durations[high]) / 2
        deviation = (_nearest(durations, median, low + 1) + _nearest(durations, median, high + 1)) / 2
        return self._median * median + self._mad * deviation


def _nearest(values: list[float], centre: float, count: int) -> float:
    """Distance from a centre within which so many of some rising values lie, without looking at all of them."""
    # They stand in a row; moved to the right, their left end comes nearer and their right end goes away.
    starts = range(len(values) - count + 1)
    first = bisect_left(starts, True, key=lambda start: values[start + count - 1] - centre >= centre - values[start])
    rows = (start for start in (first - 1, first) if start in starts)
    return min(max(centre - values[start], values[start + count - 1] - centre) for start in rows)
