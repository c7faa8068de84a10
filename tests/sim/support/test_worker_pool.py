"""Worker processes: order, streaming, and what happens when something goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from parasim_core.sim.errors import OutputError
from parasim_core.sim.support.worker_pool import in_order


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise ValueError(f"no {number}")


def die(number: int) -> int:
    os._exit(9)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch", [1, 7])
def test_answers_come_in_the_order_of_the_items(workers: int, batch: int):
    assert list(in_order(square, range(40), workers=workers, batch=batch)) == [n * n for n in range(40)]


@pytest.mark.parametrize("workers", [1, 2])
def test_items_are_read_as_they_are_needed(workers: int):
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            yield read
            read += 1

    answers = in_order(square, endless(), workers=workers, batch=2)
    assert [next(answers) for _ in range(5)] == [0, 1, 4, 9, 16]
    answers.close()
    # 4 batches of 2 ahead for each of 2 workers, and those that were answered.
    assert read <= 5 + 4 * 2 * 2


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_do(workers: int):
    assert list(in_order(square, [], workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_are_raised_here(workers: int):
    with pytest.raises(ValueError, match="no 3"):
        list(in_order(refuse, [3, 4], workers=workers))


def test_a_worker_that_is_killed_is_an_error_that_says_so():
    with pytest.raises(OutputError, match="killed"):
        list(in_order(die, range(4), workers=2))
