"""FLoRA's merges round by round: which stacks a client still has to merge before it trains."""

from __future__ import annotations

from collections.abc import Callable

from parasim_core.sim.engine.fleet import Cohorts


class Merges:
    """What merging takes the clients of one scenario.

    Parameters
    ----------
    seconds : callable
        What it takes to merge a stack of a rank [s].
    rank : int
        Rank of one client's adapter.
    cohorts : Cohorts
        Who takes part when.
    """

    def __init__(self, seconds: Callable[[int], float], rank: int, cohorts: Cohorts):
        of_size = {size: seconds(rank * size) for size in dict.fromkeys(cohorts.sizes())}
        self._seconds = [of_size[size] for size in cohorts.sizes()]
        self._rounds_of = cohorts.rounds_of()

    def before(self, client: int, round: int) -> float:
        """Seconds that a client merges before it trains in a round: every stack since it last took part [s]."""
        taken = self._rounds_of.get(client, range(round))
        last = max((earlier for earlier in taken if earlier < round), default=0)
        return sum(self._seconds[last:round])
