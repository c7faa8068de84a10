"""Simulated seconds of a local update: as measured here, or as a profile predicts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sim.blocks import Block
from sim.costs import Costs
from sim.fleet import Fleet


class Clock(Protocol):
    """How long an update takes in simulated time, given how long it took here."""

    def foreseen(self, client: int, round: int, block: int | None) -> tuple[float, float] | None:
        """Tell what `seconds` will say, where that does not depend on what is measured."""
        ...

    def seconds(self, client: int, round: int, block: int | None, measured: float) -> tuple[float, float]:
        """Seconds of an update, and the part of them during which nothing can be sent [s]."""
        ...

    def survey_seconds(self, client: int, measured: float) -> float:
        """Seconds of the full pass of the gradient-based schedule [s]."""
        ...


class MeasuredClock:
    """What an update took here, over the speed of the client's group.

    Updates are trained one after the other, so that none waits for the device while it is measured.
    """

    def __init__(self, fleet: Fleet):
        self._fleet = fleet

    def foreseen(self, client: int, round: int, block: int | None) -> tuple[float, float] | None:
        """Nothing: it has to be measured."""
        return None

    def seconds(self, client: int, round: int, block: int | None, measured: float) -> tuple[float, float]:
        """Scale the measured seconds; the whole update can overlap with communication."""
        return measured / self._fleet.group(client).speed, 0.0

    def survey_seconds(self, client: int, measured: float) -> float:
        """Scale the measured seconds of a full pass."""
        return measured / self._fleet.group(client).speed


class ProfileClock:
    """What costs say an update takes, however long it took here: the same in every run."""

    def __init__(self, costs: Costs, blocks: Sequence[Block] | None):
        self._costs = costs
        self._blocks = blocks

    def seconds(self, client: int, round: int, block: int | None, measured: float) -> tuple[float, float]:
        """Ask for the cost."""
        return self.foreseen(client, round, block)

    def foreseen(self, client: int, round: int, block: int | None) -> tuple[float, float]:
        """Ask for the cost, which is known before anything is measured."""
        trained = None if block is None or self._blocks is None else self._blocks[block]
        cost = self._costs.local_update(client, round, trained)
        return cost.seconds, cost.serial

    def survey_seconds(self, client: int, measured: float) -> float:
        """Ask for the cost of a full pass."""
        return self._costs.full_pass(client)
