"""Random runs of a scenario, as many as an answer about them needs, and what is known of it with so many.

Replay gives their wall-clocks where it is exact, the event simulation elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from parasim.planning.methods import Case, Report, simulated
from parasim.planning.search.work import affordable
from parasim.sentences import say
from parasim_core.sim.analysis.jitter import (
    Jitters,
    jitters,
    random_failures,
    random_participants,
    random_starts,
    simulate_drawn,
)
from parasim_core.sim.analysis.levers import Change, Lever, with_change
from parasim_core.sim.analysis.quantile import probability_interval, quantile_rank, quantile_ranks
from parasim_core.sim.errors import EndedEarlyError, ScenarioError
from parasim_core.sim.replay.conditions import Floats
from parasim_core.sim.replay.replay import Recording, record, replay
from parasim_core.sim.support.worker_pool import cores, in_order

CERTAINTY = 0.95
"""Probability with which an answer's interval holds the truth, over all looks together."""
PRECISE = 0.01
"""Half width of that interval at which enough runs were drawn, of a deadline as a share of it."""
MOST_CLIENTS = 20_000
"""Clients that draw for themselves: each is simulated for itself then, however alike they are otherwise."""
FIRST_LOOK = 256
_FEWEST = 16
"""First look at runs that take long."""
MOST_REPLAYED = 65_536
MOST_SIMULATED = 1024
_MOST_SPANS = 8_000_000
"""A scenario whose runs are simulated and long gets fewer of them: no more than about this many spans."""
_NUMBERS_AT_ONCE = 2_000_000
_TRIED = 16
"""So many seeds of failures are tried for a run that comes to its end."""
_SIMULATED_AT_ONCE = 16
"""Where runs take long, one hears of them more often."""
_CHECKED = (0.0, 0.5, 1.0)
"""Quantiles whose runs are simulated besides those at the answer."""


@dataclass(frozen=True)
class RandomRuns:
    """Random runs of one method, and what they say.

    Attributes
    ----------
    recording : Recording
        The run without jitter.
    planned : float
        Wall-clock without jitter, and without failures [s].
    drawn : array of shape (runs,)
        Wall-clocks in the order in which they were drawn [s]; infinite where a run ended early, in an error.
    replayed : int
        How many of them were replayed, not simulated.
    probability : float
        Which quantile is asked for.
    within : float or None
        The deadline whose probability is asked for instead [s].
    looks : int
        At how many growing samples the answer may be looked at, which share the certainty.
    simulated : tuple of (int, float)
        Some runs, by their position in `drawn`, and their event-simulated wall-clocks [s]: first those at the answer.
    """

    recording: Recording
    planned: float
    drawn: Floats
    replayed: int
    probability: float
    within: float | None
    looks: int
    simulated: tuple[tuple[int, float], ...] = ()

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.recording.setup.scenario.method.name

    @property
    def without(self) -> str:
        """What the run without anything random is without; its participants are those of the scenario's seed."""
        scenario = self.recording.setup.scenario
        jitter = any(True for _ in jitters(scenario)) or random_starts(scenario)
        failures = random_failures(scenario)
        if jitter and failures:
            return "jitter or failures"
        if failures:
            return "failures"
        return "new draws" if random_participants(scenario) and not jitter else "jitter"

    @property
    def ended_early(self) -> int:
        """How many runs ended in an error, as what failed left them nothing to go on with."""
        return int(np.isinf(self.drawn).sum())

    @cached_property
    def times(self) -> Floats:
        """Wall-clocks, sorted, of shape (runs,) [s]."""
        return np.sort(self.drawn)

    def quantile(self, share: float) -> float:
        """Wall-clock that a share of the runs does not exceed [s]."""
        return float(self.times[quantile_rank(len(self.times), share)])

    @property
    def hits(self) -> int:
        """How many runs meet the answer: the deadline found, or the one that was given."""
        if self.within is None:
            return quantile_rank(len(self.times), self.probability) + 1
        return int(np.searchsorted(self.times, self.within, side="right"))

    @property
    def estimate(self) -> float:
        """The answer: the deadline [s], or the probability."""
        return self.quantile(self.probability) if self.within is None else self.hits / len(self.times)

    @cached_property
    def interval(self) -> tuple[float | None, float | None]:
        """What holds the truth with `CERTAINTY`; None where there are too few runs to say."""
        certainty = 1 - (1 - CERTAINTY) / self.looks
        if self.within is not None:
            return probability_interval(self.hits, len(self.times), certainty)
        low, high = quantile_ranks(len(self.times), self.probability, certainty)
        return None if low is None else float(self.times[low]), None if high is None else float(self.times[high])

    @property
    def error(self) -> float:
        """Half the interval's width, of a deadline as a share of it; infinite where there is no interval."""
        low, high = self.interval
        if low is None or high is None or math.isinf(high):
            return math.inf
        return (high - low) / 2 / ((self.within is None and self.estimate) or 1.0)

    @property
    def precise(self) -> bool:
        """Whether the answer is known well enough."""
        return self.error <= PRECISE


def random_runs(case: Case, probability: float, within: float | None, jobs: int | None, report: Report) -> RandomRuns:
    """Draw runs, twice as many at every look, until the answer is precise or there are as many as may be.

    Parameters
    ----------
    case : Case
        What varies.
    probability : float
        Which quantile is asked for, unless `within` is given.
    within : float or None
        A deadline [s], whose probability is asked for.
    jobs : int or None
        Worker processes; all cores if None.
    report : callable
        Told the number of runs drawn, and at most.

    Raises
    ------
    ScenarioError
        If nothing varies, or more than `MOST_CLIENTS` clients would draw for themselves.
    """
    varying = [jitter for _, _, jitter in jitters(case.scenario)]
    if not varying and not any(drawn(case.scenario) for drawn in (random_starts, random_failures, random_participants)):
        raise ScenarioError(say("confidence.nothing_varies"))
    each_client = any(jitter.each == "client" for jitter in varying)
    if each_client and case.scenario.clients > MOST_CLIENTS:
        raise ScenarioError(say("confidence.too_many_clients", most=MOST_CLIENTS, scenario=case.scenario))
    recording = _recorded(case, each_client=each_client)
    planned = recording.result.wall_clock
    if random_failures(case.scenario):
        planned = simulated(with_change(case.scenario, Change(Lever.NOTHING_FAILS))).wall_clock
    runs = _until_precise(recording, planned, probability, within, jobs, report)
    checked = recording.held_against([time for _, time in runs.simulated], [runs.drawn[n] for n, _ in runs.simulated])
    return runs if checked is recording else _until_precise(checked, planned, probability, within, jobs, report)


def _recorded(case: Case, *, each_client: bool) -> Recording:
    """Record a run: with the first of some seeds of failures with which it comes to its end."""
    recorded = partial(record, costs=case.costs, each_client=each_client, anyone=random_participants(case.scenario))
    for seed in (None, *range(_TRIED)):
        with suppress(EndedEarlyError):
            return recorded(replace(case.setup, failures=seed))
    return recorded(case.setup)


def _until_precise(
    recording: Recording, planned: float, probability: float, within: float | None, jobs: int | None, report: Report
) -> RandomRuns:
    source = Jitters(recording)
    # Fixed beforehand, as the certainty is divided among them.
    looks = _looks(recording, source)
    times, replayed = np.empty(0), 0
    what = f"{recording.setup.scenario.method.name}: runs, at most"
    report(what, 0, looks[-1])
    for look in looks:
        for wall_clock, exact in _drawn(recording, source, look - len(times), jobs):
            times = np.concatenate([times, wall_clock])
            replayed += exact
            report(what, len(times), looks[-1])
        runs = RandomRuns(recording, planned, times, replayed, probability, within, len(looks))
        if runs.precise:
            break
    # All that it takes.
    report(what, len(times), len(times))
    return replace(runs, simulated=tuple(_simulated(runs)))


def _may_be_simulated(recording: Recording, source: Jitters) -> bool:
    replayed = recording.conditions.unlimited and recording.one_at_a_time and not recording.not_replayable
    return not replayed or source.one_by_one


def _looks(recording: Recording, source: Jitters) -> list[int]:
    most = MOST_REPLAYED
    if _may_be_simulated(recording, source):
        most = max(FIRST_LOOK, min(MOST_SIMULATED, _MOST_SPANS // max(1, len(recording.result.timeline.spans))))
        most = affordable(recording.result, most, _FEWEST)
    first = min(FIRST_LOOK, most)
    return [first * 2**look for look in range(int(math.log2(most / first)) + 1)]


def _sizes(recording: Recording, source: Jitters, runs: int) -> list[int]:
    """Cut runs into as many as are drawn together: for the sake of memory, and of those who wait for news."""
    most = 1 if source.one_by_one else _SIMULATED_AT_ONCE if _may_be_simulated(recording, source) else 4096
    size = max(1, min(most, _NUMBERS_AT_ONCE // (3 * len(recording.sites))))
    return [min(size, runs - first) for first in range(0, runs, size)]


def _drawn(recording: Recording, source: Jitters, runs: int, jobs: int | None) -> Iterator[tuple[Floats, int]]:
    """Draw runs and work out their wall-clocks, with the number of those that were replayed."""
    draws = (source.draw(size) for size in _sizes(recording, source, runs))
    workers = (jobs or cores()) if _may_be_simulated(recording, source) else 1
    if not source.one_by_one:
        for answers in replay(recording, (drawn.variants for drawn in draws), jobs=workers):
            yield answers.wall_clock, int(answers.replayed.sum())
        return
    for wall_clock in in_order(partial(simulate_drawn, recording.without_spans()), draws, workers=workers, batch=4):
        yield np.array([wall_clock]), 0


def _simulated(runs: RandomRuns) -> Iterator[tuple[int, float]]:
    """Simulate the slowest run that meets the answer, the next slower one, and a few others."""
    order, count = np.argsort(runs.drawn, kind="stable"), len(runs.drawn)
    ranks = [rank for rank in (runs.hits - 1, runs.hits) if 0 <= rank < count]
    ranks += [round(share * (count - 1)) for share in _CHECKED]
    wanted = dict.fromkeys(order[ranks].tolist())
    found: dict[int, float] = {}
    first, source = 0, Jitters(runs.recording)
    for size in _sizes(runs.recording, source, count):
        draws, drawn = source.draw(size), range(first, first + size)
        found |= {n: float(simulate_drawn(runs.recording, draws, n - first)) for n in wanted if n in drawn}
        first += size
    yield from ((position, found[position]) for position in wanted)
