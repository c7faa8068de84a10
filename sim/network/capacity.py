"""Capacities that change with time, exactly: rates that hold from one moment to the next."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network.timing import CLOCK_SLACK

Floats = NDArray[np.float64]

ROUNDING = 2.0**-50
"""Share of a message that may be left when an outage begins, and counts as through."""

BLOCK = 16
"""Rows whose lowest rate is known, so that a search for a low rate skips them."""


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

    Attributes
    ----------
    times, rates : array of float
        Without the times at which the rate stays what it was.
    peak : float
        Highest rate [B/s].
    total : float
        Bytes in a period [B]; inf without one.

    Raises
    ------
    NetworkError
        If a figure is out of range.
    """

    def __init__(
        self, times: Sequence[float] | Floats, rates: Sequence[float] | Floats, period: float | None = None
    ) -> None:
        moments, values = np.asarray(times, float), np.asarray(rates, float)
        if not len(moments) or len(moments) != len(values) or moments[0] != 0:
            raise NetworkError(
                f"{len(moments)} times for {len(values)} rates; there is one for each, and the first is 0"
            )
        lasting = np.diff(moments, append=math.inf if period is None else period)
        if not (lasting > 0).all() or period == math.inf:
            raise NetworkError("times must rise, and the period must be later than the last of them")
        if not ((values >= 0) & (values < math.inf)).all():
            raise NetworkError("rates must be finite and not negative")
        new = np.append(True, values[1:] != values[:-1])
        moments, values = moments[new], values[new]
        lasting = np.diff(moments, append=moments[-1] if period is None else period)
        with np.errstate(over="ignore"):
            carried = lasting * values
            if not math.isfinite(carried.sum()):
                raise NetworkError("rates and times are so large that what is carried is no number any more")
        self.times: array[float] = array("d", moments.tobytes())
        self.rates: array[float] = array("d", values.tobytes())
        self.period = period
        self.peak = float(values.max())
        # Bytes [B] before each time and in all, and what rounding keeps out of them: differences are as exact far into
        # a long course as at its beginning.
        self.sums, self.carries = _running_sums(carried)
        # Likewise, seconds without any capacity [s].
        self.downs, _ = _running_sums(lasting * (values == 0))
        self.dead: array[float] | None = None
        if not values.all():
            self.dead = array("d", (values == 0).astype(float).tobytes())
        self.total = math.inf if period is None else self.sums[-1]
        # The lowest rate of every so many rows.
        self.lowest = array("d", np.minimum.reduceat(values, np.arange(0, len(values), BLOCK)).tobytes())

    @property
    def mean(self) -> float:
        """Mean rate over a period; without one, over what lasts: the last rate, or what came before nothing [B/s]."""
        if self.period is not None:
            return self.total / self.period
        if self.rates[-1] or not self.times[-1]:
            return self.rates[-1]
        return self.sums[-1] / self.times[-1]


def _running_sums(values: Floats) -> tuple[array[float], array[float]]:
    """Sums of all values before each, and of all; and what is to be added to them for the rounding (Knuth's TwoSum)."""
    sums = np.append(0.0, np.cumsum(values))
    before, after = sums[:-1], sums[1:]
    added = after - before
    lost = (before - (after - added)) + (values - added)
    return array("d", sums.tobytes()), array("d", np.append(0.0, np.cumsum(lost)).tobytes())


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

    __slots__ = ("_base", "_begin", "_cycle", "_last", "_row", "_until", "course", "scale", "start")

    def __init__(self, course: Course, start: float = 0.0, scale: float = 1.0) -> None:
        if not 0 <= start < math.inf or not 0 <= scale < math.inf:
            raise NetworkError(f"a start of {start} s and a scale of {scale} must be finite and not negative")
        self.course = course
        self.start = start if course.period is None else math.fmod(start, course.period)
        self.scale = scale
        # Where it was looked at last: most of the time, the next look is at the same row or the next.
        self._cycle = self._row = 0
        self._base = 0.0
        self._begin = self._moment(0, 0)
        self._until = self._moment(0, 1)
        # No row has another one after it where the rate never changes.
        self._last = len(course.times) - 1 if scale else 0

    @property
    def mean(self) -> float:
        """Mean rate [B/s]; see `Course.mean`."""
        return self.scale * self.course.mean

    @property
    def peak(self) -> float:
        """Highest rate [B/s]."""
        return self.scale * self.course.peak

    @property
    def constant(self) -> float | None:
        """The rate, if it never changes [B/s]; None if it does."""
        rates, start = self.course.rates, self.start
        if len(rates) == 1 or not self.scale or (self.course.period is None and start >= self.course.times[-1]):
            return self.scale * rates[-1]
        return None

    @property
    def dead_from(self) -> float:
        """Time from which on it carries nothing for ever [s]; inf if there is none."""
        course = self.course
        if not self.peak:
            return 0.0
        if course.period is None and not course.rates[-1]:
            return max(0.0, course.times[-1] - self.start)
        return math.inf

    def scaled(self, factor: float) -> Varying:
        """Return one whose rates are so many times as high."""
        return Varying(self.course, self.start, self.scale * factor)

    def _moment(self, cycle: int, row: int) -> float:
        """When a row begins on the clock [s]: only here, so that all who ask get the same rounding."""
        course = self.course
        if course.period is None:
            return course.times[row] - self.start if row < len(course.times) else math.inf
        if row == len(course.times):
            cycle, row = cycle + 1, 0
        return cycle * course.period + course.times[row] - self.start

    def _next(self, cycle: int, row: int) -> tuple[int, int]:
        return (cycle, row + 1) if row + 1 < len(self.course.times) else (cycle + 1, 0)

    def _locate(self, time: float) -> int:
        """Find the row that holds at a time [s], and note where it is."""
        if self._begin <= time < self._until:
            return self._row
        course, cycle, row = self.course, self._cycle, self._row
        if found := time >= self._until:
            cycle, row = self._next(cycle, row)
            begin, until = self._until, self._moment(cycle, row + 1)
            found = time < until
        if not found:
            cycle, phase = 0, time + self.start
            if course.period is not None:
                cycle = math.floor(phase / course.period)
                phase -= cycle * course.period
            row = max(bisect_right(course.times, phase) - 1, 0)
            # The sums above are rounded in other ways than the moment at which a row begins.
            begin = self._moment(cycle, row)
            while begin > time and (row or course.period is not None):
                cycle, row = (cycle, row - 1) if row else (cycle - 1, len(course.times) - 1)
                begin = self._moment(cycle, row)
            while (until := self._moment(cycle, row + 1)) <= time:
                cycle, row = self._next(cycle, row)
                begin = until
        self._cycle, self._row, self._begin, self._until = cycle, row, begin, until
        self._base = cycle * course.period if course.period is not None else 0.0
        return row

    def rate(self, time: float) -> float:
        """Capacity from a time on, after the changes of that instant [B/s]."""
        return self.scale * self.course.rates[self._locate(time)]

    def next_change(self, time: float) -> float:
        """First time after `time` at which the rate is another one [s]; inf if there is none."""
        rates, row = self.course.rates, self._locate(time)
        if row + 1 < len(rates) or rates[0] != rates[-1] or self.course.period is None:
            return self._until if self.scale else math.inf
        # It ends as it begins: neighbours differ everywhere else.
        return self._moment(self._cycle + 1, 1) if len(rates) > 1 and self.scale else math.inf

    def rate_until(self, time: float) -> tuple[float, float]:
        """Capacity from a time on [B/s], and when it is another one [s]: `rate` and `next_change` at once."""
        row, begin = self._row + 1, self._until
        if self._begin <= time < begin and row <= self._last:
            return self.scale * self.course.rates[row - 1], begin
        if begin <= time and row < self._last:
            course = self.course
            until = self._base + course.times[row + 1] - self.start
            if time < until:
                self._row, self._begin, self._until = row, begin, until
                return self.scale * course.rates[row], until
        return self.rate(time), self.next_change(time)

    def levels(self, end: float, most: int) -> tuple[list[tuple[float, float]], float]:
        """Rates [B/s] with the times from which on they hold, up to an end, to be looked at.

        Parameters
        ----------
        end : float
            Until when [s].
        most : int
            How many of them; where there are more, they are means of as many equal stretches.

        Returns
        -------
        tuple of list of (float, float), and float
            Times and rates; and the length of the stretches that they are means of, 0 where they are exact [s].
        """
        time = 0.0
        found: list[tuple[float, float]] = []
        while time < end and len(found) <= most:
            found.append((time, self.rate(time)))
            time = self.next_change(time)
        if len(found) <= most:
            return found, 0.0
        step = end / most
        times = [number * step for number in range(most + 1)]
        return [(time, self.delivered(time, until) / (until - time)) for time, until in pairwise(times)], step

    def stays_above(self, time: float, least: float) -> float:
        """Time [s] up to which the rate is at least so much [B/s]; at most until the course begins anew."""
        course, bound = self.course, least / self.scale
        rates, lowest, rows = course.rates, course.lowest, len(course.rates)
        row = (self._row if self._begin <= time < self._until else self._locate(time)) + 1
        while row < rows:
            if not row % BLOCK and lowest[row // BLOCK] >= bound:
                row += BLOCK
            elif rates[row] < bound:
                # Its rate is going to be asked for then.
                times, base = course.times, self._base
                self._row, self._begin = row - 1, base + times[row - 1] - self.start
                self._until = until = base + times[row] - self.start
                return until
            else:
                row += 1
        return self._moment(self._cycle, rows)

    def delivered(self, start: float, end: float) -> float:
        """Bytes that it carries between two times [B]."""
        course = self.course
        return self.scale * self._between(start, end, course.rates, course.sums, course.carries)

    def down(self, start: float, end: float) -> float:
        """Seconds between two times during which it carries nothing [s]."""
        course = self.course
        if not self.peak:
            return max(end - start, 0.0)
        return self._between(start, end, course.dead, course.downs) if course.dead is not None else 0.0

    def _between(
        self, start: float, end: float, values: array[float], sums: array[float], carries: array[float] | None = None
    ) -> float:
        """Integral over time of values that hold like the rates, by their running sums."""
        if end <= start:
            return 0.0
        row = self._locate(start)
        cycle = self._cycle
        last = self._locate(end)
        if last == row and cycle == self._cycle:
            return (end - start) * values[row]
        whole = sums[last] - sums[row]
        if carries is not None:
            whole += carries[last] - carries[row]
        if cycle != self._cycle:
            whole += (self._cycle - cycle) * sums[-1]
        before = (start - self._moment(cycle, row)) * values[row]
        return max(whole - before + (end - self._moment(self._cycle, last)) * values[last], 0.0)

    def when(self, start: float, size: float, gone: float = 0.0) -> float:
        """Time at which bytes are through that begin now.

        Parameters
        ----------
        start : float
            Now [s].
        size : float
            How many [B].
        gone : float
            Bytes [B] that they are the rest of, so that they are as exact as a float of this size is: what that, or
            the clock, may have rounded does not wait for an outage to end.

        Returns
        -------
        float
            [s]; inf if never.
        """
        if size <= 0:
            return start
        if not self.peak:
            return math.inf
        course, row = self.course, self._locate(start)
        cycle, left = self._cycle, size / self.scale
        until = self._moment(cycle, row + 1)
        if until == math.inf:
            if course.rates[row]:
                return start + left / course.rates[row]
            began = self._moment(cycle, row) >= start * (1 - CLOCK_SLACK)
            return start if began and self._is_rounding(size, start, gone) else math.inf
        most = (until - start) * course.rates[row]
        if left * (1 - ROUNDING) <= most:
            return min(start + left / course.rates[row], until)
        # A sliver that only rounding leaves must not wait until an outage is over.
        sliver = ROUNDING * left
        left -= most
        # From the beginning of the next row on.
        row += 1
        sums, carries, rates, rows = course.sums, course.carries, course.rates, len(course.times)
        if course.period is not None:
            rest = sums[rows] - sums[row] + (carries[rows] - carries[row])
            if left - sliver > rest:
                left -= rest
                # All whole periods but the last, in which it ends.
                whole = max(math.ceil((left - sliver) / sums[rows]) - 1, 0)
                left -= whole * sums[rows]
                cycle, row = cycle + 1 + whole, 0
        first, row = row, max(bisect_left(sums, sums[row] + left - sliver, row + 1, rows) - 1, row)
        left -= sums[row] - sums[first] + (carries[row] - carries[first])
        while left < 0 and row > first:
            # Rounding put it into a row too late, after others without any capacity.
            row -= 1
            left += sums[row + 1] - sums[row] + (carries[row + 1] - carries[row])
        begin, until = self._moment(cycle, row), self._moment(cycle, row + 1)
        left = max(left, 0.0)
        if not rates[row]:
            # Only rounding can have put it here, or the last row has nothing for the rest of it.
            through = until < math.inf or left <= sliver or self._is_rounding(left * self.scale, begin, gone)
            return begin if through else math.inf
        if self._is_rounding(left * self.scale, begin, gone):
            outage = self._outage_before(cycle, row)
            if outage >= start * (1 - CLOCK_SLACK):
                return max(outage, start)
        return min(begin + left / rates[row], until)

    def _is_rounding(self, left: float, time: float, gone: float) -> bool:
        """Whether bytes [B] that are left at a time [s] are no more than what it, and so many bytes, are rounded by."""
        return left <= CLOCK_SLACK * (time * self.peak + gone)

    def _outage_before(self, cycle: int, row: int) -> float:
        """When what came before a row began, if that is an outage [s]; -inf if it is not."""
        course, begin = self.course, -math.inf
        while row or course.period is not None:
            cycle, row = (cycle, row - 1) if row else (cycle - 1, len(course.rates) - 1)
            if course.rates[row]:
                break
            begin = self._moment(cycle, row)
        return begin


def plain(capacity: float | Varying) -> float | Varying:
    """Return the rate of what never changes [B/s], unless it carries nothing for ever; all else as it is."""
    if isinstance(capacity, Varying):
        return capacity.constant or capacity
    return float(capacity)


def rate_at(capacity: float | Varying, time: float) -> float:
    """What a link can carry from a time [s] on [B/s]."""
    return capacity.rate(time) if isinstance(capacity, Varying) else capacity
