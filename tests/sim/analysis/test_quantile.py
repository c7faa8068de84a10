"""Intervals of quantiles and probabilities: against textbook cases, and their coverage on a known distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.analysis.quantile import probability_interval, quantile_rank, quantile_ranks


def binomial(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def test_the_median_of_ten():
    # B binomial (10, 1/2): P(B <= 1) = 11/1024 <= 0.025 < P(B <= 2) = 56/1024. So the 2nd and the 9th sample enclose
    # the median with probability 1 - 2 * 11/1024 = 0.979 (counted from 0: 1 and 8).
    assert quantile_ranks(10, 0.5, 0.95) == (1, 8)


def test_too_few_samples_know_nothing():
    # All of 5 samples lie below the 0.99-quantile with probability 0.95 > 0.025.
    assert quantile_ranks(5, 0.99, 0.95)[1] is None
    assert quantile_ranks(5, 0.01, 0.95)[0] is None


@given(n=st.integers(1, 60), p=st.floats(0.02, 0.98), confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_order_statistics_enclose_as_often_as_they_say(n: int, p: float, confidence: float):
    # Sample i (from 0) exceeds the quantile if at most i samples lie below it: P(B <= i).
    low, high = quantile_ranks(n, p, confidence)
    tail = (1 - confidence) / 2 + 1e-9
    if low is not None:
        assert sum(binomial(k, n, p) for k in range(low + 1)) <= tail
        # The next sample would already be too high.
        assert sum(binomial(k, n, p) for k in range(low + 2)) > tail - 2e-9
    if high is not None:
        assert sum(binomial(k, n, p) for k in range(high + 1, n + 1)) <= tail


@given(n=st.integers(1, 100_000), p=st.floats(0.001, 0.999))
def test_the_estimate_lies_within(n: int, p: float):
    low, high = quantile_ranks(n, p, 0.95)
    rank = quantile_rank(n, p)
    assert 0 <= rank < n
    assert low is None or low <= rank
    assert high is None or rank <= high


def test_a_share_of_the_samples_does_not_exceed_the_estimate():
    # Of 10 samples, 9 are not above the 9th: that is the 0.9-quantile, although 0.9 * 10 is no exact 9 in binary.
    assert quantile_rank(10, 0.9) == 8
    assert quantile_rank(10, 0.91) == 9


def test_coverage_on_a_known_distribution():
    # Quantile of the exponential distribution: -ln(1 - p). 2,000 experiments of 200 samples; the interval is exact or
    # conservative, and 0.95 less five standard deviations of the count is 0.926.
    random = np.random.default_rng(0)
    truth = -math.log(0.1)
    low, high = quantile_ranks(200, 0.9, 0.95)
    samples = np.sort(random.exponential(size=(2000, 200)), axis=1)
    covered = np.mean((samples[:, low] <= truth) & (truth <= samples[:, high]))
    assert covered >= 0.926


def test_clopper_and_pearson():
    # No hit in n: (0, 1 - 0.025**(1/n)). All hits: its mirror image.
    low, high = probability_interval(0, 50, 0.95)
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 50), abs=1e-9))
    low, high = probability_interval(50, 50, 0.95)
    assert (low, high) == (pytest.approx(0.025 ** (1 / 50), abs=1e-9), 1.0)


@given(n=st.integers(1, 50), data=st.data())
def test_the_ends_of_an_interval_are_just_possible(n: int, data: st.DataObject):
    hits = data.draw(st.integers(0, n))
    low, high = probability_interval(hits, n, 0.95)
    assert low <= hits / n <= high
    # At the lower end, as many hits or more have probability 0.025; at the upper end, as many or fewer.
    if hits:
        assert sum(binomial(k, n, low) for k in range(hits, n + 1)) == pytest.approx(0.025, abs=1e-6)
    if hits < n:
        assert sum(binomial(k, n, high) for k in range(hits + 1)) == pytest.approx(0.025, abs=1e-6)
