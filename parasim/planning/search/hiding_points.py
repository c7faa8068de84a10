"""Hiding points: from which bandwidth on each group of clients holds up nobody's computing.

Found for one group at a time, the links of all others out of the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from parasim.planning.answer import Check
from parasim.planning.changes import with_batch_size, with_block_width, with_links
from parasim.planning.methods import Case, simulated
from parasim.planning.search.ranges import (
    UNLIMITED,
    block_widths,
    compared_batch_sizes,
    is_covered,
    own_width,
    searched_bandwidths,
)
from sim.analysis.deadline_search import decimals, nearest_position, secant_search
from sim.analysis.hidden import ROUNDING, computed, exposed_before, guess_hiding
from sim.engine.fleet import Fleet
from sim.engine.result import Result
from sim.scenario.scenario import Scenario
from sim.support.worker_pool import cores, in_order

_WIDTHS = (0.5, 1.0, 2.0, 4.0)
_FACTORS = decimals(0, 2)


class Workload(NamedTuple):
    """What decides how much there is to compute and to send in a round.

    Attributes
    ----------
    batch_size : int
        Sequences per step.
    layers : float or None
        Layers per block; None where blocks are no matter of width.
    """

    batch_size: int
    layers: float | None

    @property
    def width(self) -> float:
        """Layers per block, for comparing: any is less than where blocks have no width."""
        return math.inf if self.layers is None else self.layers

    def of(self, scenario: Scenario) -> Scenario:
        """Give it to a scenario."""
        scenario = with_batch_size(scenario, self.batch_size)
        return scenario if self.layers is None else with_block_width(scenario, self.layers)


@dataclass(frozen=True)
class GroupHidingPoint:
    """Where the communication of a group becomes hidden in one scenario.

    Attributes
    ----------
    group : int or None
        Index of the group; None for all, where even unlimited links do not hide the communication.
    workload : Workload
        Of the scenario.
    bandwidth : float or None
        The least of four digits, up and down [B/s]; None if there is none, or there is nothing to hide.
    wall_clock : float
        There, or with unlimited links if there is none [s].
    checked : sequence of Check
        Simulations there and just below.
    in_the_way : mapping of str to float
        What keeps communication exposed though links are unlimited [s]; empty if there is nothing to hide.
    """

    group: int | None
    workload: Workload
    bandwidth: float | None
    wall_clock: float
    checked: Sequence[Check] = ()
    in_the_way: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "batch_size": self.workload.batch_size,
            "layers_per_block": self.workload.layers,
            "bandwidth": self.bandwidth,
            "wall_clock_s": self.wall_clock,
            "in_the_way_s": dict(self.in_the_way),
            "checked": [vars(check) for check in self.checked],
        }


def own_workload(case: Case) -> Workload:
    """Workload of the scenario as it is."""
    by_width = case.scenario.blocks.count is None and case.setup.architecture is not None and block_widths(case.setup)
    return Workload(case.scenario.local.batch_size, own_width(case.setup) if by_width else None)


def hiding_points(case: Case, jobs: int | None) -> list[GroupHidingPoint]:
    """Hiding points of every group, for every batch size and block width that the costs cover."""
    own, sizes = own_workload(case), compared_batch_sizes(case.scenario)
    widths = [None] if own.layers is None else sorted({*_WIDTHS, own.layers} & set(block_widths(case.setup)))
    workloads = [Workload(size, width) for width in widths for size in sizes]
    tasks = [(workload, scenario) for workload in workloads if is_covered(scenario := workload.of(case.scenario))]
    workers = min(jobs or cores(), len(tasks)) if len(case.scenario.fleet) > 1 else 1
    return [point for points in in_order(_points_of, tasks, workers=workers) for point in points]


def _points_of(task: tuple[Workload, Scenario]) -> list[GroupHidingPoint]:
    """Find where the communication of each group becomes hidden, the links of the others out of the way."""
    workload, scenario = task
    unlimited = simulated(with_only(scenario, {}))
    in_the_way = {holder.value: seconds for holder, seconds in exposed_before(unlimited).items()}
    if in_the_way:
        return [GroupHidingPoint(None, workload, None, unlimited.wall_clock, in_the_way=in_the_way)]
    fleet, values, points = Fleet(scenario.fleet), searched_bandwidths(), []
    for group in range(len(fleet.groups)):
        guess = guess_hiding(unlimited, fleet.members(group))
        run, late = _searched(scenario, unlimited, values, {group: 1.0})
        found, below = secant_search(late, values, nearest_position(values, guess))
        # The last of the bandwidths is what counts as unlimited.
        assert found is not None
        if below is None:
            # Even the slowest link of all holds up no computing.
            points.append(GroupHidingPoint(group, workload, None, unlimited.wall_clock))
            continue
        checked = [Check(values[at], run(at).wall_clock, late(at) <= 0) for at in (found, below)]
        points.append(GroupHidingPoint(group, workload, values[found], checked[0].wall_clock_s, checked))
    return points


def factor_for_all(scenario: Scenario, needed: Mapping[int, float]) -> tuple[float, float] | None:
    """Find how many times what each group needs alone they need together.

    Those who share rounds share their deadlines: one group's upload leaves less time for the other's download.

    Parameters
    ----------
    scenario : Scenario
        The scenario.
    needed : mapping of int to float
        Bandwidth of each group, the links of the others out of the way [B/s].

    Returns
    -------
    tuple of (float, float), or None
        So many times, and the wall-clock then [s]; None if 100 times as much does not hide it all.
    """
    run, late = _searched(scenario, simulated(with_only(scenario, {})), _FACTORS, needed)
    found, _ = secant_search(late, _FACTORS, 0)
    return None if found is None else (_FACTORS[found], run(found).wall_clock)


def _searched(
    scenario: Scenario, unlimited: Result, values: Sequence[float], links: Mapping[int, float]
) -> tuple[Callable[[int], Result], Callable[[int], float]]:
    """Runs by position in a list of multiples of links [B/s], and how much later than unlimited they compute [s]."""
    end = computed(unlimited) * (1 + ROUNDING)

    @cache
    def run(position: int) -> Result:
        return simulated(with_only(scenario, {group: values[position] * link for group, link in links.items()}))

    return run, lambda position: computed(run(position)) - end


def with_only(scenario: Scenario, bandwidths: Mapping[int, float]) -> Scenario:
    """Give some groups links of a bandwidth [B/s], and all others unlimited ones."""
    return with_links(scenario, {**dict.fromkeys(range(len(scenario.fleet)), UNLIMITED), **bandwidths})
