"""Deadlines by hand and against NumPy, and how long rounds take that do not wait for the slowest."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine.aggregation import at_least
from sim.failures.deadline import AdaptiveDeadline
from sim.support.streams import stream


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


@given(st.lists(st.integers(0, 40) | st.floats(0, 1e6), min_size=3, max_size=40))
def test_as_numpy_says(durations: list[float]):
    median = np.median(durations)
    assert after(durations, 1.5, 2.5) == pytest.approx(
        1.5 * median + 2.5 * np.median(np.abs(np.array(durations) - median)), rel=1e-9, abs=1e-9
    )


def expected_of_fastest(count: int, clients: int, mean: float) -> tuple[float, float]:
    """Mean and standard deviation of the time at which so many of some clients are done, each exponentially.

    With n at work, the next one is done after mean / n, as none of them has a memory: mean (1/n + 1/(n-1) + ...).
    """
    parts = [mean / (clients - done) for done in range(count)]
    return math.fsum(parts), math.sqrt(math.fsum(part**2 for part in parts))


def test_order_statistics_by_hand():
    # The second of three: 1/3 + 1/2.
    assert expected_of_fastest(2, 3, 1.0)[0] == pytest.approx(5 / 6)


@pytest.mark.parametrize(("over_selection", "quorum"), [(1.0, 1.0), (1.3, 1.0), (1.3, 0.8), (2.0, 0.5)])
def test_rounds_that_do_not_wait_for_stragglers(over_selection: float, quorum: float):
    # Of 10 that are wanted, ceil(o x 10) compute, and ceil(q x 10) are enough.
    selected, enough = at_least(over_selection, 10), at_least(quorum, 10)
    draws, rounds = stream(1, "jitter"), 4000
    took = [sorted(draws.exponential(30.0, selected))[enough - 1] for _ in range(rounds)]
    mean, deviation = expected_of_fastest(enough, selected, 30.0)
    assert statistics.fmean(took) == pytest.approx(mean, abs=4 * deviation / math.sqrt(rounds))
