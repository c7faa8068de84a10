"""How long rounds wait, and for whom: the values of quorum, over-selection and deadline, and runs with each of them.

What fails is drawn anew in every run, so that a value is judged by several runs: the same seeds of failures for every
value that is tried, and others for those that are held against them at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from parasim.api import set_up
from parasim.planning.changes import with_fields, with_waiting
from parasim.planning.methods import Case
from parasim.planning.search.work import EVENTS, OF_A_START
from parasim_core.sim.analysis.jitter import random_failures
from parasim_core.sim.analysis.levers import wanted
from parasim_core.sim.analysis.quantile import quantile_rank
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.errors import EndedEarlyError, OverdueError, ScenarioError
from parasim_core.sim.replay.conditions import Floats
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.streams import stream
from parasim_core.sim.support.worker_pool import cores, in_order

SCANNED = 9
"""Values to begin with."""
_TRIED = 20
"""Values that a search tries, about."""
_RUNS, _FRESH = (10, 20), (20, 100)
"""Fewest and most runs for each value that is tried, and for each that is held against fresh ones."""
PATIENCE = 8.0
"""Runs that take so many times as long as what they are to be done in are given up."""
_STEP, _STEPS = 1.02, 465
"""Deadlines of rounds that are tried: so many, each so many times the next shorter one, to three digits."""


class Outcome(NamedTuple):
    """What a run says.

    Attributes
    ----------
    wall_clock : float
        [s]; infinite if it ended early, in an error, or was given up.
    short : int
        Rounds with fewer updates than were wanted.
    received : float
        Mean number of updates of a round.
    wasted : float
        Computing that came to nothing, of all clients [s].
    """

    wall_clock: float
    short: int = 0
    received: float = 0.0
    wasted: float = 0.0


@dataclass(frozen=True)
class Waiting:
    """Something that says how long rounds wait.

    Attributes
    ----------
    field : str
        Of `participation`, and its name on the command line.
    values : callable
        Values that it may take in a scenario whose run is to be done in so many seconds, rising.
    text : callable
        Writes a value in a scenario.
    most : bool
        Whether the most is asked for.
    drawn_as : (float, str)
        What a value is multiplied by in a picture, and that unit.
    """

    field: str
    values: Callable[[Scenario, float], Sequence[float]]
    text: Callable[[Scenario, float], str]
    most: bool
    drawn_as: tuple[float, str]

    def change(self, scenario: Scenario, value: float) -> Scenario:
        """Give it to a scenario."""
        return with_fields(scenario, "participation", **{self.field: value})


def _three_digits(scenario: Scenario, seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


def _quorums(scenario: Scenario, within: float) -> Sequence[float]:
    of = wanted(scenario)
    return [number / of for number in range(1, of + 1)]


def _over_selections(scenario: Scenario, within: float) -> Sequence[float]:
    if scenario.participation.fraction is None:
        raise ScenarioError(
            "--solve-for over_selection: only a fraction can be drawn larger than it is wanted; give "
            "participation.fraction"
        )
    of = wanted(scenario)
    return [number / of for number in range(of, min(scenario.clients, 100 * of) + 1)]


def _deadlines(scenario: Scenario, within: float) -> Sequence[float]:
    # A round that is waited for any longer ends the run too late by itself.
    highest = math.floor(math.log(within, _STEP))
    values = (float(f"{_STEP**power:.2e}") for power in range(highest - _STEPS, highest + 2))
    return [value for value in values if value <= within]


WAITING = {
    one.field: one
    for one in (
        Waiting(
            "quorum",
            _quorums,
            lambda scenario, value: f"{value:.4g} ({round(value * wanted(scenario))} of {wanted(scenario)})",
            most=True,
            drawn_as=(100.0, "% of the updates that are wanted"),
        ),
        Waiting(
            "over_selection",
            _over_selections,
            lambda scenario, value: f"{value:.4g} ({round(value * wanted(scenario))} for {wanted(scenario)})",
            most=False,
            drawn_as=(1.0, "clients for each one that is wanted"),
        ),
        Waiting(
            "deadline",
            _deadlines,
            _three_digits,
            most=True,
            drawn_as=(1 / 60, "minutes"),
        ),
    )
}
"""What a plan can solve for besides the quantities, by its name on the command line."""


def case_that_waits(waiting: Waiting, within: float, scenario: Scenario) -> Case:
    """Set a scenario up, if its rounds can be ended as a question about them asks for.

    Raises
    ------
    ParaSimError
        If its method has no such rounds, or the scenario does not fit its model.
    """
    values = waiting.values(scenario, within)
    Case.of(with_waiting(scenario, waiting.field, values[0] if waiting.most else values[-1]))
    return Case.of(scenario)


class RunsByValue:
    """Runs of a scenario with each of some values.

    Parameters
    ----------
    case : Case
        The scenario.
    waiting : Waiting
        What is varied.
    within : float
        What runs are to be done in [s].
    probability : float
        Share of the runs that has to be.
    jobs : int or None
        Worker processes; all cores if None.

    Attributes
    ----------
    values : sequence of float
        Values that may be tried, rising.
    runs, fresh_runs : int
        How many there are for each value that is tried, and held against fresh ones: one where nothing is random.
    """

    def __init__(self, case: Case, waiting: Waiting, within: float, probability: float, jobs: int | None):
        self._scenario, self._waiting, self._within = case.scenario, waiting, within
        self._probability, self._jobs = probability, jobs or cores()
        self.values = waiting.values(case.scenario, within)
        self._known: dict[float | None, list[Outcome]] = {}
        self._known_fresh: dict[float | None, list[Outcome]] = {}
        self.runs = self.fresh_runs = 1
        if random_failures(case.scenario):
            most = EVENTS // (OF_A_START + self._events(case))
            self.runs = max(_RUNS[0], min(_RUNS[1], most // (2 * _TRIED)))
            self.fresh_runs = max(_FRESH[0], min(_FRESH[1], most // 4))
            seeds = stream(case.scenario.seed, "failures", 1).integers(2**63, size=self.runs + self.fresh_runs).tolist()
            self._seeds, self._fresh = seeds[: self.runs], seeds[self.runs :]
        else:
            self._seeds = self._fresh = [None]

    def _events(self, case: Case) -> int:
        try:
            return simulate(case.setup, case.costs).events
        except EndedEarlyError:
            # Nothing is known of it; it is short, at least.
            return 0

    @property
    def tried(self) -> int:
        """How many values were tried, and the scenario as it is."""
        return len(self._known)

    def times(self, positions: Sequence[int]) -> list[float]:
        """Time in which the share of the runs is done, at some positions of the values [s]."""
        self._run([self.values[position] for position in positions], self._seeds, self._known)
        return [self.time(self._known[self.values[position]]) for position in positions]

    def time(self, outcomes: Iterable[Outcome]) -> float:
        """Time in which the share of some runs is done [s]."""
        times = sorted(outcome.wall_clock for outcome in outcomes)
        return times[quantile_rank(len(times), self._probability)]

    def own(self) -> list[Outcome]:
        """Runs of the scenario as it is."""
        self._run([None], self._seeds, self._known)
        return self._known[None]

    def fresh(self, position: int) -> list[Outcome]:
        """Runs with seeds that no search has seen; the same where nothing is random."""
        value, known = self.values[position], self._known_fresh if self.fresh_runs > 1 else self._known
        self._run([value], self._fresh, known)
        return known[value]

    def curve(self) -> list[tuple[float, float]]:
        """What was tried: values, rising, and the times in which the share of the runs is done [s]."""
        times = {value: self.time(known) for value, known in self._known.items() if value is not None}
        return sorted((value, time) for value, time in times.items() if time < math.inf)

    def _run(
        self, values: Iterable[float | None], seeds: Sequence[int | None], known: dict[float | None, list[Outcome]]
    ) -> None:
        new = [value for value in dict.fromkeys(values) if value not in known]
        tasks = [(value, seed) for value in new for seed in seeds]
        run = _Run(self._scenario, self._waiting.field, PATIENCE * self._within)
        workers = min(self._jobs, len(tasks)) if len(tasks) > 1 else 1
        outcomes = list(in_order(run, tasks, workers=workers, batch=4))
        for number, value in enumerate(new):
            known[value] = outcomes[number * len(seeds) : (number + 1) * len(seeds)]


@dataclass(frozen=True)
class _Run:
    """One run of a scenario with a value, or as it is, and a seed of failures."""

    scenario: Scenario
    field: str
    until: float

    def __call__(self, task: tuple[float | None, int | None]) -> Outcome:
        value, seed = task
        # The scenario as it is has to be told of, however long it takes.
        scenario, until = self.scenario, math.inf
        if value is not None:
            scenario, until = WAITING[self.field].change(scenario, value), self.until
        setup, costs = set_up(scenario)
        try:
            result = simulate(replace(setup, failures=seed), costs, until=until)
        except (EndedEarlyError, OverdueError):
            return Outcome(math.inf)
        closed = result.timeline.incidents.closed.values()
        received = [each.received for each in closed] or [wanted(scenario)]
        cost = result.failures()
        return Outcome(
            result.wall_clock,
            int(cost["short_rounds"]),
            float(np.mean(received)),
            float(cost["wasted_compute_s"]),
        )


def means(outcomes: Sequence[Outcome]) -> Mapping[str, float]:
    """Means of those runs that came to their end; empty if none did."""
    done: Floats = np.array([outcome[1:] for outcome in outcomes if outcome.wall_clock < math.inf])
    if not done.size:
        return {}
    return dict(zip(Outcome._fields[1:], done.mean(axis=0).tolist(), strict=True))
