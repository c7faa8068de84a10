"""Searching a rising list of values for the least, or the most, with which a run meets a deadline.

Values are taken from a list, so that the one found has a next one on its other side: the answer is the least of that
list, not the least up to some tolerance. Nothing is taken for granted about how the runtime depends on the value: a
scan finds between which two values the condition changes, and how often it does.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

DIGITS = 4
"""Digits of quantities that are not whole numbers: a step is at most a thousandth."""
_FEW = 12
"""After so many secants, halving the range is the safer way."""


@cache
def decimals(lowest: int, highest: int) -> list[float]:
    """Return all numbers of four digits from ``10**lowest`` up to the last one below ``10**highest``, rising."""
    mantissas = np.arange(10 ** (DIGITS - 1), 10**DIGITS, dtype=np.float64)
    exponents = range(lowest - DIGITS + 1, highest - DIGITS + 1)
    # Powers that a float holds exactly, so that every product or quotient is the number that a file would hold.
    scaled = (mantissas * 10.0**power if power >= 0 else mantissas / 10.0**-power for power in exponents)
    return [value for decade in scaled for value in decade.tolist()]


def nearest_position(values: Sequence[float], value: float) -> int:
    """Position, in a list of `decimals`, of the number nearest to a positive value."""
    return min(bisect_left(values, float(f"{value:.{DIGITS - 1}e}")), len(values) - 1)


@dataclass(frozen=True)
class Found:
    """Where a deadline begins or ceases to be met.

    Attributes
    ----------
    index : int or None
        Position of the least, or the most, value that meets it; None if no scanned one does.
    beside : int or None
        Position next to it on the side that was wanted, where it is missed; None at the end of the list.
    best : int
        Position with the shortest of the scanned runtimes.
    changes : int
        How often the scan changed between met and missed: more than once is no monotone relation.
    """

    index: int | None
    beside: int | None
    best: int
    changes: int


RuntimesAt = Callable[[Sequence[int]], Sequence[float]]
"""Wall-clocks at some positions of a list of values [s]."""


def deadline_search(runtimes: RuntimesAt, scan: Sequence[int], deadline: float, *, most: bool) -> Found:
    """Find the least, or the most, position whose runtime is within a deadline.

    Parameters
    ----------
    runtimes : callable
        Asked for the scan at once, then for one position after the other.
    scan : sequence of int
        Positions to begin with, rising. Its first and last ones bound the search.
    deadline : float
        [s].
    most : bool
        Whether the most is wanted, not the least.
    """
    times = runtimes(scan)
    met = [time <= deadline for time in times]
    best = scan[min(range(len(scan)), key=lambda number: times[number])]
    changes = sum(one != other for one, other in pairwise(met))
    if not any(met):
        return Found(None, None, best, changes)
    number = len(met) - 1 - met[::-1].index(True) if most else met.index(True)
    outside = number + 1 if most else number - 1
    if not 0 <= outside < len(scan):
        return Found(scan[number], None, best, changes)
    meets, misses = neighbours(lambda position: runtimes([position])[0] <= deadline, scan[number], scan[outside])
    return Found(meets, misses, best, changes)


def neighbours(holds: Callable[[int], bool], inside: int, outside: int) -> tuple[int, int]:
    """Halve the way from a position where a condition holds to one where it does not, until they are neighbours."""
    while abs(inside - outside) > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside, outside


def spread(size: int, most: int) -> list[int]:
    """Choose at most so many positions of a list, evenly, its first and last ones among them."""
    if size <= most:
        return list(range(size))
    return sorted({round(number * (size - 1) / max(most - 1, 1)) for number in range(most)})


def around_line(runtimes: RuntimesAt, size: int, deadline: float) -> list[int]:
    """Choose positions around the one where the straight line through two short runs meets a deadline.

    Parameters
    ----------
    runtimes : callable
        Asked for positions 15 and 31, or the last one; infinite where a run comes to no end.
    size : int
        Length of the list of values.
    deadline : float
        [s].
    """
    one, other = min(15, size - 1), min(31, size - 1)
    first, second = runtimes([one, other])
    if math.isinf(second):
        guess = 0.0 if math.isinf(first) else float(one)
    else:
        slope = (second - first) / (other - one) if other > one else 0.0
        guess = other + (deadline - second) / slope if slope > 0 else float(size)
    guess = round(min(max(guess, 0.0), 2.0 * size))
    near = (0, guess // 2, guess - 8, guess - 1, guess, guess + 1, guess + 8, 2 * guess + 1)
    positions = {position for position in near if 0 <= position < size}
    # Without a position above the guess that is missed, the search would end there.
    return sorted(positions if max(positions) > guess else positions | {size - 1})


def secant_search(excess: Callable[[int], float], values: Sequence[float], guess: int) -> tuple[int | None, int | None]:
    """Find the first position with no excess, going by secants of the excess over the reciprocal of the value.

    Times are a transfer's bytes over its bandwidth, so that an excess of time is piecewise linear there, and convex
    where links are not shared: a secant through two values that are too low leads to a third, or to the answer.

    Parameters
    ----------
    excess : callable
        By how much something is exceeded at a position: positive up to somewhere, zero or less from there on.
    values : sequence of float
        Some `decimals`.
    guess : int
        Where to begin.

    Returns
    -------
    tuple of (int or None)
        The first position without an excess, None if there is none, and the one before it, None if there is none.
    """
    low, high = -1, len(values)
    misses: list[tuple[float, float]] = []
    steps = 0
    position = guess
    while high - low > 1:
        position = min(max(position, low + 1), high - 1)
        over = excess(position)
        if over <= 0:
            high = position
        else:
            low = position
            misses.append((1 / values[position], over))
        steps += 1
        position = _next(values, low, high, sorted(misses)[:2], steps)
    return (high if high < len(values) else None), (low if low >= 0 else None)


def _next(values: Sequence[float], low: int, high: int, misses: Sequence[tuple[float, float]], steps: int) -> int:
    """Choose the next position, between the highest that is too low and the lowest that is not."""
    if steps == 1:
        # The guess may be the answer.
        return high - 1 if misses == [] else low + 1
    if steps > _FEW and low >= 0 and high < len(values):
        return (low + high) // 2
    if not misses:
        return nearest_position(values, values[high] / 2)
    (x, over), (other_x, other_over) = misses[0], misses[-1]
    root = x - over * (other_x - x) / (other_over - over) if other_over > over else 0.0
    if root > 0:
        return nearest_position(values, 1 / root)
    return (low + high) // 2 if high < len(values) else nearest_position(values, 2 / x)
