"""Hiding points: from which bandwidth on each group of clients holds up nobody's computing.

Found for one group at a time, the links of all others out of the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
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
from parasim.planning.search.work import affordable
from parasim_core.sim.analysis.critical_path import Holder, Piece
from parasim_core.sim.analysis.deadline_search import decimals, nearest_position, secant_search
from parasim_core.sim.analysis.hidden import (
    ROUNDING,
    both_directions_at_once,
    computed,
    exposed_before,
    exposed_by,
    guess_hiding,
)
from parasim_core.sim.analysis.levers import Change, Lever, with_change
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Span, Timeline
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.worker_pool import cores, in_order

_WIDTHS = (0.5, 1.0, 2.0, 4.0)
_FACTORS = decimals(0, 2)
_STEPS = 12
"""Simulations that the search for one group takes, about."""
_MOST_SPANS = 1_500_000
"""So many spans are simulated for all workloads together, about: a minute's work."""
_SPANS_OF_A_START = 100
"""A simulation costs as much as these before its first span, about."""
_WANTED = 8
"""Where there is no time for so many groups of each workload, only workloads that are proposed are searched."""


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
    left_out : int
        How many other workloads were left out for the same reason.
    without_two_way : float or None
        The bandwidth if one direction of its links cost the other nothing [B/s]; None without TCP.
    """

    group: int | None
    workload: Workload
    bandwidth: float | None
    wall_clock: float
    checked: Sequence[Check] = ()
    in_the_way: Mapping[str, float] = field(default_factory=dict)
    alike: tuple[int, ...] = ()
    unsearched: int = 0
    left_out: int = 0
    without_two_way: float | None = None

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


@dataclass(frozen=True)
class GroupCurve:
    """Hiding points of one group of clients under one method.

    Attributes
    ----------
    method : str
        Name of the method.
    clients : str
        Name of the group, or of those that differ in their links alone.
    own : GroupHidingPoint
        As the scenario is.
    points : sequence of GroupHidingPoint
        For other batch sizes and block widths.
    groups : sequence of str
        Names of all groups that it holds for.
    """

    method: str
    clients: str
    own: GroupHidingPoint
    points: Sequence[GroupHidingPoint]
    groups: Sequence[str] = ()


def own_workload(case: Case) -> Workload:
    """Workload of the scenario as it is."""
    by_width = case.scenario.blocks.count is None and case.setup.architecture is not None and block_widths(case.setup)
    return Workload(case.scenario.local.batch_size, own_width(case.setup) if by_width else None)


def hiding_points(case: Case, jobs: int | None) -> list[GroupHidingPoint]:
    """Hiding points of every group, for every batch size and block width that the costs cover."""
    own, sizes = own_workload(case), compared_batch_sizes(case.scenario)
    widths = [None] if own.layers is None else sorted({*_WIDTHS, own.layers} & set(block_widths(case.setup)))
    workloads = [Workload(size, width) for width in widths for size in sizes]
    covered = [(workload, scenario) for workload in workloads if is_covered(scenario := workload.of(case.scenario))]
    chosen = covered
    links = OtherLinks(case)
    searches = _STEPS * min(_WANTED, len(links.alike)) * len(covered)
    if affordable_runs(_typical_run(links)) < searches:
        wanted = {own, *_worth_searching(covered, own)}
        chosen = [(workload, scenario) for workload, scenario in covered if workload in wanted]
    tasks = [(workload, scenario, _MOST_SPANS // len(chosen)) for workload, scenario in chosen]
    workers = min(jobs or cores(), len(tasks)) if len(case.scenario.fleet) > 1 else 1
    found = [point for points in in_order(_points_of, tasks, workers=workers) for point in points]
    return [replace(point, left_out=len(covered) - len(chosen)) for point in found]


def affordable_runs(run: Result, most_spans: int | None = None) -> int:
    """How many runs like one there is time for.

    Parameters
    ----------
    run : Result
        What is to be simulated again and again.
    most_spans : int, optional
        How many spans may be simulated; all that an answer may take if left out.
    """
    most = _MOST_SPANS if most_spans is None else most_spans
    return affordable(run, most // (_SPANS_OF_A_START + len(run.timeline.spans)))


def _typical_run(links: OtherLinks) -> Result:
    """Simulate one of the runs of a search: all are about as long."""
    return links.run({links.alike[0][0]: searched_bandwidths()[-1]})


def _worth_searching(covered: Sequence[tuple[Workload, Scenario]], own: Workload) -> list[Workload]:
    """Other workloads to search where that takes long: none if its own can be hidden, else those that are proposed."""

    def blocked(scenario: Scenario) -> bool:
        return bool(exposed_before(OtherLinks(Case.of(scenario)).whole({})))

    if not blocked(dict(covered)[own]):
        return []
    helping = [workload for workload, scenario in covered if workload != own and not blocked(scenario)]
    return hideable([GroupHidingPoint(0, workload, None, 0.0) for workload in helping], own)


def hideable(points: Sequence[GroupHidingPoint], own: Workload) -> list[Workload]:
    """Choose what to change so that communication can be hidden: as little as possible, one thing alone if that does.

    Parameters
    ----------
    points : sequence of GroupHidingPoint
        Of every group, batch size and block width.
    own : Workload
        The scenario's own, at which it cannot.

    Returns
    -------
    list of Workload
        The widest of the narrower blocks, and the smallest of the larger batches; if neither helps, the nearest batch
        size at which some width does; empty if nothing does.
    """
    # A point that is everyone's says that unlimited links do not help.
    helping = {point.workload for point in points if point.group is not None}
    narrower = [one for one in helping if one.batch_size == own.batch_size and one.width < own.width]
    larger = [one for one in helping if one.batch_size > own.batch_size and one.layers == own.layers]
    alone = [*sorted(narrower, key=lambda one: one.width)[-1:], *sorted(larger)[:1]]
    if alone or not helping:
        return alone
    return [min(helping, key=lambda one: (abs(one.batch_size - own.batch_size), -one.width))]


def _points_of(task: tuple[Workload, Scenario, int]) -> list[GroupHidingPoint]:
    """Find where the communication of each group becomes hidden, the links of the others out of the way.

    The task is a workload, its scenario, and how many spans may be simulated.
    """
    workload, scenario, most_spans = task
    fleet, links = Fleet.of(scenario), OtherLinks(Case.of(scenario))
    unlimited = links.whole({})
    in_the_way = exposed_by(unlimited, partial(_called, fleet=fleet))
    if in_the_way:
        return [GroupHidingPoint(None, workload, None, unlimited.wall_clock, in_the_way=in_the_way)]
    spans = _spans_by_group(unlimited, fleet)
    classes = links.alike
    guesses = {
        same[0]: guess_hiding(replace(unlimited, timeline=Timeline(spans[same[0]])), fleet.members(same[0]))
        for same in classes
    }
    end, values, points = _unlimited_end(unlimited), searched_bandwidths(), []
    most = max(1, affordable_runs(_typical_run(links), most_spans) // _STEPS)
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
            if scenario.fleet[group].transport is not None:
                least = found
                if both_directions_at_once(run(found), fleet.members(group)):
                    least = _without_two_way(scenario, end, values, group, found)
                point = replace(point, without_two_way=values[least])
        # Else even the slowest link of all holds up no computing.
        points.append(point)
    return points


def _called(piece: Piece, fleet: Fleet) -> str:
    """Name what is in the way; lines of sites and links of regions by whose they are."""
    name, owner = piece.holder.value, piece.client
    if piece.holder is Holder.SITE:
        return f"{name} of {fleet.name(fleet.index(owner))}"
    if owner < SERVER:
        return f"{'link' if piece.holder is Holder.REGION else name} of {fleet.actor(owner)}"
    return name


def _without_two_way(scenario: Scenario, end: float, values: Sequence[float], group: int, found: int) -> int:
    """Position of the bandwidth that would do if acknowledgements and buffers cost the links of a group nothing."""
    one_way = with_change(scenario, Change(Lever.ONE_WAY, (group,)))
    _, late = _searched(OtherLinks(Case.of(one_way)), end, values, {group: 1.0})
    at, _ = secant_search(late, values, found)
    return found if at is None else min(at, found)


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
