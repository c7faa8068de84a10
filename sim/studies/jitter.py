"""Random runs of a scenario: what its jitter does to speeds and links, as what-ifs of one recorded run.

Every quantity of every group draws from a stream of its own, run after run, so that jitter of one shifts no draw of
another, and the first thousand runs are the same however many follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sim.blocks import Block
from sim.costs import Cost, Costs
from sim.fleet import Fleet
from sim.scenario import Scenario
from sim.streams import stream
from sim.studies.changed import simulate_changed
from sim.studies.conditions import Floats, Variants
from sim.studies.replay import Recording
from sim.uncertainty import Jitter

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
    """

    variants: Variants
    by_round: Floats | None


class Jitters:
    """The random runs of a recorded scenario, in order.

    Parameters
    ----------
    recording : Recording
        Made with `each_client`, since clients that are alike will not be.
    """

    def __init__(self, recording: Recording):
        scenario = recording.setup.scenario
        self._recording = recording
        self._scenario = scenario
        fleet = Fleet(scenario.fleet)
        self._groups = [
            (index, [column for column, site in enumerate(recording.sites) if fleet.index(site) == index])
            for index in range(len(fleet.groups))
        ]
        self._offsets = {site: site - fleet.firsts[fleet.index(site)] for site in recording.sites}
        self._random = {
            (name, index): stream(scenario.seed, "jitter", QUANTITIES.index(name), index)
            for name, index, _ in jitters(scenario)
        }

    @property
    def by_round(self) -> bool:
        """Whether a speed changes during a run, so that runs have to be simulated."""
        return any(jitter.per == "round" for _, _, jitter in jitters(self._scenario))

    def draw(self, runs: int) -> Draws:
        """Draw the next runs."""
        rounds, sites = self._scenario.rounds, len(self._recording.sites)
        values = {name: np.repeat(getattr(self._recording.conditions, name), runs, axis=0) for name in QUANTITIES}
        by_round = np.ones((runs, rounds, sites)) if self.by_round else None
        for name, index, jitter in jitters(self._scenario):
            columns = self._groups[index][1]
            clients = self._scenario.fleet[index].count if jitter.each == "client" else 1
            # Clients that never take part draw as well: who does must not change the luck of the others.
            own = [self._offsets[self._recording.sites[column]] % clients for column in columns]
            random = self._random[name, index]
            if jitter.per == "round":
                assert by_round is not None
                by_round[:, :, columns] = factors(jitter, random, (runs, rounds, clients))[:, :, own]
            else:
                values[name][:, columns] *= factors(jitter, random, (runs, clients))[:, own]
        return Draws(Variants(**values), by_round)


def jitters(scenario: Scenario) -> Iterator[tuple[str, int, Jitter]]:
    """All jitter of a scenario: the quantity, the position of the group, and how it is distributed."""
    for index, group in enumerate(scenario.fleet):
        for name in QUANTITIES:
            jitter: Jitter | None = getattr(group, f"{name}_jitter")
            if jitter is not None:
                yield name, index, jitter


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
    if jitter.distribution == "lognormal":
        assert jitter.sigma is not None
        return random.lognormal(0.0, jitter.sigma, shape)
    if jitter.distribution == "observed":
        assert jitter.values is not None
        return random.choice(np.array(jitter.values, dtype=np.float64), shape)
    assert jitter.low is not None
    assert jitter.high is not None
    if jitter.distribution == "triangular":
        assert jitter.mode is not None
        return random.triangular(jitter.low, jitter.mode, jitter.high, shape)
    return random.uniform(jitter.low, jitter.high, shape)


def simulate_drawn(recording: Recording, draws: Draws, which: int = 0) -> float:
    """Simulate one of some random runs event by event, and return its wall-clock [s]."""
    variant = draws.variants[which : which + 1]
    costs = recording.costs if draws.by_round is None else _Varying(recording, draws.by_round[which])
    conditions = recording.conditions.under(variant)
    return simulate_changed(recording.setup, costs, recording.result.counts, conditions).wall_clock


class _Varying:
    """Costs divided by a factor for each round and client."""

    def __init__(self, recording: Recording, by_round: Floats):
        self._costs: Costs = recording.costs
        self._columns = {site: column for column, site in enumerate(recording.sites)}
        self._by_round = by_round

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """Cost of a client's update in a round."""
        cost, factor = self._costs.local_update(client, round, block), self._by_round[round, self._columns[client]]
        return Cost(cost.seconds / factor, cost.serial / factor)

    def full_pass(self, client: int) -> float:
        """Seconds of one full pass, before the first round [s]."""
        return self._costs.full_pass(client)

    def provenance(self) -> dict[str, object]:
        """Where the numbers come from, before the change."""
        return self._costs.provenance()
