"""One what-if, simulated event by event: the reference for the replay, and what stands in where that is not exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from sim.engine.cost_learner import CostLearner
from sim.engine.costs import Cost, Costs
from sim.engine.fleet import Fleet
from sim.engine.result import Result
from sim.engine.simulate import Setup, simulate
from sim.replay.conditions import Conditions
from sim.scenario.sections import Group
from sim.workload.blocks import Block


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
    scenario, fleet = setup.scenario, Fleet(setup.scenario.fleet)
    values = {
        "uplink": conditions.uplink / conditions.upload_size,
        "downlink": conditions.downlink / conditions.download_size,
        "latency": conditions.latency,
        "speed": conditions.speed,
    }
    rows = np.stack([np.broadcast_to(row, (1, len(counts)))[0] for row in values.values()], axis=1).tolist()
    of_site = {site: dict(zip(values, row, strict=True)) for site, row in zip(counts, rows, strict=True)}
    speedups = {site: own.pop("speed") / fleet.group(site).speed for site, own in of_site.items()}
    groups: list[Group] = []
    client = 0
    # A group for each site; clients that never take part stay as they are.
    while client < fleet.clients:
        count = counts.get(client, 1)
        groups.append(fleet.group(client).model_copy(update={"count": count, **of_site.get(client, {})}))
        client += count
    server = {
        "ingress": (conditions.ingress / conditions.upload_size).item(),
        "egress": (conditions.egress / conditions.download_size).item(),
        "aggregation": conditions.aggregation.item(),
    }
    changed = scenario.model_copy(
        update={
            "fleet": tuple(groups),
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
