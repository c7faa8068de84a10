"""One what-if, simulated event by event: the reference for the replay, and what stands in where that is not exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from sim.blocks import Block
from sim.cost_learner import CostLearner
from sim.costs import Cost, Costs
from sim.fleet import Fleet
from sim.result import Result
from sim.scenario import Scenario
from sim.sections import Group
from sim.simulate import Setup, simulate
from sim.studies.conditions import Conditions


def simulate_changed(setup: Setup, costs: Costs, counts: Mapping[int, int], conditions: Conditions) -> Result:
    """Simulate a scenario under other conditions.

    Parameters
    ----------
    setup : Setup
        What is changed.
    costs : Costs
        What its computing costs.
    counts : mapping of int to int
        Number of clients that each site of the recorded run stands for.
    conditions : Conditions
        One row, its columns in the order of `counts`.

    Returns
    -------
    Result
        Bytes in its timeline are the recorded ones: messages that are twice as large are simulated as links that
        are half as fast, which takes the same time.
    """
    scenario = setup.scenario
    fleet, speedups = _changed_fleet(scenario, counts, conditions)
    server = {
        "ingress": _server_link(conditions.ingress / conditions.upload_size),
        "egress": _server_link(conditions.egress / conditions.download_size),
        "aggregation": conditions.aggregation.item(),
    }
    changed = scenario.model_copy(
        update={
            "fleet": fleet,
            "server": scenario.server.model_copy(update=server),
            "wire": scenario.wire.model_copy(update={"serialization": conditions.serialization.item()}),
        }
    )
    new_setup = replace(setup, scenario=changed)
    new_costs = FasterCosts(costs, lambda client, _: speedups[client])
    alike = any(count > 1 for count in counts.values())
    return simulate(new_setup, new_costs, None if alike else CostLearner(new_costs, setup.schedule, setup.blocks))


class FasterCosts:
    """Costs divided by a factor for each client and, for its updates, each round.

    Parameters
    ----------
    costs : Costs
        Before the change.
    speedup : callable
        Gives the factor for a client and a round; None is what goes before the first one.
    """

    def __init__(self, costs: Costs, speedup: Callable[[int, int | None], float]):
        self._costs = costs
        self._speedup = speedup
        self.provenance = costs.provenance

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """Cost of a client's update in a round."""
        cost, speedup = self._costs.local_update(client, round, block), self._speedup(client, round)
        return Cost(cost.seconds / speedup, cost.serial / speedup)

    def full_pass(self, client: int) -> float:
        """Seconds of one full pass [s]."""
        return self._costs.full_pass(client) / self._speedup(client, None)


def _changed_fleet(
    scenario: Scenario, counts: Mapping[int, int], conditions: Conditions
) -> tuple[tuple[Group, ...], dict[int, float]]:
    """A group for each site, and clients that never take part as they are; what computes how much faster."""
    fleet, sites = Fleet(scenario.fleet), len(counts)
    column = {site: number for number, site in enumerate(counts)}
    values = {
        "uplink": conditions.uplink / conditions.upload_size,
        "downlink": conditions.downlink / conditions.download_size,
        "latency": conditions.latency,
        "speed": conditions.speed,
    }
    of = {name: np.broadcast_to(row, (1, sites))[0].tolist() for name, row in values.items()}
    groups: list[Group] = []
    speedups: dict[int, float] = {}
    client = 0
    while client < fleet.clients:
        group, count = fleet.group(client), counts.get(client, 1)
        update: dict[str, float] = {"count": count}
        if client in column:
            site = column[client]
            speedups[client] = of["speed"][site] / group.speed
            update |= {name: of[name][site] for name in ("uplink", "downlink", "latency")}
        groups.append(group.model_copy(update=update))
        client += count
    return tuple(groups), speedups


def _server_link(capacity: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    """Capacity as a scenario has it: None if it is unlimited."""
    value: float = capacity.item()
    return None if math.isinf(value) else value
