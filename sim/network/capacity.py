"""Capacities that change with time, exactly: rates that hold from one moment to the next."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from sim.errors import NetworkError


class Course:
    """Rates, each of which holds from its time on; shared by all links that follow it.

    Parameters
    ----------
    times : sequence of float
        Rising, the first 0 [s].
    rates : sequence of float
        From these times on [B/s], finite and not negative.
    period : float or None
        After which it all begins again [s], later than the last time; None if the last rate holds for ever.

    Raises
    ------
    NetworkError
        If a figure is out of range.
    """

    def __init__(self, times: Sequence[float], rates: Sequence[float], period: float | None = None) -> None:
        if not times or len(times) != len(rates) or times[0] != 0:
            raise NetworkError(f"{len(times)} times for {len(rates)} rates; there is one for each, and the first is 0")
        if any(later <= time for time, later in pairwise([*times, math.inf if period is None else period])):
            raise NetworkError("times must rise, and the period must be later than the last of them")
        if not all(0 <= rate < math.inf for rate in rates):
            raise NetworkError("rates must be finite and not negative")
        self.times = times
        self.rates = rates
        self.period = period
        # Bytes up to each time [B].
        self.sums = list(accumulate(((b - a) * r for (a, b), r in zip(pairwise(times), rates, strict=False)), initial=0.0))
        self.total = math.inf if period is None else self.sums[-1] + (period - times[-1]) * rates[-1]

    @property
    def mean(self) -> float:
        """Mean rate over a period; without one, the last rate, which holds for ever [B/s]."""
        return self.rates[-1] if self.period is None else self.total / self.period


class Varying:
    """The capacity of one link that follows a course.

    Parameters
    ----------
    course : Course
        What it follows.
    start : float
        Where in the course the clock's zero is [s], not negative.
    scale : float
        Rates are multiplied by it.
    """

    __slots__ = ("course", "scale", "start")

    def __init__(self, course: Course, start: float = 0.0, scale: float = 1.0) -> None:
        self.course = course
        self.start = start
        self.scale = scale

    @property
    def mean(self) -> float:
        """Mean rate [B/s]; see `Course.mean`."""
        return self.scale * self.course.mean

    def scaled(self, factor: float) -> Varying:
        """Return one whose rates are so many times as high."""
        return Varying(self.course, self.start, self.scale * factor)

    def rate(self, time: float) -> float:
        """Capacity from a time on, after the changes of that instant [B/s]."""
        raise NotImplementedError

    def next_change(self, time: float) -> float:
        """First time after `time` at which the rate is another one [s]; inf if there is none."""
        raise NotImplementedError

    def delivered(self, start: float, end: float) -> float:
        """Bytes that it carries between two times [B]."""
        raise NotImplementedError

    def when(self, start: float, size: float) -> float:
        """Time at which so many bytes [B] are through that begin at `start` [s]; inf if never."""
        raise NotImplementedError
