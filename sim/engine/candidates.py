"""Who can be chosen for a round: clients that are there when it opens."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from parasim_core.sim.engine.aggregation import at_least
from parasim_core.sim.engine.selection import Fraction, Listed, Selection, Turns
from parasim_core.sim.failures.population import Population
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.streams import stream


class Candidates:
    """Chooses among the clients that are there, but for some that are barred.

    Parameters
    ----------
    scenario : Scenario
        Its `participation.over_selection` and `seed`.
    selection : Selection
        Chooses the participants wanted.
    population : Population
        Knows who is there.
    """

    def __init__(self, scenario: Scenario, selection: Selection, population: Population):
        self._by = selection
        self._population = population
        self._factor = scenario.participation.over_selection
        self._more = stream(scenario.seed, "over-selection")

    def choose(
        self, round: int, now: float, barred: AbstractSet[int], lost: int | None = None
    ) -> tuple[Sequence[int], int]:
        """Choose participants of a round.

        Parameters
        ----------
        round : int
            The round.
        now : float
            When they must be there [s].
        barred : set of int
            Who must not be chosen.
        lost : int or None
            How many a round has lost that is opened anew: as many are drawn where they are drawn.

        Returns
        -------
        sequence of int, int
            Their numbers, rising, and how many are wanted, if more are chosen.
        """
        by, population = self._by, self._population
        if not isinstance(by, Fraction):
            chosen = by.select(round, self._there(now, barred))
            return chosen, len(chosen)
        if lost is not None:
            further = population.choose(lost, now, by.draws, barred)
            return further, len(further)
        # A share of the whole fleet, without asking everyone.
        wanted = population.choose(max(1, builtins.round(by.share * population.clients)), now, by.draws, barred)
        more = at_least(self._factor, len(wanted)) - len(wanted)
        others = population.choose(more, now, self._more, {*barred, *wanted}) if more else []
        return sorted([*wanted, *others]), len(wanted)

    def first_there(self, round: int, now: float, barred: AbstractSet[int]) -> float:
        """When somebody comes, after `now`, whom a round could have [s]; inf if never."""
        by = self._by
        whom: Sequence[int] = range(self._population.clients)
        if isinstance(by, Listed):
            whom = by.rounds[round]
        elif isinstance(by, Turns):
            whom = by.order
        return min(
            (self._population.next_change(client, now) for client in whom if client not in barred), default=math.inf
        )

    def _there(self, now: float, barred: AbstractSet[int]) -> Sequence[int]:
        """Clients that can be chosen, rising."""
        if self._population.always_there and not barred:
            return range(self._population.clients)
        return [*self._population.available(now, barred)]
