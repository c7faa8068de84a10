"""Wall-clocks of what-ifs, and along the values of a quantity; and how they were really found, which a plan says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

from parasim.planning.methods import Case, simulated
from parasim.planning.search.quantities import MOST_SCANNED, Quantity, WithValue
from parasim.planning.search.work import affordable
from parasim.sentences import grouped, say
from parasim_core.sim.engine.result import Result
from parasim_core.sim.errors import OverdueError, ParaSimError
from parasim_core.sim.replay.conditions import Variants, shared_or_varying
from parasim_core.sim.replay.replay import Answers, Recording, record, replay
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.worker_pool import cores, in_order

_PATIENCE = 8.0
"""Where nothing can be replayed, runs that take so many times as long as the deadline are given up.

A picture does not go further. Of what is bought, for which other runs are made for a picture, so are all that are late.
"""
_FEWEST_SCANNED = 9
_EVENTS_OF_A_SPAN = 10
_WORTH_WORKERS = 50_000
"""Spans to simulate at once that are worth starting worker processes."""


class RuntimesByValue:
    """Wall-clocks of a scenario by the position of a value in a list, each worked out once.

    Where what-ifs of a recorded run can say it, a replay does. Where a replay is not exact because a link is shared,
    it is a lower bound, as it leaves every transfer its links to itself: what it says to be too slow is, and only the
    rest is simulated.

    Parameters
    ----------
    case : Case
        The scenario.
    quantity : Quantity
        What is varied.
    values : sequence of float
        Its values, rising.
    within : float
        The deadline beyond which a bound is enough [s].
    jobs : int or None
        Worker processes; all cores if None.

    Attributes
    ----------
    own : Result
        The run of the scenario as it is.
    refused : str
        Why the last value that the scenario cannot have was refused; empty if there was none.
    scanned : int
        How many values to begin with.
    """

    def __init__(self, case: Case, quantity: Quantity, values: Sequence[float], within: float, jobs: int | None = None):
        self._scenario, self._quantity, self.values = case.scenario, quantity, values
        self._within, self._jobs = within, jobs or cores()
        self._recording = record(case.setup, case.costs)
        self._known: dict[int, float] = {}
        self._bounds: set[int] = set()
        self._simulated = False
        self._results: dict[int, Result] = {}
        self.own: Result = self._recording.result
        self.refused = ""
        self.scanned = MOST_SCANNED
        self._given_up = math.inf
        if shared_or_varying(case.scenario):
            self.scanned = affordable(self.own, MOST_SCANNED, _FEWEST_SCANNED)
            self._given_up = within * (_PATIENCE if quantity.most else 1)

    def __call__(self, positions: Sequence[int]) -> list[float]:
        """Wall-clocks at some positions [s]: infinite where the scenario cannot have the value."""
        new = [position for position in dict.fromkeys(positions) if position not in self._known]
        self._simulate(new if self._quantity.most or not new else self._replay(new))
        return [self._known[position] for position in positions]

    def how(self) -> str:
        """Say how the wall-clocks were found so far."""
        if self._quantity.most:
            return say("found.simulation")
        return how_found(self._recording, simulated=self._simulated or bool(self._bounds))

    def at(self, position: int) -> Result:
        """Simulate the scenario with a value, written as a user would write it."""
        if position not in self._results:
            self._results[position] = simulated(self._quantity.change(self._scenario, self.values[position]))
        return self._results[position]

    def contradicted(self, *positions: int | None) -> bool:
        """Tell whether a simulation gives another wall-clock than the replay did; if so, forget all replays."""
        known = {p: self._known[p] for p in positions if p is not None and p not in self._bounds}
        found = {position: time for position, time in known.items() if time < math.inf}
        simulated = [self.at(position).wall_clock for position in found]
        checked = self._recording.held_against(simulated, [*found.values()])
        if checked is self._recording:
            return False
        self._recording, self._known, self._bounds = checked, {}, set()
        return True

    def exactly(self, positions: Sequence[int]) -> None:
        """Work out wall-clocks at some positions though a bound would do: for `curve`."""
        self(positions)
        bounds = sorted(self._bounds.intersection(positions))
        self._bounds.difference_update(bounds)
        self._simulate(bounds, math.inf)

    def curve(self) -> list[tuple[float, float]]:
        """Values and their wall-clocks [s] as far as they are known, in rising order."""
        exact = sorted(p for p, time in self._known.items() if p not in self._bounds and time < math.inf)
        return [(self.values[position], self._known[position]) for position in exact]

    def _replay(self, positions: Sequence[int]) -> list[int]:
        """Replay what can be replayed, and return the positions that have to be simulated."""
        values = [self.values[position] for position in positions]
        answers = self._recording.replay(self._quantity.in_recording(self._recording, values))
        left = []
        for position, time, exact in zip(positions, answers.wall_clock.tolist(), answers.replayed, strict=True):
            if exact or time > self._within:
                self._known[position] = time
                self._bounds |= set() if exact else {position}
            else:
                left.append(position)
        return left

    def _simulate(self, positions: Sequence[int], given_up: float | None = None) -> None:
        given_up = self._given_up if given_up is None else given_up
        work = len(positions) * max(len(self.own.timeline.spans), self.own.events // _EVENTS_OF_A_SPAN)
        workers = min(self._jobs, len(positions)) if work > _WORTH_WORKERS else 1
        run = partial(_wall_clock, self._quantity.change, self._scenario, given_up)
        times = in_order(run, [self.values[position] for position in positions], workers=workers)
        self._simulated |= bool(positions)
        for position, time in zip(positions, times, strict=True):
            if isinstance(time, str):
                self.refused = time
            self._known[position] = math.inf if isinstance(time, str) else abs(time)
            if not isinstance(time, str) and time < 0:
                self._bounds.add(position)


def _wall_clock(change: WithValue, scenario: Scenario, given_up: float, value: float) -> float | str:
    """Wall-clock of a simulated run [s], or why there is none; negative if it is longer than that, and was given up."""
    try:
        return simulated(change(scenario, value), given_up).wall_clock
    except OverdueError:
        return -math.nextafter(given_up, math.inf)
    except ParaSimError as error:
        return str(error)


def runtimes_of(recording: Recording, what_ifs: Variants, jobs: int | None) -> Answers:
    """Work out what-ifs, all exactly: by replay where that holds, by simulation elsewhere."""
    return next(replay(recording, [what_ifs], jobs=jobs))


def how_found(recording: Recording, *, simulated: bool) -> str:
    """Say how runtimes were found: ``exact replay of one recorded run``, ``simulating events; ...``.

    Parameters
    ----------
    recording : Recording
        The run that was varied.
    simulated : bool
        Whether any runtime was simulated.
    """
    if recording.not_replayable:
        return say("found.not_replayable", reason=recording.not_replayable)
    return say("found.both" if simulated else "found.replay")


def by_methods(hows: Iterable[tuple[str, str]]) -> str:
    """Say ``by`` what runtimes were found, with the methods that it holds for where that differs among them.

    Parameters
    ----------
    hows : iterable of (str, str)
        How they were found, and a method.
    """
    found = grouped((how, method) for how, method in dict.fromkeys(hows))
    sentence = "found.by" if len(found) == 1 else "found.by_for"
    return "; ".join(say(sentence, how=how, methods=methods) for how, methods in found.items())
