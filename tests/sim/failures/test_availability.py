"""Availability against renewal theory, within sampling errors that follow from the numbers of clients."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from parasim_core.sim.failures.availability import DAY, RecordedSessions, Sessions, mean_return_rate, share_over_day

HOUR = 3600.0


def error(share: float, clients: int) -> float:
    """Four standard errors of a share."""
    return 4 * math.sqrt(share * (1 - share) / clients)


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("time", [0.0, 40 * DAY])
def test_so_many_are_there_from_the_beginning_on(share: float, time: float):
    sessions = Sessions(1, share, 2 * HOUR)
    there = sum(sessions.there(client, time) for client in range(5000))
    assert there / 5000 == pytest.approx(share, abs=error(share, 5000))


def test_seeds_are_independent():
    # How far the share of 400 clients is from 0.4, in standard errors: over seeds, with mean 0 and variance 1.
    off = []
    for seed in range(100):
        sessions = Sessions(seed, 0.4, 2 * HOUR)
        there = sum(sessions.there(client, DAY) for client in range(400))
        off.append((there - 160) / math.sqrt(400 * 0.4 * 0.6))
    assert statistics.fmean(off) == pytest.approx(0, abs=4 / math.sqrt(100))
    assert statistics.variance(off) == pytest.approx(1, abs=4 * math.sqrt(2 / 100))


def test_sessions_and_gaps_are_exponential():
    # Sessions of 2 h and, at 40 %, gaps of 3 h on average. The first change from any time on comes as late as if a
    # session or gap had just begun (they have no memory), the next ones as they come.
    sessions = Sessions(2, 0.4, 2 * HOUR)
    lengths: dict[bool, list[float]] = {True: [], False: []}
    for client in range(3000):
        time, there = 0.0, sessions.there(client, 0.0)
        for _ in range(4):
            change = sessions.next_change(client, time)
            lengths[there].append(change - time)
            time, there = change, not there
            assert sessions.there(client, time) is there
    for there, mean in ((True, 2 * HOUR), (False, 3 * HOUR)):
        count = len(lengths[there])
        assert statistics.fmean(lengths[there]) == pytest.approx(mean, abs=4 * mean / math.sqrt(count))
        # An exponential's variance is its mean squared, and that of its sample has an error of mean^2 sqrt(8 / n).
        assert statistics.variance(lengths[there]) == pytest.approx(mean**2, abs=4 * mean**2 * math.sqrt(8 / count))


def test_correlation_falls_as_it_should():
    # Of a chain of two states, covariance over a lag t is share (1 - share) exp(-(1 / session + 1 / gap) t). At share
    # 0.5 and sessions of 1 h: 0.25 exp(-2 t / h). Products of +-1/2 have a standard error below 0.25 / sqrt(n).
    sessions = Sessions(3, 0.5, HOUR)
    lag = 0.3 * HOUR
    products = [
        (sessions.there(client, DAY) - 0.5) * (sessions.there(client, DAY + lag) - 0.5) for client in range(5000)
    ]
    assert statistics.fmean(products) == pytest.approx(0.25 * math.exp(-0.6), abs=4 * 0.25 / math.sqrt(5000))


def test_day_and_night():
    # Who is gone at 11:30 is back by 12:30 with probability 1 - exp(-rate), four times the rate of around midnight:
    # an hour's mean of a sine at its top is sin(x) / x of it, with x = pi / 24.
    share, session, ratio = 0.4, 2 * HOUR, 4.0
    swing = 0.6
    rate = mean_return_rate(share, session, swing)
    sessions = Sessions(4, share, session, ratio)
    blunt = math.sin(math.pi / 24) / (math.pi / 24)
    expected = {6 * HOUR: 1 + swing * blunt, 18 * HOUR: 1 - swing * blunt}
    assert (1 + swing) / (1 - swing) == pytest.approx(ratio)
    for moment, factor in expected.items():
        start = 10 * DAY + moment - HOUR / 2
        gone = [client for client in range(6000) if not sessions.there(client, start)]
        back = sum(sessions.next_change(client, start) < start + HOUR for client in gone)
        probability = 1 - math.exp(-rate * factor * HOUR)
        assert back / len(gone) == pytest.approx(probability, abs=error(probability, len(gone)))


@pytest.mark.parametrize(("session", "ratio"), [(0.5 * HOUR, 10.0), (8 * HOUR, 4.0)])
def test_the_mean_share_of_a_day_is_kept(session: float, ratio: float):
    # 16 times of a day give a mean of a smooth period exactly; each client is asked at one of them.
    sessions = Sessions(5, 0.4, session, ratio)
    there = sum(sessions.there(client, DAY * (3 + client % 16 / 16)) for client in range(8000))
    assert there / 8000 == pytest.approx(0.4, abs=error(0.4, 8000))
    # The first day as well: it begins with as many as any other.
    begin = sum(sessions.there(client, 0.0) for client in range(4000)) / 4000
    later = sum(sessions.there(client, 20 * DAY) for client in range(4000)) / 4000
    assert begin == pytest.approx(later, abs=math.sqrt(2) * error(0.4, 4000))


@pytest.mark.parametrize("session", [60.0, 2 * HOUR, 10 * DAY])
@pytest.mark.parametrize("swing", [0.0, 0.6, 0.999])
def test_share_over_a_day_by_small_steps(session: float, swing: float):
    rate = mean_return_rate(0.3, session, swing)
    assert share_over_day(rate, session, swing) == pytest.approx(0.3, rel=1e-6)
    # The slow twin: p' = rate(t) (1 - p) - p / session, by steps of 5 s, implicit so that they are stable.
    share, total, steps = 0.3, 0.0, int(DAY / 5)
    for _ in range(2 if session < DAY else 100):
        total = 0.0
        for number in range(0, steps, 1 if session < DAY else 40):
            step = 5.0 if session < DAY else 200.0
            back = rate * (1 + swing * math.sin(2 * math.pi * (number + 0.5) * 5.0 / DAY))
            share = (share + step * back) / (1 + step * (back + 1 / session))
            total += share * step
    assert total / DAY == pytest.approx(0.3, rel=2e-3)


@pytest.mark.parametrize("share", [0.001, 0.2, 0.999])
@pytest.mark.parametrize("ratio", [1.0, 9.0])
def test_the_same_whatever_is_asked_and_when(share: float, ratio: float):
    draw = random.Random(6)
    sessions = Sessions(6, share, HOUR, ratio)
    path, time, there = [], 0.0, sessions.there(3, 0.0)
    for _ in range(30):
        path.append((time, there))
        time, there = sessions.next_change(3, time), not there
    # One who forgets all and is asked in any order, also about others.
    for _ in range(100):
        asked = Sessions(6, share, HOUR, ratio)
        asked.there(draw.randrange(10), draw.uniform(0, time))
        place = draw.randrange(len(path) - 1)
        moment = draw.uniform(path[place][0], path[place + 1][0])
        assert asked.there(3, moment) is path[place][1]
        assert asked.next_change(3, moment) == path[place + 1][0]
        assert asked.there(3, path[place][0]) is path[place][1]


def test_recorded_by_hand():
    # There from 10 to 20 and from 30 to 40, repeated every 40 s: it leaves at 40 and is back at 50.
    sessions = RecordedSessions([[(10, 20), (30, 40)], [(0, 20), (30, 40)], [], [(0, 5), (5, 9)]], first=2)
    assert [sessions.there(2, time) for time in (0, 10, 19.9, 20, 35, 40, 50, 75)] == [
        *(False, True, True, False, True, False, True, True)
    ]
    assert [sessions.next_change(2, time) for time in (0, 10, 20, 35, 40, 50)] == [10, 20, 30, 40, 50, 60]
    # Where the first begins at 0, the last one goes on in it: 30 to 60.
    assert [sessions.next_change(3, time) for time in (0, 20, 30, 45, 60)] == [20, 30, 60, 60, 70]
    assert sessions.there(3, 45)
    # Without any it is never there, and with one that never ends always.
    assert (sessions.there(4, 7), sessions.next_change(4, 7)) == (False, math.inf)
    assert (sessions.there(5, 5), sessions.there(5, 100), sessions.next_change(5, 7)) == (True, True, math.inf)
    # Clients beyond the lists take turns.
    assert sessions.next_change(6, 0) == 10


def test_recorded_changes_have_happened_when_they_were_told_for():
    # Of a period that no sum of times is exact for.
    sessions = RecordedSessions([[(0.1, 0.7), (1.3, 2.2 / 3 + 1)], [(0.0, 0.1), (0.3, 1 / 3)]])
    for client in (0, 1):
        time, there = 0.0, sessions.there(client, 0.0)
        for _ in range(3000):
            later = sessions.next_change(client, time)
            assert later > time
            time, there = later, not there
            assert sessions.there(client, time) is there
