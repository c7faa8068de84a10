"""Which block a round trains, chosen by what earlier rounds brought: schedules that cost no extra pass of the model.

Both look at what a server that aggregates has anyway: how far the aggregate moved a block, and the training losses
that come with the updates. A round's block is known when the round can begin, not before: with a staleness of s, that
of round r is chosen by what the aggregations up to r - 1 - s told (those of a synchronous method: up to r - 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol, overload

import numpy as np

from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.support.streams import stream

EXPLORED = 0.1
"""Share of the draws of `ByChange` that all blocks have alike."""
DISCOUNT = 0.95
"""What a choice of `Bandit` counts after one more round."""
OPTIMISM = 0.5
"""Weight of the bonus that `Bandit` gives to blocks that were seldom chosen lately."""


@dataclass(frozen=True)
class RoundReport:
    """What the aggregation of one round told.

    Attributes
    ----------
    changes : dict of int to float
        Root mean square of what it added to the server's parameters of a block, by block.
    losses : list of (float, float)
        Weight and mean training loss of every update in it.
    """

    changes: dict[int, float] = field(default_factory=dict)
    losses: list[tuple[float, float]] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Weighted mean of the training losses."""
        return math.fsum(weight * loss for weight, loss in self.losses) / math.fsum(weight for weight, _ in self.losses)


class Policy(Protocol):
    """Chooses blocks, one round after the other."""

    def observe(self, report: RoundReport) -> None:
        """Learn what the next round's aggregation told."""

    def choose(self) -> int:
        """Choose the next round's block."""


class ByChange:
    """Draw blocks with chances in proportion to how far the last aggregate moved each of them, per parameter.

    Every block comes once first, in random order; a tenth of the chances is shared by all alike afterwards. A block of
    which nothing is known yet counts like the mean of the others.

    Parameters
    ----------
    count : int
        Number of blocks.
    draws : numpy.random.Generator
        Where random numbers come from.
    """

    def __init__(self, count: int, draws: np.random.Generator):
        self._count = count
        self._draws = draws
        self._unvisited: list[int] = draws.permutation(count).tolist()
        self._changes: dict[int, float] = {}

    def observe(self, report: RoundReport) -> None:
        """Remember how far blocks were moved last."""
        self._changes |= report.changes

    def chances(self) -> list[float]:
        """Chance of every block once each was chosen."""
        typical = fmean(self._changes.values()) if self._changes else 1.0
        values = [self._changes.get(block, typical) for block in range(self._count)]
        total, fair = math.fsum(values), 1 / self._count
        if total == 0:
            return [fair] * self._count
        return [EXPLORED * fair + (1 - EXPLORED) * value / total for value in values]

    def choose(self) -> int:
        """Draw the next round's block."""
        if self._unvisited:
            return self._unvisited.pop(0)
        return int(np.searchsorted(np.cumsum(self.chances())[:-1], self._draws.random(), side="right"))


class Bandit:
    """Choose the block that lowered the training loss most, with a bonus for those that were seldom chosen lately.

    What a round's block earns is the training loss of its round less that of the next. Every block comes once first, in
    random order. Then the one comes whose discounted mean of what it earned, on a scale from the least to the most that
    any round has earned so far, plus 0.5 sqrt(ln N / n) is largest, where n is how often it was chosen, N is the sum of
    all n, and a choice counts 0.95 times as much with every further round. What was chosen and has not earned anything
    yet counts in n; a block that has earned nothing so far has the mean 0.5.

    Parameters
    ----------
    count : int
        Number of blocks.
    draws : numpy.random.Generator
        Where the order of the first rounds comes from.

    Notes
    -----
    Discounted UCB: Garivier and Moulines, "On Upper-Confidence Bound Policies for Switching Bandit Problems" (2011),
    with a smaller bonus than their bounds need: runs have tens of rounds, in which theirs would only ever explore.
    """

    def __init__(self, count: int, draws: np.random.Generator):
        self._count = count
        self._unvisited: list[int] = draws.permutation(count).tolist()
        self._chosen: list[int] = []
        self._losses: list[float] = []

    def observe(self, report: RoundReport) -> None:
        """Remember a round's training loss."""
        self._losses.append(report.loss)

    def indices(self) -> list[float]:
        """Mean and bonus of every block, once each was chosen."""
        earned = [before - after for before, after in zip(self._losses, self._losses[1:], strict=False)]
        least, most = min(earned, default=0.0), max(earned, default=0.0)
        times, seen, sums = ([0.0] * self._count for _ in range(3))
        for round, block in enumerate(self._chosen):
            weight = DISCOUNT ** (len(self._chosen) - 1 - round)
            times[block] += weight
            if round < len(earned):
                seen[block] += weight
                sums[block] += weight * ((earned[round] - least) / (most - least) if most > least else 0.5)
        logarithm = max(0.0, math.log(math.fsum(times)))
        return [
            (sums[block] / seen[block] if seen[block] else 0.5) + OPTIMISM * math.sqrt(logarithm / times[block])
            for block in range(self._count)
        ]

    def choose(self) -> int:
        """Choose the block with the largest index; the first of equals."""
        if self._unvisited:
            block = self._unvisited.pop(0)
        else:
            indices = self.indices()
            block = indices.index(max(indices))
        self._chosen.append(block)
        return block


POLICIES: dict[str, type[ByChange] | type[Bandit]] = {"change": ByChange, "bandit": Bandit}
"""By their names in `blocks.schedule`."""


class AdaptiveSchedule(Sequence[int]):
    """Blocks of a run's rounds, each chosen when it is looked up first, in the order of the rounds.

    Parameters
    ----------
    policy : Policy
        Who chooses.
    rounds : int
        Number of rounds.
    staleness : int
        Rounds that clients may train behind the server's model.

    Attributes
    ----------
    reports : list of RoundReport
        What the aggregations so far told, by number.
    """

    def __init__(self, policy: Policy, rounds: int, staleness: int):
        self.reports: list[RoundReport] = []
        self._policy = policy
        self._rounds = rounds
        self._staleness = staleness
        self._chosen: list[int] = []

    def report(self, number: int, block: int, change: float, losses: Sequence[tuple[float, float]]) -> None:
        """Take in what an aggregation told of one of its blocks."""
        if number == len(self.reports):
            self.reports.append(RoundReport())
        self.reports[number].changes[block] = change
        self.reports[number].losses.extend((weight, loss) for weight, loss in losses)

    def __len__(self) -> int:
        return self._rounds

    @overload
    def __getitem__(self, round: int) -> int: ...
    @overload
    def __getitem__(self, round: slice) -> list[int]: ...
    def __getitem__(self, round: int | slice) -> int | list[int]:
        """Look up a round's block.

        Raises
        ------
        SimulationError
            If it is asked for before the aggregations that it follows from.
        """
        if isinstance(round, slice):
            return [self[each] for each in range(*round.indices(len(self)))]
        if not 0 <= round < self._rounds:
            raise IndexError(round)
        while len(self._chosen) <= round:
            self._choose()
        return self._chosen[round]

    def _choose(self) -> None:
        """Choose the next round's block by what is known when it can begin: no more, whenever it is asked for."""
        newest = len(self._chosen) - 1 - self._staleness
        if newest >= len(self.reports):
            raise SimulationError(
                f"the block of round {len(self._chosen)} was asked for before round {newest} was aggregated, which it "
                "is chosen by: the shape's `staleness` does not say how far its clients go ahead"
            )
        if newest >= 0:
            self._policy.observe(self.reports[newest])
        self._chosen.append(self._policy.choose())


def adaptive_schedule(setup: Setup) -> AdaptiveSchedule | None:
    """Make the schedule of a run whose blocks are chosen by what earlier rounds brought; None for any other."""
    if not setup.chooses_blocks or setup.blocks is None or setup.staleness is None:
        return None
    policy = POLICIES[str(setup.scenario.blocks.schedule)]
    draws = stream(setup.scenario.seed, "block-choice")
    return AdaptiveSchedule(policy(len(setup.blocks), draws), setup.scenario.rounds, setup.staleness)
