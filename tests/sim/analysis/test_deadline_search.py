"""Searching lists of values: the least, or the most, that meets a deadline, with its neighbour on the other side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.analysis.deadline_search import (
    around_line,
    deadline_search,
    decimals,
    nearest_position,
    secant_search,
    spread,
)

NUMBERS = decimals(0, 3)


def test_decimals_are_all_numbers_of_four_digits():
    assert (len(NUMBERS), NUMBERS[0], NUMBERS[1], NUMBERS[8999], NUMBERS[9000]) == (27000, 1.0, 1.001, 9.999, 10.0)
    assert NUMBERS[26999] == 999.9
    assert NUMBERS[:3] == [1.0, 1.001, 1.002]
    # As text is read: not one of them is a rounding away from the number that a file would hold.
    small = decimals(-3, 0)
    assert small == [float(f"{number}e{power}") for power in (-6, -5, -4) for number in range(1000, 10_000)]


@given(st.integers(0, len(NUMBERS) - 1))
def test_nearest_is_the_inverse(position: int):
    assert nearest_position(NUMBERS, NUMBERS[position]) == position
    assert float(f"{NUMBERS[position]:.4g}") == NUMBERS[position]


@given(st.integers(0, 500), st.integers(2, 40))
def test_least_and_most_have_their_neighbours(first: int, points: int):
    # The runtime is the position itself, so that a deadline of `first` is met up to there, and its mirror from there.
    size = 501
    most = deadline_search(lambda positions: [float(p) for p in positions], spread(size, points), first, most=True)
    assert (most.index, most.beside) == (first, first + 1 if first < size - 1 else None)
    least = deadline_search(
        lambda positions: [float(size - p) for p in positions], spread(size, points), first, most=False
    )
    assert least.index == (size - first if first > 0 else None)
    assert least.beside == (size - first - 1 if first > 0 else None)


def test_a_relation_with_two_changes_is_seen():
    times = {0: 5.0, 1: 1.0, 2: 5.0, 3: 1.0}
    found = deadline_search(lambda positions: [times[p] for p in positions], range(4), 2.0, most=False)
    assert (found.index, found.beside, found.changes) == (1, 0, 3)
    assert deadline_search(lambda positions: [9.0 - p for p in positions], range(4), 2.0, most=False).best == 3


@given(st.floats(0.1, 100), st.floats(0, 500), st.integers(1, 5000))
def test_a_straight_line_is_found_with_few_runs(slope: float, start: float, answer: int):
    asked: set[int] = set()

    def runtimes(positions: Sequence[int]) -> list[float]:
        asked.update(positions)
        return [start + slope * position for position in positions]

    deadline = start + slope * (answer + 0.5)
    found = deadline_search(runtimes, around_line(runtimes, 10_000, deadline), deadline, most=True)
    assert (found.index, found.beside) == (answer, answer + 1)
    assert len(asked) <= 16


@pytest.mark.parametrize("size", [1, 2, 10, 16, 20, 32])
def test_a_short_list_is_not_left(size: int):
    # Runs of 10 s, 11 s, 12 s and so on: within 14.5 s are the first five, or all there are.
    runtimes = [10.0 + position for position in range(size)]

    def at(positions: Sequence[int]) -> list[float]:
        assert all(0 <= position < size for position in positions)
        return [runtimes[position] for position in positions]

    found = deadline_search(at, around_line(at, size, 14.5), 14.5, most=True)
    assert (found.index, found.beside) == ((4, 5) if size > 5 else (size - 1, None))


@pytest.mark.parametrize("ends", [3, 20])
def test_runs_that_come_to_no_end_are_too_long(ends: int):
    # Runs of 10 s, 11 s, 12 s and so on, none of which ends from some position on: within 100 s are those before it.
    def at(positions: Sequence[int]) -> list[float]:
        return [10.0 + position if position < ends else math.inf for position in positions]

    found = deadline_search(at, around_line(at, 50, 100.0), 100.0, most=True)
    assert (found.index, found.beside) == (ends - 1, ends)


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 50)), min_size=1, max_size=4), st.floats(1, 900))
def test_secants_find_the_first_without_excess(pieces: list[tuple[float, float]], guess: float):
    # Excess of several transfers that each have so long: the largest of size / value - time.
    def excess(position: int) -> float:
        return max(size / NUMBERS[position] - time for size, time in pieces)

    found, below = secant_search(excess, NUMBERS, nearest_position(NUMBERS, guess))
    # It never rises again, so that the two neighbours say it all.
    assert found is None or excess(found) <= 0
    assert below is None or excess(below) > 0
    assert (len(NUMBERS) if found is None else found) == (-1 if below is None else below) + 1


def test_secants_are_few():
    # 700 / x <= 35 from 20 on.
    asked: list[float] = []

    def excess(position: int) -> float:
        asked.append(NUMBERS[position])
        return 700 / NUMBERS[position] - 35

    found, below = secant_search(excess, NUMBERS, nearest_position(NUMBERS, 90))
    assert found is not None
    assert below is not None
    assert (NUMBERS[found], NUMBERS[below]) == (20.0, 19.99)
    assert len(asked) < 12
