"""How long a local update takes: the interface that profiles implement, and seconds given in the scenario.

Costs are never silently zero: what no one knows is a `CostError` that says how to measure it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.blocks import Block


class Cost(NamedTuple):
    """Duration of one local update.

    Attributes
    ----------
    seconds : float
        All of it [s].
    serial : float
        The part at its start during which nothing can be sent [s].
    """

    seconds: float
    serial: float = 0.0

    @classmethod
    def at_speed(cls, speed: float, seconds: float, serial: float) -> Cost:
        """Cost on a device that is so many times as fast as the one that the seconds are of."""
        return cls(seconds / speed, min(serial, seconds) / speed)


class Costs(Protocol):
    """What local updates cost in one scenario."""

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """Cost of a client's update in a round.

        Raises
        ------
        CostError
            If it is not known.
        """

    def full_pass(self, client: int) -> float:
        """Seconds of one full forward and backward pass, for the gradient-based schedule [s].

        Raises
        ------
        CostError
            If it is not known.
        """

    def provenance(self) -> dict[str, object]:
        """Where the numbers come from: `origin` (given, measured, fitted, extrapolated ...) and details."""


class GivenSeconds:
    """Costs written in the scenario: `compute.seconds`, divided by each group's speed, and nothing added.

    Raises
    ------
    CostError
        If they are told apart by method, model or batch size, and not given for the scenario's own.
    """

    def __init__(self, scenario: Scenario, fleet: Fleet):
        self._keys, seconds = scenario.given_seconds
        # One row for all rounds, or one each; one number for all clients, or one each.
        rows: Any = seconds if isinstance(seconds, tuple) and isinstance(seconds[0], tuple) else (seconds,)
        self._rows: Sequence[float | Sequence[float]] = rows
        self._serial = scenario.compute.non_overlapping or 0.0
        self._gradient_pass = scenario.blocks.gradient_pass
        self._surveyed = scenario.blocks.schedule == "gradient"
        self._fleet = fleet

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """Look the seconds up: one for all, one per client, or one per round and client."""
        row = self._rows[round % len(self._rows)]
        seconds = row if isinstance(row, float) else row[client]
        return Cost.at_speed(self._fleet.group(client).speed, seconds, self._serial)

    def full_pass(self, client: int) -> float:
        """`blocks.gradient_pass` over the speed; zero, and said so in the provenance, if it is left out."""
        return (self._gradient_pass or 0.0) / self._fleet.group(client).speed

    def provenance(self) -> dict[str, object]:
        """Say that the seconds were given."""
        field = ".".join(("compute.seconds", *self._keys))
        details: dict[str, object] = {"origin": "given", "source": f"{field} of the scenario"}
        if self._gradient_pass is None and self._surveyed:
            details["gradient_pass"] = "not priced: blocks.gradient_pass is not given"
        return details
