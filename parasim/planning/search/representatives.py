"""Few clients that stand for a whole fleet whose links are out of the way, so that large fleets can be searched.

With links as good as unlimited, clients differ by how long they compute and by their latency alone. Where nobody shares
a link and who waits for whom is fixed, every time of a run is a maximum of sums of such durations (max-plus algebra:
Baccelli et al., Synchronization and Linearity, 1992): a client whose durations are all at most another's holds nobody
up, and may be left out. Where the server's links are limited, only clients that are alike can be simulated once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from parasim.planning.changes import with_groups, with_links
from parasim.planning.methods import Case
from parasim.planning.search.ranges import UNLIMITED
from parasim_core.sim.engine.costs import Cost, Costs
from parasim_core.sim.engine.fleet import Cohorts, Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.replay.conditions import shared_or_varying
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.workload.blocks import Block

_FEW = 8
"""So many groups are simulated as they are."""
_UNLIMITED = {"uplink": UNLIMITED, "downlink": UNLIMITED}
_LINKS = {"name", "uplink", "downlink", "uplink_jitter", "downlink_jitter", "speed_jitter", "gpu_hour", "power"}
"""Fields of a group that do not matter to a run in which it is given other links."""


@dataclass
class OtherLinks:
    """A scenario to be run with links of some groups as they are told, and those of all others unlimited.

    Attributes
    ----------
    case : Case
        The scenario, set up.
    """

    case: Case

    def run(self, bandwidths: Mapping[int, float]) -> Result:
        """Simulate it with links of a bandwidth, up and down, for some groups [B/s], by their positions.

        Figures of the whole run, such as its wall-clock, are those of the whole fleet; clients may be left out.
        """
        case, groups = self.case, self._kept(bandwidths)
        if groups is None:
            return self.whole(bandwidths)
        scenario = case.scenario.model_copy(update={"fleet": tuple(group for group, _ in groups)})
        numbers = [number for _, members in groups for number in members]
        setup = replace(case.setup, scenario=scenario, cohorts=Cohorts(scenario.rounds, scenario.clients, None))
        return simulate(setup, _CostsOf(case.costs, numbers))

    def whole(self, bandwidths: Mapping[int, float]) -> Result:
        """Do the same without leaving anybody out."""
        return simulate(replace(self.case.setup, scenario=with_only(self.case.scenario, bandwidths)), self.case.costs)

    @cached_property
    def alike(self) -> list[list[int]]:
        """Positions of groups, of many together those that differ in nothing but their names and links."""
        fleet = self._fleet
        if not self._interchangeable or len(fleet.groups) <= _FEW:
            return [[index] for index in range(len(fleet.groups))]
        same: dict[object, list[int]] = {}
        for index, group in enumerate(fleet.groups):
            members = fleet.members(index) if self._told_apart else range(fleet.firsts[index], fleet.firsts[index] + 1)
            computing = tuple(self._durations[client].tobytes() for client in members)
            same.setdefault((*_without_links(group), computing), []).append(index)
        return list(same.values())

    def _kept(self, bandwidths: Mapping[int, float]) -> list[tuple[Group, Sequence[int]]] | None:
        """Groups to simulate, with the numbers of their clients; None for the fleet as it is."""
        fleet = self._fleet
        if len(fleet.groups) <= _FEW or not self._interchangeable or len(bandwidths) > _FEW:
            return None
        own = [
            (_linked(fleet.groups[index], bandwidth), fleet.members(index)) for index, bandwidth in bandwidths.items()
        ]
        if self._nothing_shared and self.case.setup.traits.causes_fixed:
            # A copy of a client's with unlimited links holds nobody up longer than the client itself.
            slowest = [(_linked(fleet.group(client), UNLIMITED, count=1), (client,)) for client in self._slowest]
            return [*own, *slowest]
        if self._told_apart:
            return None
        rest = ([index for index in same if index not in bandwidths] for same in self.alike)
        return own + [
            (
                _linked(fleet.groups[same[0]], UNLIMITED, count=sum(fleet.groups[index].count for index in same)),
                [client for index in same for client in fleet.members(index)],
            )
            for same in rest
            if same
        ]

    @cached_property
    def _fleet(self) -> Fleet:
        return Fleet(self.case.scenario.fleet)

    @property
    def _interchangeable(self) -> bool:
        """Whether it does not matter which number a client has, nor where it is."""
        setup = self.case.setup
        return setup.cohorts.members is None and setup.traits.collapsible and not shared_or_varying(setup.scenario)

    @cached_property
    def _nothing_shared(self) -> bool:
        """Whether no transfers of two clients ever share a link."""
        # The air of a half-duplex client is its own: unlimited, it takes no time however it is shared.
        server = self.case.scenario.server
        return server.ingress is None and server.egress is None

    @property
    def _told_apart(self) -> bool:
        """Whether clients of a group may compute for different times."""
        return isinstance(self.case.scenario.compute.seconds, tuple)

    @cached_property
    def _clients(self) -> Sequence[int]:
        """Numbers of the clients that may differ."""
        fleet = self._fleet
        return range(fleet.clients) if self._told_apart else fleet.firsts[:-1]

    @cached_property
    def _durations(self) -> dict[int, NDArray[np.float64]]:
        """What each of them takes beside its transfers [s]: latency, and each round's computing and its serial part."""
        case, fleet = self.case, self._fleet
        blocks = [None if b is None or case.setup.blocks is None else case.setup.blocks[b] for b in case.setup.schedule]
        surveyed = case.setup.ranks_blocks
        durations: dict[int, NDArray[np.float64]] = {}
        for client in self._clients:
            costs = [case.costs.local_update(client, round, block) for round, block in enumerate(blocks)]
            each = [part for cost in costs for part in (cost.seconds, cost.serial)]
            survey = [case.costs.full_pass(client)] if surveyed else []
            durations[client] = np.array([fleet.group(client).latency, *survey, *each])
        return durations

    @cached_property
    def _slowest(self) -> list[int]:
        """Clients that no other one is as slow as in every respect."""
        slowest: list[int] = []
        left = np.array(self._clients, dtype=np.intp)
        rows = np.array([self._durations[client] for client in self._clients])
        while left.size:
            # Nothing has a larger sum than what is at least as large in everything.
            largest = int(rows.sum(axis=1).argmax())
            slowest.append(int(left[largest]))
            others = ~(rows <= rows[largest]).all(axis=1)
            left, rows = left[others], rows[others]
        return sorted(slowest)


def with_only(scenario: Scenario, bandwidths: Mapping[int, float]) -> Scenario:
    """Give some groups links of a bandwidth [B/s], and all others unlimited ones."""
    others = {index: _UNLIMITED for index in range(len(scenario.fleet)) if index not in bandwidths}
    return with_links(with_groups(scenario, others), bandwidths)


def _linked(group: Group, bandwidth: float, count: int | None = None) -> Group:
    links: dict[str, object] = {"uplink": bandwidth, "downlink": bandwidth}
    return group.model_copy(update=links if count is None else links | {"count": count})


def _without_links(group: Group) -> tuple[object, ...]:
    return tuple(value for name, value in group if name not in _LINKS)


@dataclass(frozen=True)
class _CostsOf:
    """Costs of a fleet's clients for one of which only some are left: their numbers there."""

    costs: Costs
    numbers: Sequence[int]

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        return self.costs.local_update(self.numbers[client], round, block)

    def full_pass(self, client: int) -> float:
        return self.costs.full_pass(self.numbers[client])

    def provenance(self) -> dict[str, object]:
        return self.costs.provenance()
