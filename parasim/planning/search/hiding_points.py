"""Hiding points: from which bandwidth on each group of clients holds up nobody's computing.

Found for one group at a time, the links of all others out of the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from parasim.planning.answer import Check
from parasim.planning.changes import with_batch_size, with_block_width
from parasim.planning.methods import Case
from parasim.planning.search.ranges import (
    block_widths,
    compared_batch_sizes,
    is_covered,
    own_width,
    searched_bandwidths,
)
from parasim.planning.search.representatives import OtherLinks
from sim.analysis.deadline_search import decimals, nearest_position, secant_search
from sim.analysis.hidden import ROUNDING, computed, exposed_before, guess_hiding
from sim.engine.fleet import Fleet
from sim.engine.result import Result
from sim.engine.timeline import Span, Timeline
from sim.scenario.scenario import Scenario
from sim.support.worker_pool import cores, in_order

_WIDTHS = (0.5, 1.0, 2.0, 4.0)
_FACTORS = decimals(0, 2)
_STEPS = 12
"""Simulations that the search for one group takes, about."""
_MOST_SPANS = 6_000_000
"""So many spans are simulated for one workload, about: a minute's work."""
_ALWAYS = 8
"""So many groups are searched in any case."""


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
    alike : tuple of int
        Indices of all groups that it holds for, as they differ in their links alone; empty where it is everyone's.
    unsearched : int
        How many more groups were left out, because searching all would have taken too long.
    """

    group: int | None
    workload: Workload
    bandwidth: float | None
    wall_clock: float
    checked: Sequence[Check] = ()
    in_the_way: Mapping[str, float] = field(default_factory=dict)
    alike: tuple[int, ...] = ()
    unsearched: int = 0

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
    fleet, links = Fleet(scenario.fleet), OtherLinks(Case.of(scenario))
    unlimited = links.whole({})
    in_the_way = {holder.value: seconds for holder, seconds in exposed_before(unlimited).items()}
    if in_the_way:
        return [GroupHidingPoint(None, workload, None, unlimited.wall_clock, in_the_way=in_the_way)]
    spans = _spans_by_group(unlimited, fleet)
    classes = links.alike
    guesses = {
        same[0]: guess_hiding(replace(unlimited, timeline=Timeline(spans[same[0]])), fleet.members(same[0]))
        for same in classes
    }
    end, values, points = _unlimited_end(unlimited), searched_bandwidths(), []
    # All are about as long as this one.
    most = max(_ALWAYS, _MOST_SPANS // (_STEPS * len(links.run({classes[0][0]: values[-1]}).timeline.spans)))
    searched = sorted(sorted(classes, key=lambda same: -guesses[same[0]])[:most])
    unsearched = len(fleet.groups) - sum(map(len, searched))
    for same in searched:
        group = same[0]
        run, late = _searched(links, end, values, {group: 1.0})
        found, below = secant_search(late, values, nearest_position(values, guesses[group]))
        # The last of the bandwidths is what counts as unlimited.
        assert found is not None
        point = GroupHidingPoint(group, workload, None, unlimited.wall_clock, alike=tuple(same), unsearched=unsearched)
        if below is not None:
            checked = [Check(values[at], run(at).wall_clock, late(at) <= 0) for at in (found, below)]
            point = replace(point, bandwidth=values[found], wall_clock=checked[0].wall_clock_s, checked=checked)
        # Else even the slowest link of all holds up no computing.
        points.append(point)
    return points


def _unlimited_end(unlimited: Result) -> float:
    return computed(unlimited) * (1 + ROUNDING)


def _spans_by_group(result: Result, fleet: Fleet) -> list[list[Span]]:
    spans: list[list[Span]] = [[] for _ in fleet.groups]
    for span in result.timeline.spans:
        if span.client >= 0:
            spans[fleet.index(span.client)].append(span)
    return spans


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
    links = OtherLinks(Case.of(scenario))
    run, late = _searched(links, _unlimited_end(links.whole({})), _FACTORS, needed)
    found, _ = secant_search(late, _FACTORS, 0)
    return None if found is None else (_FACTORS[found], run(found).wall_clock)


def _searched(
    links: OtherLinks, end: float, values: Sequence[float], multiples: Mapping[int, float]
) -> tuple[Callable[[int], Result], Callable[[int], float]]:
    """Runs by position in a list of multiples of links [B/s], and how much later than an end they compute [s]."""

    @cache
    def run(position: int) -> Result:
        return links.run({group: values[position] * link for group, link in multiples.items()})

    return run, lambda position: computed(run(position)) - end
