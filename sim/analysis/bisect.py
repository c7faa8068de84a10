"""The least value of a quantity from which on something holds, by bisection of simulated runs."""

from __future__ import annotations

import math
from collections.abc import Callable


def bisect(holds: Callable[[float], bool], low: float, high: float, *, whole: bool, precision: float = 1e-4) -> float:
    """Bisect between a value at which a monotone condition fails and one at which it holds.

    Parameters
    ----------
    holds : callable
        The condition; false at `low`, true at `high`, and changing once between them.
    low, high : float
        Positive bounds.
    whole : bool
        Whether only whole numbers count.
    precision : float
        Relative width at which to stop.

    Returns
    -------
    float
        The least whole number, or a value at most `precision` above the least one, at which it holds.
    """
    while high - low > 1 if whole else high > low * (1 + precision):
        middle = float(round((low + high) / 2)) if whole else math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
