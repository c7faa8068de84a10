"""The learner of a pure simulation: it predicts how long updates take and carries no tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.workload.blocks import Block


class CostLearner:
    """Predicts seconds from costs.

    Parameters
    ----------
    costs : Costs
        What local updates cost.
    schedule : sequence of int or None
        Block of each round.
    blocks : sequence of Block or None
        The model's blocks, where there is a model.
    """

    def __init__(self, costs: Costs, schedule: Sequence[int | None], blocks: Sequence[Block] | None):
        self._costs = costs
        self._schedule = schedule
        self._blocks = blocks

    def survey(self, client: int) -> float:
        """Predict the seconds of a full pass [s]."""
        return self._costs.full_pass(client)

    def schedule(self) -> Sequence[int | None]:
        """Block of each round; without gradients, the gradient-based order is a seeded draw."""
        return self._schedule

    def train(self, client: int, round: int, block: int | None) -> Update:
        """Predict an update's duration."""
        trained = None if block is None or self._blocks is None else self._blocks[block]
        cost = self._costs.local_update(client, round, trained)
        return Update(client, round, block, cost.seconds, cost.serial)

    def aggregate(self, number: int, item: int, updates: Sequence[Update]) -> None:
        """Nothing is learned."""

    def drop(self, update: Update) -> None:
        """Nothing is learned."""

    def rest(self, client: int, *, vanished: bool) -> None:
        """Nothing is learned."""

    def serve(self, client: int, versions: Mapping[int, int]) -> None:
        """Nothing is learned."""

    def receive(self, client: int, versions: Mapping[int, int]) -> None:
        """Nothing is learned."""
