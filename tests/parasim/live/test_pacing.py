"""Links are held to their capacities by absolute deadlines, on a clock that the tests move."""

import time

import pytest

from parasim.live import pacing
from parasim.live.pacing import Bucket, Pace
from parasim_core.sim.network.capacity import Course, Varying


class Clock:
    """A clock that sleeping moves, and waking up too late."""

    def __init__(self, late: float = 0.0):
        self.time = 0.0
        self.late = late

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds + self.late


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pacing.time, "sleep", clock.sleep)
    return clock


def sent(pace: Pace, pieces: int, size: int) -> None:
    for _ in range(pieces):
        pace.wait(size)


def test_a_message_takes_its_size_over_the_rate(clock: Clock) -> None:
    sent(Pace([Bucket(1e6, clock)], clock), 100, 10_000)
    # 1 MB at 1 MB/s.
    assert clock.time == pytest.approx(1.0)


def test_the_slowest_link_counts(clock: Clock) -> None:
    sent(Pace([Bucket(4e6, clock), Bucket(1e6, clock), Bucket(float("inf"), clock)], clock), 100, 10_000)
    assert clock.time == pytest.approx(1.0)


def test_who_wakes_up_late_does_not_fall_behind(clock: Clock) -> None:
    clock.late = 0.004
    sent(Pace([Bucket(1e6, clock)], clock), 100, 10_000)
    # Every piece lasts 10 ms and each is waited for 4 ms too long: only the last one's is left.
    assert clock.time == pytest.approx(1.004)


def test_who_comes_much_too_late_has_lost_that(clock: Clock) -> None:
    pace = Pace([Bucket(1e6, clock)], clock)
    sent(pace, 50, 10_000)
    clock.time += 10
    sent(pace, 50, 10_000)
    # All but what a thread may be late.
    assert clock.time == pytest.approx(11 - pacing.LATEST)


def test_an_idle_link_saves_nothing_up(clock: Clock) -> None:
    bucket = Bucket(1e6, clock)
    sent(Pace([bucket], clock), 10, 10_000)
    clock.time += 5
    sent(Pace([bucket], clock), 10, 10_000)
    assert clock.time == pytest.approx(5.2)


def test_messages_share_a_link_piece_by_piece(clock: Clock) -> None:
    shared = Bucket(1e6, clock)
    # Two messages of one piece each, asked for at the same time: 10 ms and 20 ms.
    assert shared.through(10_000, 0.0) == pytest.approx(0.01)
    assert shared.through(10_000, 0.0) == pytest.approx(0.02)


def test_a_capacity_that_varies_is_followed_within_a_piece(clock: Clock) -> None:
    # 1 MB/s for 1 s, then 2 MB/s: 3 MB take 1 s + 2 MB / 2 MB/s = 2 s; a stall of 1 s in the middle makes it 3.
    bucket = Bucket(Varying(Course([0.0, 1.0], [1e6, 2e6])), clock)
    assert bucket.through(3_000_000, 0.0) == pytest.approx(2.0)
    bucket = Bucket(Varying(Course([0.0, 1.0, 2.0], [1e6, 0.0, 2e6])), clock)
    assert bucket.through(3_000_000, 0.0) == pytest.approx(3.0)


def test_what_comes_in_at_the_rate_of_its_link_is_not_held_up(clock: Clock) -> None:
    pace = Pace([Bucket(1e6, clock), Bucket(10e6, clock)], clock, comes_in=True)
    for number in range(1, 101):
        # A piece of 10 ms is there every 10 ms.
        clock.time = max(clock.time, number * 0.01)
        pace.wait(10_000)
    assert clock.time == pytest.approx(1.0, abs=1e-3)


def test_pieces_are_short_in_time_and_bounded_in_size() -> None:
    assert Pace([Bucket(1e6)]).piece() == 10_000
    assert Pace([Bucket(1.0)]).piece() == pacing.LEAST_PIECE
    assert Pace([]).piece() == pacing.LARGEST_PIECE


def test_real_time_is_kept() -> None:
    start = time.monotonic()
    sent(Pace([Bucket(1e6)]), 20, 10_000)
    # 0.2 s; a busy machine may take longer, none is faster.
    assert time.monotonic() - start >= 0.2
