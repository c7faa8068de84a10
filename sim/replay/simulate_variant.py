"""One what-if, simulated event by event: the reference for the replay, and what stands in where that is not exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from parasim_core.sim.engine.cost_learner import CostLearner
from parasim_core.sim.engine.costs import Cost, Costs
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.links import Access
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Setup, simulate
from parasim_core.sim.replay.conditions import Conditions
from parasim_core.sim.scenario.traces import with_mean
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.payload import Payload


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
        One row, its columns in the order of `counts`. Links that vary keep their course, with other means.

    Returns
    -------
    Result
        Its scenario has the recorded access links.
    """
    scenario, fleet = setup.scenario, Fleet(setup.scenario.fleet)
    values = (conditions.uplink, conditions.downlink, conditions.latency, conditions.speed)
    rows = np.stack([np.broadcast_to(row, (1, len(counts)))[0] for row in values], axis=1).tolist()
    access = {site: Access(*row[:3]) for site, row in zip(counts, rows, strict=True)}
    speedups = {site: row[3] / fleet.group(site).speed for site, row in zip(counts, rows, strict=True)}
    server = {
        name: mean if (link := getattr(scenario.server, name)) is None else with_mean(link, mean)
        for name, mean in (("ingress", conditions.ingress.item()), ("egress", conditions.egress.item()))
    }
    server["aggregation"] = conditions.aggregation.item()
    changed = scenario.model_copy(
        update={
            "server": scenario.server.model_copy(update=server),
            "wire": scenario.wire.model_copy(update={"serialization": conditions.serialization.item()}),
        }
    )
    sizes = {field.name: getattr(setup.payload, field.name) for field in fields(Payload)}
    payload = _Multiple(**sizes, factors=(conditions.upload_size.item(), conditions.download_size.item()))
    new_setup = replace(setup, scenario=changed, payload=payload)
    new_costs = FasterCosts(costs, lambda client, _: speedups[client])
    alike = any(count > 1 for count in counts.values())
    learner = None if alike else CostLearner(new_costs, setup.schedule, setup.blocks)
    return simulate(new_setup, new_costs, learner, access=access)


@dataclass(frozen=True)
class _Multiple(Payload):
    """Messages that are so many times as large, up and down."""

    factors: tuple[float, float]

    def upload(self, update: Update) -> float:
        return super().upload(update) * self.factors[0]

    def download(self, item: int, changes: int = 1) -> float:
        return super().download(item, changes) * self.factors[1]


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
