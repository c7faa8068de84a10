"""Random runs of a scenario, as many as an answer about them needs, and what is known of it with so many.

Replay gives their wall-clocks where it is exact, the event simulation elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from parasim.planning.setting import parsed
from sim.errors import ScenarioError
from sim.studies.conditions import Floats
from sim.studies.jitter import Draws, Jitters, jitters, simulate_drawn
from sim.studies.pool import cores, in_order
from sim.studies.quantile import probability_interval, quantile_rank, quantile_ranks
from sim.studies.replay import Recording, record, replay

CERTAINTY = 0.95
"""Probability with which an answer's interval holds the truth, over all looks together."""
PRECISE = 0.01
"""Half width of that interval at which enough runs were drawn, of a deadline as a share of it."""
MOST_CLIENTS = 20_000
"""Clients that draw for themselves: each is simulated for itself then, however alike they are otherwise."""
FIRST_LOOK = 256
MOST_REPLAYED = 65_536
MOST_SIMULATED = 1024
_MOST_SPANS = 8_000_000
"""A scenario whose runs are simulated and long gets fewer of them: no more than about this many spans."""
_NUMBERS_AT_ONCE = 2_000_000
_SIMULATED_AT_ONCE = 16
"""Where runs take long, one hears of them more often."""
_CHECKED = (0.0, 0.5, 1.0)
"""Quantiles whose runs are simulated besides those at the answer."""

Report = Callable[[str, int, int], None]
"""Told what is being done, the steps done and in total."""


@dataclass(frozen=True)
class Sample:
    """Wall-clocks of random runs of one method, and what they say.

    Attributes
    ----------
    method : str
        The method.
    recording : Recording
        Its run without jitter.
    drawn : array of shape (runs,)
        Wall-clocks in the order in which they were drawn [s].
    times : array of shape (runs,)
        The same, sorted [s].
    estimate : float
        The deadline [s], or the probability.
    interval : tuple of float or None
        What holds the truth with `CERTAINTY`; None where there are too few runs to say.
    replayed : float
        Share of the runs that were replayed, not simulated.
    simulated : tuple of (int, float)
        Some runs, by their position in `drawn`, and their event-simulated wall-clocks [s].
    """

    method: str
    recording: Recording
    drawn: Floats
    times: Floats
    estimate: float
    interval: tuple[float | None, float | None]
    replayed: float
    simulated: tuple[tuple[int, float], ...] = ()

    @property
    def planned(self) -> float:
        """Wall-clock without jitter [s]."""
        return self.recording.result.wall_clock

    @property
    def error(self) -> float:
        """Half the interval's width; infinite where there is no interval."""
        low, high = self.interval
        return math.inf if low is None or high is None else (high - low) / 2

    def precise(self, within: float | None) -> bool:
        """Whether the answer is known well enough."""
        return self.error <= PRECISE * (self.estimate if within is None else 1.0)


def sampled(
    data: dict[str, Any], method: str, probability: float, within: float | None, jobs: int | None, report: Report
) -> Sample:
    """Draw runs, twice as many at every look, until the answer is precise or there are as many as may be.

    Parameters
    ----------
    data : dict
        The scenario's fields.
    method : str
        Its method.
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
    ParaSimError
        If the scenario is wrong, nothing in it varies, or more than `MOST_CLIENTS` clients would draw for themselves.
    """
    setup, costs = parsed(data)
    varying = [jitter for _, _, jitter in jitters(setup.scenario)]
    if not varying:
        raise ScenarioError(
            "--confidence: nothing varies; give groups of the fleet a speed_jitter, uplink_jitter or downlink_jitter, "
            "such as --set 'fleet.*.speed_jitter.sigma=0.1'"
        )
    each_client = any(jitter.each == "client" for jitter in varying)
    if each_client and setup.scenario.clients > MOST_CLIENTS:
        raise ScenarioError(
            f"--confidence: jitter of each client is drawn for up to {MOST_CLIENTS:,} clients, "
            f"not {setup.scenario.clients:,}; give it each: group, so that all clients of a group draw the same"
        )
    recording = record(setup, costs, each_client=each_client)
    looks = looks_of(recording)
    certainty = 1 - (1 - CERTAINTY) / len(looks)
    source = Jitters(recording)
    times: list[Floats] = []
    runs = exact = 0
    what = f"{method}: runs, at most"
    report(what, runs, looks[-1])
    sample: Sample | None = None
    for now, before in zip(looks, [0, *looks], strict=False):
        for wall_clock, replayed in _run(recording, source, now - before, jobs):
            times.append(wall_clock)
            runs += len(wall_clock)
            exact += replayed
            report(what, runs, looks[-1])
        drawn = np.concatenate(times)
        sample = _concluded(method, recording, drawn, exact / now, probability, within, certainty)
        if sample.precise(within):
            break
    assert sample is not None
    # All that it takes.
    report(what, runs, runs)
    return replace(sample, simulated=tuple(_simulated(sample, probability, within)))


def looks_of(recording: Recording) -> list[int]:
    """Numbers of runs at which the answer is looked at: fixed beforehand, as its certainty is divided among them."""
    most = MOST_REPLAYED
    if _may_be_simulated(recording):
        spans = max(1, len(recording.result.timeline.spans))
        most = max(FIRST_LOOK, min(MOST_SIMULATED, _MOST_SPANS // spans))
    return [FIRST_LOOK * 2**look for look in range(int(math.log2(most / FIRST_LOOK)) + 1)]


def _may_be_simulated(recording: Recording) -> bool:
    limited = not recording.conditions.unlimited
    return limited or not recording.one_at_a_time or Jitters(recording).by_round


def _run(recording: Recording, source: Jitters, runs: int, jobs: int | None) -> Iterator[tuple[Floats, int]]:
    """Draw runs and work out their wall-clocks, with the number of those that were replayed."""
    chunks = (source.draw(size) for size in _chunks(recording, runs))
    workers = (jobs or cores()) if _may_be_simulated(recording) else 1
    if not source.by_round:
        for answers in replay(recording, (chunk.variants for chunk in chunks), jobs=workers):
            yield answers.wall_clock, int(answers.replayed.sum())
        return
    # The run itself is not needed, and would be sent along with every task.
    lean = replace(recording, result=replace(recording.result, timeline=type(recording.result.timeline)()))
    singles = (one for chunk in chunks for one in _singles(chunk))
    for wall_clock in in_order(partial(simulate_drawn, lean), singles, workers=workers, batch=4):
        yield np.array([wall_clock]), 0


def _chunks(recording: Recording, runs: int) -> Iterator[int]:
    numbers = len(recording.sites) * (3 + (recording.setup.scenario.rounds if Jitters(recording).by_round else 0))
    most = _SIMULATED_AT_ONCE if _may_be_simulated(recording) else 4096
    size = max(1, min(most, _NUMBERS_AT_ONCE // numbers))
    while runs > 0:
        yield min(size, runs)
        runs -= size


def _singles(draws: Draws) -> Iterator[Draws]:
    for row in range(len(draws.variants)):
        yield _single(draws, row)


def _single(draws: Draws, row: int) -> Draws:
    rows = slice(row, row + 1)
    return Draws(draws.variants[rows], None if draws.by_round is None else draws.by_round[rows])


def _concluded(
    method: str,
    recording: Recording,
    drawn: Floats,
    replayed: float,
    probability: float,
    within: float | None,
    certainty: float,
) -> Sample:
    times, runs = np.sort(drawn), len(drawn)
    if within is not None:
        hits = int(np.searchsorted(times, within, side="right"))
        interval = probability_interval(hits, runs, certainty)
        return Sample(method, recording, drawn, times, hits / runs, interval, replayed)
    ranks = quantile_ranks(runs, probability, certainty)
    low, high = (None if rank is None else float(times[rank]) for rank in ranks)
    estimate = float(times[quantile_rank(runs, probability)])
    return Sample(method, recording, drawn, times, estimate, (low, high), replayed)


def _simulated(sample: Sample, probability: float, within: float | None) -> Iterator[tuple[int, float]]:
    """Simulate the slowest run that meets the answer, the next slower one, and a few others."""
    order = np.argsort(sample.drawn, kind="stable")
    runs = len(order)
    if within is None:
        last = quantile_rank(runs, probability)
    else:
        last = int(np.searchsorted(sample.times, within, side="right")) - 1
    ranks = [rank for rank in (last, last + 1) if 0 <= rank < runs]
    wanted = [int(order[rank]) for rank in [*ranks, *(round(share * (runs - 1)) for share in _CHECKED)]]
    found: dict[int, float] = {}
    first, source = 0, Jitters(sample.recording)
    for size in _chunks(sample.recording, runs):
        draws = source.draw(size)
        for position in wanted:
            if first <= position < first + size:
                found[position] = simulate_drawn(sample.recording, _single(draws, position - first))
        first += size
    yield from ((position, found[position]) for position in dict.fromkeys(wanted))
