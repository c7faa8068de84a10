"""Random runs of a scenario: what jitter does to speeds and links, as what-ifs of one recorded run; who comes or fails.

Every quantity of every group draws from a stream of its own, run after run, so that jitter of one shifts no draw of
another, and the first thousand runs are the same however many follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import with_participants
from parasim_core.sim.errors import EndedEarlyError
from parasim_core.sim.replay.conditions import Floats, Variants
from parasim_core.sim.replay.replay import Recording
from parasim_core.sim.replay.simulate_variant import FasterCosts
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import links_of, starts_at_random
from parasim_core.sim.scenario.uncertainty import PARAMETERS, Jitter
from parasim_core.sim.support.streams import stream

QUANTITIES = ("speed", "uplink", "downlink")


@dataclass(frozen=True)
class Draws:
    """Some random runs.

    Attributes
    ----------
    variants : Variants
        Speeds and links, one row per run.
    by_round : array of shape (runs, rounds, sites), optional
        Factors of the speed in each round, where they change during a run.
    starts : list of int, optional
        Seeds of where traces begin in each run, where that is drawn.
    failures : list of int, optional
        Seeds of what fails in each run, where anything does.
    participants : list of int, optional
        Seeds of who takes part in each run, where that is drawn.
    """

    variants: Variants
    by_round: Floats | None
    starts: list[int] | None = None
    failures: list[int] | None = None
    participants: list[int] | None = None


class Jitters:
    """The random runs of a recorded scenario, in order.

    Parameters
    ----------
    recording : Recording
        Made with `each_client`, since clients that are alike will not be.
    """

    def __init__(self, recording: Recording):
        self._recording = recording
        self._scenario = scenario = recording.setup.scenario
        self._firsts = Fleet(scenario.fleet).firsts
        self._random = {
            (name, index): stream(scenario.seed, "jitter", QUANTITIES.index(name), index)
            for name, index, _ in jitters(scenario)
        }
        self._starts = stream(scenario.seed, "trace") if random_starts(scenario) else None
        self._failures = stream(scenario.seed, "failures", 0) if random_failures(scenario) else None
        self._participants = stream(scenario.seed, "participation", 0) if random_participants(scenario) else None

    @property
    def by_round(self) -> bool:
        """Whether a speed changes during a run."""
        return any(jitter.per == "round" for _, _, jitter in jitters(self._scenario))

    @property
    def one_by_one(self) -> bool:
        """Whether a run is more than a what-if can say, so that each has to be simulated."""
        seeds = (self._starts, self._failures, self._participants)
        return self.by_round or any(drawn is not None for drawn in seeds)

    def draw(self, runs: int) -> Draws:
        """Draw the next runs."""
        rounds, sites = self._scenario.rounds, len(self._recording.sites)
        values = {name: np.repeat(getattr(self._recording.conditions, name), runs, axis=0) for name in QUANTITIES}
        by_round = np.ones((runs, rounds, sites)) if self.by_round else None
        for name, index, jitter in jitters(self._scenario):
            columns = np.flatnonzero(self._recording.groups == index)
            clients = self._scenario.fleet[index].count if jitter.each == "client" else 1
            # Clients that never take part draw as well: who does must not change the luck of the others.
            own = [(self._recording.sites[column] - self._firsts[index]) % clients for column in columns]
            random = self._random[name, index]
            if jitter.per == "round":
                assert by_round is not None
                by_round[:, :, columns] = factors(jitter, random, (runs, rounds, clients))[:, :, own]
            else:
                values[name][:, columns] *= factors(jitter, random, (runs, clients))[:, own]
        starts, failures, participants = (
            None if seeds is None else seeds.integers(2**63, size=runs).tolist()
            for seeds in (self._starts, self._failures, self._participants)
        )
        return Draws(Variants(**values), by_round, starts, failures, participants)


def jitters(scenario: Scenario) -> Iterator[tuple[str, int, Jitter]]:
    """All jitter of a scenario: the quantity, the position of the group, and how it is distributed."""
    for index, group in enumerate(scenario.fleet):
        for name in QUANTITIES:
            jitter: Jitter | None = getattr(group, f"{name}_jitter")
            if jitter is not None:
                yield name, index, jitter


def random_starts(scenario: Scenario) -> bool:
    """Whether a run draws where some trace begins."""
    return any(map(starts_at_random, links_of(scenario)))


def random_failures(scenario: Scenario) -> bool:
    """Whether a run draws what fails, or who is there."""
    return any(map(drawn_failures, scenario.fleet))


def random_participants(scenario: Scenario) -> bool:
    """Whether a run draws who of the fleet takes part."""
    share = scenario.participation.fraction
    return share is not None and max(1, round(share * scenario.clients)) < scenario.clients


def drawn_failures(group: Group) -> list[str]:
    """Name what is drawn of a group's failures; recorded sessions are the same in every run."""
    drawn = {
        "available": group.available is not None and group.available.share not in (None, 1),
        "outages": group.outages is not None,
        "dropout": group.dropout is not None and group.dropout.rate > 0,
        "failures": group.failures is not None,
    }
    return [field for field, is_drawn in drawn.items() if is_drawn]


def factors(jitter: Jitter, random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw factors.

    Parameters
    ----------
    jitter : Jitter
        Their distribution.
    random : Generator
        Where the draws come from.
    shape : tuple of int
        How many.
    """
    given = [getattr(jitter, name) for name in PARAMETERS[jitter.distribution]]
    if jitter.distribution == "observed":
        return random.choice(np.array(given[0], dtype=np.float64), shape)
    if jitter.distribution == "lognormal":
        given = [0.0, *given]
    drawn: Floats = getattr(random, jitter.distribution)(*given, shape)
    return drawn


def simulate_drawn(recording: Recording, draws: Draws, which: int = 0) -> float:
    """Simulate one of some random runs event by event, and return its wall-clock [s]; infinite if it ends early."""
    if draws.by_round is not None:
        of_site = dict(zip(recording.sites, draws.by_round[which].T, strict=True))
        costs = FasterCosts(recording.costs, lambda client, round: 1.0 if round is None else of_site[client][round])
        recording = replace(recording, costs=costs)
    if draws.starts is not None:
        recording = replace(recording, setup=replace(recording.setup, starts=draws.starts[which]))
    if draws.failures is not None:
        recording = replace(recording, setup=replace(recording.setup, failures=draws.failures[which]))
    if draws.participants is not None:
        recording = replace(recording, setup=with_participants(recording.setup, draws.participants[which]))
    try:
        return recording.simulate(draws.variants, which).wall_clock
    except EndedEarlyError:
        return math.inf
