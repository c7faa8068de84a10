"""Poisson processes that are looked up: counts, places, and the same answers whatever was asked before."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import pytest

from parasim_core.sim.failures import marks as module
from parasim_core.sim.failures.marks import Marks
from parasim_core.sim.support.streams import KeyedStream


def listed(marks: Marks, client: int, start: float, end: float) -> list[float]:
    found, time = [], start
    while (time := marks.after(client, time)) <= end:
        found.append(time)
    return found


def test_counts_are_those_of_a_poisson_process():
    # In 50 s at 0.2/s: 10 on average, with variance 10. Of 4,000 clients, the mean has a standard error of
    # sqrt(10 / 4000) = 0.05, the variance one of 10 sqrt(2 / 4000) = 0.22, and a little more for it is no Gaussian.
    marks = Marks(1, "outages", 0.2)
    counts = [len(listed(marks, client, 1000, 1050)) for client in range(4000)]
    assert statistics.fmean(counts) == pytest.approx(10, abs=4 * 0.05)
    assert statistics.variance(counts) == pytest.approx(10, abs=4 * 0.24)


def test_times_in_between_are_exponential():
    # Mean 5 s and standard deviation 5 s; of n, the mean has a standard error of 5 / sqrt(n), the variance one of
    # 25 sqrt(8 / n). Across the borders of windows as well, which are 20 s long.
    times = listed(Marks(2, "outages", 0.2), 0, 0, 40_000)
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) > 7000
    assert statistics.fmean(gaps) == pytest.approx(5, abs=4 * 5 / math.sqrt(len(gaps)))
    assert statistics.variance(gaps) == pytest.approx(25, abs=4 * 25 * math.sqrt(8 / len(gaps)))


def test_thinned_where_they_are_to_be_rare():
    # Of 0.2/s, all are kept in odd seconds and a quarter in even ones.
    marks = Marks(3, "outages", 0.2, lambda time: 1.0 if math.floor(time) % 2 else 0.25)
    times = listed(marks, 0, 0, 40_000)
    odd = sum(math.floor(time) % 2 for time in times)
    for count, mean in ((odd, 4000), (len(times) - odd, 1000)):
        assert count == pytest.approx(mean, abs=4 * math.sqrt(mean))


@pytest.mark.parametrize("kept", [None, lambda time: 0.3])
def test_the_same_whatever_is_asked_and_when(kept, monkeypatch: pytest.MonkeyPatch):
    draw = random.Random(5)
    times = listed(Marks(4, "failures", 0.1, kept), 7, -500, 500)
    assert times == sorted(set(times))
    # Each one is the first after the one before it, and the last up to itself.
    monkeypatch.setattr(module, "_MOST_KEPT", 2)
    asked = Marks(4, "failures", 0.1, kept)
    for _ in range(300):
        time, other = draw.uniform(-400, 400), draw.choice((7, 8))
        asked.after(other, draw.uniform(-400, 400))
        assert asked.after(7, time) == min(mark for mark in times if mark > time)
        assert asked.before(7, time) == max(mark for mark in times if mark <= time)
        since = time - 5
        recent = [mark for mark in times if since < mark <= time]
        assert asked.before(7, time, since) == (recent[-1] if recent else -math.inf)
    for mark in times[1:-1]:
        assert asked.before(7, mark) == mark
        assert asked.after(7, mark) == times[times.index(mark) + 1]


def test_what_was_before_a_run_is_no_image_of_what_comes():
    # Of 40 instants and those before 0, none stands at the same place of a window, 4 s long here.
    times = listed(Marks(6, "outages", 1.0), 0, -40, 40)
    places = [round(time % module.PER_WINDOW, 9) for time in times]
    assert len(set(places)) == len(places) > 40


def test_clients_seeds_and_purposes_differ():
    def first(seed: int, name, client: int) -> float:
        return Marks(seed, name, 1.0).after(client, 0)

    found = [first(1, "outages", 0), first(2, "outages", 0), first(1, "failures", 0), first(1, "outages", 1)]
    assert len(set(found)) == 4


def test_keyed_numbers_do_not_depend_on_what_was_drawn():
    numbers = KeyedStream(9, "dropout")
    one = numbers.uniform(5, 3, 2)
    assert numbers.uniform(9, 2, 3)[:5] != one
    assert numbers.uniform(9, 3, 2)[:5] == one == KeyedStream(9, "dropout").uniform(5, 3, 2)
    # As far apart as keys can be, they do not meet.
    keys = [(), (1,), (0, 1), (0, 0, 1), (2**64 - 1,), (0, 2**64 - 1)]
    assert len({tuple(numbers.uniform(4, *key)) for key in keys}) == len(keys)
