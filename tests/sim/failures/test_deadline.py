"""Deadlines by hand and against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.failures.deadline import AdaptiveDeadline


def after(durations: list[float], median: float = 1.0, mad: float = 3.0) -> float | None:
    deadline = AdaptiveDeadline(median, mad)
    for duration in durations:
        deadline.add(duration)
    return deadline.seconds


def test_by_hand():
    assert after([]) is after([10, 12]) is None
    # Median 11, deviations 1, 1 and 9.
    assert after([10, 12, 20, 11][:3]) == 12 + 3 * 2
    # Median 11.5, deviations 1.5, 0.5, 8.5 and 0.5: half of 0.5 + 1.5.
    assert after([10, 12, 20, 11]) == 11.5 + 3 * 1.0
    assert after([10, 12, 20, 11], median=2, mad=0) == 23
    assert after([5, 5, 5, 5]) == 5


def test_rounds_that_differ_by_a_rounding():
    # Two last 11 s, two one unit in the last place less: the mean of the middle ones is rounded to 11 s. Two of the
    # deviations are nothing and two are that unit, so that their median is half of it.
    less = math.nextafter(11.0, 0.0)
    assert after([less, 11.0, less, 11.0], median=1, mad=0) == 11.0
    assert after([less, 11.0, less, 11.0], median=0, mad=2) == 11.0 - less


@given(st.lists(st.integers(0, 40) | st.floats(0, 1e6), min_size=3, max_size=40))
def test_as_numpy_says(durations: list[float]):
    median = np.median(durations)
    assert after(durations, 1.5, 2.5) == pytest.approx(
        1.5 * median + 2.5 * np.median(np.abs(np.array(durations) - median)), rel=1e-9, abs=1e-9
    )
