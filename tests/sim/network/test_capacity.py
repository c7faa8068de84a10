from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network.capacity import Course, Varying

# 10 B/s for 2 s, nothing for 3 s, 4 B/s for 5 s: 40 B in 10 s, again and again.
PULSES = Course([0.0, 2.0, 5.0], [10.0, 0.0, 4.0], period=10.0)


def test_rates_hold_from_their_times_on_and_begin_again():
    link = Varying(PULSES)
    assert [link.rate(time) for time in (0.0, 1.9, 2.0, 4.9, 5.0, 9.9, 10.0, 12.0, 105.0)] == [
        10, 10, 0, 0, 4, 4, 10, 0, 4,
    ]  # fmt: skip
    assert [link.next_change(time) for time in (0.0, 1.9, 2.0, 5.0, 10.0, 95.0)] == [2, 2, 5, 10, 12, 100]
    assert (link.mean, link.peak) == (4.0, 10.0)


def test_a_link_begins_anywhere_and_is_scaled():
    # From 4 s of the course on, at half the rates: nothing until 1 s, 2 B/s until 6 s, then 5 B/s until 8 s.
    link = Varying(PULSES, start=24.0, scale=0.25).scaled(2.0)
    assert [link.rate(time) for time in (0.0, 1.0, 6.0, 8.0)] == [0.0, 2.0, 5.0, 0.0]
    assert link.delivered(0.5, 7.0) == pytest.approx(2.0 * 5 + 5.0 * 1, rel=1e-15)
    assert link.when(0.5, 15.0) == pytest.approx(7.0, rel=1e-15)
    assert link.mean == 2.0


def test_bytes_are_through_before_an_outage_and_not_after_it():
    link = Varying(PULSES)
    assert link.when(0.0, 20.0) == 2.0
    assert link.when(0.0, 20.0 + 1e-9) == pytest.approx(5.0, rel=1e-9)
    # Whole periods: 400 B end when the hundredth second does; one period less 20 B is at the end of a pulse.
    assert link.when(0.0, 400.0) == 100.0
    assert link.when(0.0, 420.0) == 102.0
    assert link.when(3.0, 1.0) == 5.25
    assert link.down(1.0, 4.0) == 2.0
    assert link.down(3.0, 23.0) == 6.0


def test_the_last_rate_holds_for_ever():
    link = Varying(Course([0.0, 60.0], [10.0, 2.0]))
    assert link.next_change(60.0) == math.inf
    assert link.when(50.0, 190.0) == 60.0 + 45.0
    assert link.delivered(50.0, 105.0) == 100.0 + 90.0
    assert link.mean == 2.0
    assert link.dead_from == math.inf
    dead = Varying(Course([0.0, 60.0], [10.0, 0.0]), start=20.0)
    assert dead.dead_from == 40.0
    assert dead.when(0.0, 400.0) == 40.0
    assert dead.when(0.0, 401.0) == dead.when(40.0, 1.0) == math.inf
    assert Varying(Course([0.0], [0.0])).dead_from == 0.0


def test_what_never_changes_is_constant():
    assert Varying(Course([0.0], [3.0]), scale=2.0).constant == 6.0
    assert Varying(Course([0.0, 1.0, 2.0], [3.0, 3.0, 3.0], period=4.0)).constant == 3.0
    # All changes were before it began.
    assert Varying(Course([0.0, 60.0], [10.0, 2.0]), start=60.0).constant == 2.0
    assert Varying(PULSES).constant is None
    # It ends as it begins: the only changes are at 1 s and 2 s of each period.
    wrapped = Varying(Course([0.0, 1.0, 2.0], [3.0, 5.0, 3.0], period=4.0))
    assert [wrapped.next_change(time) for time in (0.0, 1.0, 2.0, 4.5)] == [1.0, 2.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("times", "rates", "period"),
    [
        ([], [], None),
        ([1.0], [1.0], None),
        ([0.0, 1.0], [1.0], None),
        ([0.0, 2.0, 1.0], [1.0, 1.0, 1.0], None),
        ([0.0, math.nan], [1.0, 1.0], None),
        ([0.0, 1.0], [1.0, 2.0], 1.0),
        ([0.0], [1.0], math.inf),
        ([0.0], [-1.0], None),
        ([0.0], [math.nan], None),
        ([0.0], [math.inf], None),
        ([0.0, 1e300], [1e300, 1.0], None),
    ],
)
def test_courses_that_are_none(times, rates, period):
    with pytest.raises(NetworkError):
        Course(times, rates, period)


@pytest.mark.parametrize(
    ("start", "scale"), [(-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (0.0, -1.0), (0.0, math.inf)]
)
def test_links_that_are_none(start, scale):
    with pytest.raises(NetworkError):
        Varying(PULSES, start, scale)


class Slow:
    """The same by counting rows in rational numbers."""

    def __init__(self, varying: Varying, times, rates, period, horizon):
        self.rows = []
        cycle = 0
        while True:
            for time, rate in zip(times, rates, strict=True):
                begin = Fraction(cycle) * Fraction(period or 0) + Fraction(time) - Fraction(varying.start)
                if begin > horizon:
                    return
                self.rows.append((begin, Fraction(rate) * Fraction(varying.scale)))
            if period is None:
                return
            cycle += 1

    def delivered(self, start, end):
        total = Fraction(0)
        for index, (begin, rate) in enumerate(self.rows):
            until = self.rows[index + 1][0] if index + 1 < len(self.rows) else math.inf
            low, high = max(begin, Fraction(start)), min(until, Fraction(end))
            if high > low:
                total += rate * (high - low)
        return total


rate = st.sampled_from([0.0, 0.0, 1.0, 2.0]) | st.floats(1e-3, 1e6)
steps = st.lists(st.tuples(st.sampled_from([1.0, 0.5]) | st.floats(1e-3, 1e3), rate), min_size=1, max_size=12)


def seconds(most):
    """Draw some [s], down to nanoseconds: floats that are smaller have fewer digits."""
    return st.sampled_from([0.0, 1.0]) | st.floats(1e-9, most)


@given(steps, st.booleans(), seconds(1e4), st.sampled_from([1.0, 0.5, 3.3]), st.data())
def test_courses_agree_with_counting_in_rational_numbers(lengths, repeats, start, scale, data):
    times, rates = [0.0], []
    for length, value in lengths:
        times.append(times[-1] + length)
        rates.append(value)
    period = times.pop() if repeats else None
    times = times[: len(rates)]
    link = Varying(Course(times, rates, period), start, scale)
    begin = data.draw(seconds(2e3))
    end = begin + data.draw(seconds(2e3))
    slow = Slow(link, times, rates, period, Fraction(end) + 1)
    exact = slow.delivered(begin, end)
    # Times on the clock are rounded to 2e-16 of the largest of them.
    loss = 1e-15 * (end + link.start + (period or 0.0) + times[-1]) * link.peak
    assert link.delivered(begin, end) == pytest.approx(float(exact), rel=1e-12, abs=loss)
    for time in (begin, end):
        later = link.next_change(time)
        assert later > time
        if later < math.inf:
            # As soon as it says, and not before.
            assert link.rate(later) != link.rate(time)
            assert link.rate(math.nextafter(later, 0.0)) == link.rate(time)
    if exact > 0:
        # `when` is the inverse of `delivered`, up to the first time at which so much is through.
        size = float(exact)
        arrival = link.when(begin, size)
        # The last byte came just before, and not before an outage.
        assert arrival == begin or link.rate(math.nextafter(arrival, 0.0)) > 0
        assert link.delivered(begin, arrival) == pytest.approx(size, rel=1e-12, abs=2 * loss)
        assert link.when(begin, size / 2) <= arrival


def test_far_into_a_long_course_differences_are_as_exact_as_at_its_beginning():
    # A million seconds of up to 1 GB/s are 5e14 B, of which doubles count sixteenths; half a byte still counts.
    draw = random.Random(3)
    rates = [draw.uniform(0.0, 1e9) for _ in range(1_000_000)] + [0.3, 0.7, 0.2]
    link = Varying(Course(np.arange(len(rates), dtype=float), rates))
    assert link.delivered(1e6, 1e6 + 2.5) == pytest.approx(0.3 + 0.7 + 0.1, rel=1e-9)
    assert link.when(1e6, 1.05) == pytest.approx(1e6 + 2.25, rel=1e-14)
    before, after = 999_990.25, 999_999.75
    exact = sum(Fraction(rates[second]) for second in range(999_991, 999_999))
    exact += Fraction(rates[999_990]) * Fraction(3, 4) + Fraction(rates[999_999]) * Fraction(3, 4)
    assert link.delivered(before, after) == pytest.approx(float(exact), rel=1e-14)


def test_after_many_periods_a_message_ends_as_it_would_at_first():
    link = Varying(PULSES)
    for cycle in (1, 1000, 10**6):
        assert link.when(10.0 * cycle + 1.0, 18.0) == 10.0 * cycle + 7.0
        assert link.when(1.0, 18.0 + 40.0 * cycle) == 10.0 * cycle + 7.0
