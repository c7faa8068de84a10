"""One what-if, simulated event by event: the reference for the replay, and what stands in where links are shared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from sim.blocks import Block
from sim.cost_learner import CostLearner
from sim.costs import Cost, Costs
from sim.fleet import Fleet
from sim.result import Result
from sim.scenario import Scenario
from sim.sections import Group
from sim.simulate import Setup, simulate
from sim.studies.variants import Variants


def simulate_changed(setup: Setup, costs: Costs, counts: Mapping[int, int], variant: Variants) -> Result:
    """Simulate a scenario with a what-if's changes.

    Parameters
    ----------
    setup : Setup
        What is changed.
    costs : Costs
        What its computing costs.
    counts : mapping of int to int
        Number of clients that each site of the recorded run stands for.
    variant : Variants
        One what-if, its columns in the order of `counts`.

    Returns
    -------
    Result
        Bytes in its timeline are the recorded ones: messages that are twice as large are simulated as links that
        are half as fast, which takes the same time.
    """
    scenario, sites = setup.scenario, list(counts)
    fleet, speedups = _changed_fleet(scenario, counts, variant)
    serialization = _number(variant, "serialization", scenario.wire.serialization)
    server = scenario.server.model_copy(
        update={
            "ingress": _link(variant, "ingress", scenario.server.ingress, "upload_size"),
            "egress": _link(variant, "egress", scenario.server.egress, "download_size"),
            "aggregation": _number(variant, "aggregation", scenario.server.aggregation),
        }
    )
    changed = scenario.model_copy(
        update={
            "fleet": fleet,
            "server": server,
            "wire": scenario.wire.model_copy(update={"serialization": serialization}),
        }
    )
    new_setup = replace(setup, scenario=changed)
    new_costs = _FasterCosts(costs, speedups)
    alike = any(counts[site] > 1 for site in sites)
    return simulate(new_setup, new_costs, None if alike else CostLearner(new_costs, setup.schedule, setup.blocks))


class _FasterCosts:
    """Costs divided by a factor for each client."""

    def __init__(self, costs: Costs, speedups: Mapping[int, float]):
        self._costs = costs
        self._speedups = speedups

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """Cost of a client's update in a round."""
        cost, speedup = self._costs.local_update(client, round, block), self._speedups[client]
        return Cost(cost.seconds / speedup, cost.serial / speedup)

    def full_pass(self, client: int) -> float:
        """Seconds of one full pass [s]."""
        return self._costs.full_pass(client) / self._speedups[client]

    def provenance(self) -> dict[str, object]:
        """Where the numbers come from, before the change."""
        return self._costs.provenance()


def _changed_fleet(
    scenario: Scenario, counts: Mapping[int, int], variant: Variants
) -> tuple[tuple[Group, ...], dict[int, float]]:
    """A group for each site, and clients that never take part as they are; what computes how much faster."""
    fleet, columns = Fleet(scenario.fleet), {site: column for column, site in enumerate(counts)}
    larger = {"uplink": _number(variant, "upload_size", 1.0), "downlink": _number(variant, "download_size", 1.0)}
    groups: list[Group] = []
    speedups: dict[int, float] = {}
    client = 0
    while client < fleet.clients:
        group, count = fleet.group(client), counts.get(client, 1)
        if client in columns:
            column = columns[client]
            speedups[client] = _number(variant, "speed", group.speed, column) / group.speed
            update = {
                "count": count,
                "uplink": _number(variant, "uplink", group.uplink, column) / larger["uplink"],
                "downlink": _number(variant, "downlink", group.down, column) / larger["downlink"],
                "latency": _number(variant, "latency", group.latency, column),
            }
            groups.append(group.model_copy(update=update))
        else:
            groups.append(group.model_copy(update={"count": 1}))
        client += count
    return tuple(groups), speedups


def _number(variant: Variants, name: str, recorded: float, column: int = 0) -> float:
    values = variant.get(name)
    return recorded if values is None else float(values[0, min(column, values.shape[1] - 1)])


def _link(variant: Variants, name: str, recorded: float | None, larger: str) -> float | None:
    """Return a server's link, None if it is unlimited."""
    capacity = _number(variant, name, math.inf if recorded is None else recorded) / _number(variant, larger, 1.0)
    return None if math.isinf(capacity) else capacity
