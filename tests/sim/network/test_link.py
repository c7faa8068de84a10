"""What a link could carry before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parasim_core.sim.network.alone import alone_and_stalled
from parasim_core.sim.network.link import Link
from tests.growth import exponent


@pytest.fixture
def link() -> Link:
    """10 B/s, 20 from 5 s on, nothing from 8 s on, 10 again from 9 s on."""
    link = Link(10)
    for time, capacity in ((5, 20.0), (8, 0.0), (9, 10.0)):
        link.change(time, capacity)
    return link


@pytest.mark.parametrize(
    ("start", "end", "held"),
    [
        (0, 5, [10]),
        (4, 8, [10, 20]),
        # What began at the start holds, and what begins at the end does not yet.
        (5, 9, [20, 0]),
        (8.5, 100, [0, 10]),
        (20, 30, [10]),
        (6, 6, [20]),
    ],
)
def test_what_held_between_two_times(link: Link, start: float, end: float, held: list[float]):
    assert [capacity for _, capacity in link.held_between(start, end)] == held


def test_a_link_that_was_never_told_anything_new():
    assert [capacity for _, capacity in Link(10).held_between(0, 5)] == [10]


def test_a_message_alone_before_and_after_an_outage(link: Link):
    # 80 B from 4 s on: 10 B until 5 s, 60 B until 8 s, nothing until 9 s, and 10 B in the second after that.
    assert alone_and_stalled([link], lambda held: held, 4, 12, 80) == (5, 1)


def test_messages_of_a_link_with_a_long_history_cost_no_more_than_others():
    def work(changes: int) -> Callable[[], object]:
        link = Link(10)
        for time in range(changes):
            link.change(time, float(time % 2))
        return lambda: alone_and_stalled([link], lambda held: held, changes - 3, changes, 1)

    # Sought by halving: a constant and a little.
    assert exponent(work, 100, 10_000) < 0.1
