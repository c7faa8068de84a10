"""Quantiles and probabilities from samples, with intervals that assume nothing about the distribution.

The number of n samples below the p-quantile is binomial, so order statistics enclose it with a known probability; an
event that k of n samples had has Clopper and Pearson's interval. Both are exact and neither needs a density.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from parasim_core.sim.replay.conditions import Floats


def quantile_ranks(samples: int, probability: float, confidence: float) -> tuple[int | None, int | None]:
    """Find the order statistics that enclose a quantile.

    Parameters
    ----------
    samples : int
        Number n of independent samples.
    probability : float
        The quantile, in (0, 1).
    confidence : float
        Least probability that they enclose it, in (0, 1); what is missing is divided evenly between both sides.

    Returns
    -------
    tuple of (int or None, int or None)
        Positions in the sorted samples, from 0, between which the quantile lies; None where they are too few to say.

    Notes
    -----
    With B binomial (n, p), the sample of rank i (from 1) lies above the quantile with probability P(B < i) at most
    and below it with P(B >= i) at most (David and Nagaraja, Order Statistics, section 7.1).
    """
    below = np.cumsum(_binomial(samples, probability))
    tail = (1 - confidence) / 2
    # below[k] is P(B <= k).
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return low - 1 if low >= 1 else None, high - 1 if high <= samples else None


def quantile_rank(samples: int, probability: float) -> int:
    """Position of the sample that stands for a quantile: the least that a share `probability` does not exceed."""
    return max(0, min(samples, math.ceil(probability * samples - 1e-9)) - 1)


def probability_interval(hits: int, samples: int, confidence: float) -> tuple[float, float]:
    """Enclose the probability of an event that `hits` of `samples` had (Clopper and Pearson 1934).

    Parameters
    ----------
    hits, samples : int
        Of 0 to `samples`.
    confidence : float
        Least probability that the interval encloses it.
    """
    tail = (1 - confidence) / 2
    low = _bisect(lambda p: float(_binomial(samples, p)[hits:].sum()) > tail) if hits else 0.0
    high = _bisect(lambda p: float(_binomial(samples, p)[: hits + 1].sum()) <= tail) if hits < samples else 1.0
    return low, high


def _bisect(holds: Callable[[float], bool]) -> float:
    """Find where in (0, 1) a monotone condition begins to hold."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return (low + high) / 2


def _binomial(samples: int, probability: float) -> Floats:
    """Probabilities of 0 to n hits."""
    hits = np.arange(samples + 1, dtype=np.float64)
    # Of n! / (k! (n - k)!), by sums of logarithms, which no power over- or underflows.
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, samples + 1)))])
    choose = factorial[-1] - factorial - factorial[::-1]
    mass: Floats = np.exp(choose + hits * math.log(probability) + (samples - hits) * math.log1p(-probability))
    return mass
