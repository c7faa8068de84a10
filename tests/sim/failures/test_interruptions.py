"""Outages and failures: a renewal process that is looked up, and computing through failures against closed forms."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import pytest

from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures import interruptions as module
from parasim_core.sim.failures.interruptions import Computed, Interruption, Interruptions, compute
from parasim_core.sim.failures.marks import Marks


def in_turn(every: float, length: float, client: int, end: float) -> list[Interruption]:
    """The slow twin: from time 0 on, the first instant after each end."""
    marks = Marks(1, "outages", 1 / every)
    found: list[Interruption] = []
    begin = marks.after(client, 0.0)
    while begin < end:
        found.append(Interruption(begin, begin + length))
        begin = marks.after(client, begin + length)
    return found


@pytest.mark.parametrize("length", [0.0, 0.5, 10.0, 35.0])
def test_looked_up_as_gone_through(length: float):
    draw = random.Random(2)
    for client in range(20):
        expected = in_turn(10.0, length, client, 1000.0)
        asked = Interruptions(1, "outages", 10.0, length)
        for _ in range(20):
            time = draw.uniform(0, 800)
            assert asked.following(client, time) == next(each for each in expected if each.end > time)
        for each, later in pairwise(expected):
            # At its beginning it is under way, at its end over.
            assert asked.following(client, each.begin) == (each if length else later)
            assert asked.following(client, each.end) == later
        start, end = expected[3].begin, expected[5].begin
        # One that begins at the end is not under way before it.
        assert list(asked.between(client, start, end)) == expected[3:5] if length else expected[4:5]
        assert list(asked.between(client, 0, 1000.0)) == expected


def test_renewal_theory():
    # Up for 10 s on average, exponentially; down for 5 s: a third of the time. Over a long time T, time down is
    # normal with variance T every^2 length^2 / (every + length)^3 (alternating renewal processes, Cox 1962).
    every, length, clients, horizon = 10.0, 5.0, 200, 2000.0
    outages = Interruptions(3, "outages", every, length)
    ups, downs = [], []
    for client in range(clients):
        found = list(outages.between(client, 500, 500 + horizon))
        ups += [after.begin - before.end for before, after in pairwise(found)]
        downs.append(sum(min(each.end, 500 + horizon) - max(each.begin, 500) for each in found))
    assert min(ups) >= 0
    assert statistics.fmean(ups) == pytest.approx(every, abs=4 * every / math.sqrt(len(ups)))
    deviation = math.sqrt(horizon * every**2 * length**2 / (every + length) ** 3 / clients)
    assert statistics.fmean(downs) == pytest.approx(horizon / 3, abs=4 * deviation)


class Given(Interruptions):
    """Interruptions by hand."""

    def __init__(self, *found: tuple[float, float]) -> None:
        self.found = [Interruption(*each) for each in found]
        self.every = 1.0

    def following(self, client: int, time: float) -> Interruption:
        return next((each for each in self.found if each.end > time), Interruption(math.inf, math.inf))


def test_computing_by_hand():
    failures = Given((4, 6), (13, 20), (22, 23))
    # From 0 on, 10 s: four are done when it fails; from 6 on the other six, until 12.
    assert compute(failures, 0, 0, 10, resume=True) == Computed(12, down=2, failures=1)
    # Begun anew at 6 it fails again at 13, and at 22, and is done from 23 to 33: 4 + 7 + 2 s are wasted.
    assert compute(failures, 0, 0, 10, resume=False) == Computed(33, down=10, wasted=13, failures=3)
    # To begin during a repair, at 5, is to begin after it; done in the instant of a failure, it is done.
    assert compute(failures, 0, 5, 7, resume=False) == Computed(13, down=1, failures=1)
    # Nothing fails: the same sum as without failures.
    assert compute(failures, 0, 30.1, 0.2, resume=True) == Computed(30.1 + 0.2)


@pytest.mark.parametrize("resume", [True, False])
def test_computing_takes_as_long_as_it_should(resume: bool):
    # Work of s seconds, failures every m seconds of it, repairs of r seconds. If it goes on, there are s / m failures:
    # s + r s / m. If it begins anew, (m + r) (exp(s / m) - 1): see Ross, Introduction to Probability Models.
    work, every, repair, clients = 8.0, 10.0, 3.0, 4000
    failures = Interruptions(4, "failures", every, repair)
    expected = work * (1 + repair / every) if resume else (every + repair) * math.expm1(work / every)
    took = []
    for client in range(clients):
        done = compute(failures, client, 0.0, work, resume=resume)
        took.append(done.end)
        assert done.end == pytest.approx(work + done.down + done.wasted)
        assert done.down == pytest.approx(done.failures * repair)
    assert statistics.fmean(took) == pytest.approx(expected, abs=4 * statistics.stdev(took) / math.sqrt(clients))


def test_what_is_never_done_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_ATTEMPTS", 100)
    failures = Interruptions(4, "failures", 1.0, 0.0)
    with pytest.raises(SimulationError, match="client 3: an update of 60 s is not done"):
        compute(failures, 3, 0.0, 60.0, resume=False)
    assert compute(failures, 3, 0.0, 60.0, resume=True).end == pytest.approx(60)
