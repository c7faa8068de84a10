"""Simulated seconds of a local update: as measured on this device, or as a profile predicts them."""

from __future__ import annotations

from collections.abc import Sequence

from sim.engine.costs import Costs
from sim.engine.fleet import Fleet
from sim.workload.blocks import Block


class MeasuredClock:
    """What an update took on this device, over the speed of the client's group.

    Updates are trained one after the other, so that none waits for the device while it is measured.
    """

    def __init__(self, fleet: Fleet):
        self._fleet = fleet

    def foreseen(self, client: int, round: int, block: int | None) -> tuple[float, float] | None:
        """What `seconds` will say, where that does not depend on what is measured: nothing."""
        return None

    def seconds(self, client: int, round: int, block: int | None, measured: float) -> tuple[float, float]:
        """Seconds of an update, and the part of them during which nothing can be sent [s]: nobody measures that."""
        return measured / self._fleet.group(client).speed, 0.0

    def survey_seconds(self, client: int, measured: float) -> float:
        """Seconds of the full pass of the gradient-based schedule [s]."""
        return measured / self._fleet.group(client).speed


class ProfileClock:
    """What costs say an update takes, however long it really took: the same in every run."""

    def __init__(self, costs: Costs, blocks: Sequence[Block] | None):
        self._costs = costs
        self._blocks = blocks

    def seconds(self, client: int, round: int, block: int | None, measured: float) -> tuple[float, float]:
        """Seconds of an update, and the part of them during which nothing can be sent [s], as the costs say."""
        return self.foreseen(client, round, block)

    def foreseen(self, client: int, round: int, block: int | None) -> tuple[float, float]:
        """What `seconds` will say: known before anything is measured."""
        trained = None if block is None or self._blocks is None else self._blocks[block]
        cost = self._costs.local_update(client, round, trained)
        return cost.seconds, cost.serial

    def survey_seconds(self, client: int, measured: float) -> float:
        """Seconds of the full pass of the gradient-based schedule [s]."""
        return self._costs.full_pass(client)


SimulatedClock = MeasuredClock | ProfileClock
"""How long an update takes in simulated time, given how long it took to train."""
