"""Hiding points: from which bandwidth on each group of clients holds up nobody's computing.

Found for one group at a time, the links of all others out of the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parasim.api import simulate
from parasim.planning.answer import Check
from parasim.planning.setting import batch_sizes, block_widths, is_covered
from sim.fleet import Fleet
from sim.result import Result
from sim.scenario_file import with_field
from sim.simulate import Setup
from sim.studies.hidden import ROUNDING, computed, exposed_before, guess_hiding
from sim.studies.ladder import Decimals, least_near, spread
from sim.studies.pool import cores, in_order
from sim.units import format_bandwidth

BANDWIDTHS = Decimals(0, 15)
UNLIMITED = BANDWIDTHS[len(BANDWIDTHS) - 1]
"""As good as unlimited [B/s]."""
_WIDTHS = (0.5, 1.0, 2.0, 4.0)
_MOST_BATCHES = 8

Data = dict[str, Any]


@dataclass(frozen=True)
class HidingPoint:
    """Where the communication of a group becomes hidden in one scenario.

    Attributes
    ----------
    group : int or None
        Index of the group; None for all, where even unlimited links do not hide the communication.
    batch_size : int
        Of the scenario.
    layers : float or None
        Its block width; None where blocks are no matter of width.
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
    batch_size: int
    layers: float | None
    bandwidth: float | None
    wall_clock: float
    checked: Sequence[Check]
    in_the_way: Mapping[str, float]


def hiding_points(data: Data, setup: Setup, jobs: int | None) -> list[HidingPoint]:
    """Hiding points of every group, for every batch size and block width that the costs cover."""
    scenario = setup.scenario
    known = batch_sizes(data)
    sizes = sorted({*(known[position] for position in spread(len(known), _MOST_BATCHES)), scenario.local.batch_size})
    by_width = scenario.blocks.count is None and setup.architecture is not None and block_widths(setup)
    widths = sorted({*_WIDTHS, own_width(setup)} & set(block_widths(setup))) if by_width else [None]
    choices = [(size, width, varied(data, size, width)) for width in widths for size in sizes]
    tasks = [choice for choice in choices if is_covered(choice[2])]
    workers = min(jobs or cores(), len(tasks)) if len(scenario.fleet) > 1 else 1
    return [point for points in in_order(_points_of, tasks, workers=workers) for point in points]


def own_width(setup: Setup) -> float:
    """Layers per block of a scenario that says nothing of their number."""
    return setup.scenario.blocks.layers or 2.0


def varied(data: Data, batch_size: int, layers: float | None) -> Data:
    """Give a scenario another batch size and block width."""
    data = with_field(data, "local.batch_size", batch_size)
    return data if layers is None else with_field(data, "blocks.layers", int(layers) if layers >= 1 else layers)


def _points_of(task: tuple[int, float | None, Data]) -> list[HidingPoint]:
    """Find where the communication of each group becomes hidden, the links of the others out of the way."""
    batch_size, layers, data = task
    unlimited = simulate(with_links(data, {}))
    in_the_way = exposed_before(unlimited)
    if in_the_way:
        named = {holder.value: seconds for holder, seconds in in_the_way.items()}
        return [HidingPoint(None, batch_size, layers, None, unlimited.wall_clock, (), named)]
    end = computed(unlimited) * (1 + ROUNDING)
    fleet = Fleet(unlimited.scenario.fleet)
    points = []
    for group in range(len(fleet.groups)):
        runs: dict[int, Result] = {}

        def excess(position: int, group: int = group, runs: dict[int, Result] = runs) -> float:
            runs[position] = simulate(with_links(data, {group: BANDWIDTHS[position]}))
            return computed(runs[position]) - end

        guess = guess_hiding(unlimited, range(fleet.firsts[group], fleet.firsts[group + 1]))
        found, below = least_near(excess, BANDWIDTHS, BANDWIDTHS.nearest(guess))
        # The last of the bandwidths is what counts as unlimited.
        assert found is not None
        if below is None:
            # Even the slowest link of all holds up no computing.
            points.append(HidingPoint(group, batch_size, layers, None, unlimited.wall_clock, (), {}))
            continue
        checked = [
            Check(BANDWIDTHS[position], runs[position].wall_clock, computed(runs[position]) <= end)
            for position in (found, below)
        ]
        wall_clock = runs[found].wall_clock
        points.append(HidingPoint(group, batch_size, layers, BANDWIDTHS[found], wall_clock, checked, {}))
    return points


def with_links(data: Data, bandwidths: Mapping[int, float]) -> Data:
    """Give some groups links of a bandwidth, and all others unlimited ones."""
    for field in ("uplink", "downlink"):
        data = with_field(data, f"fleet.*.{field}", format_bandwidth(UNLIMITED))
        for group, bandwidth in bandwidths.items():
            data = with_field(data, f"fleet.{group}.{field}", format_bandwidth(bandwidth))
    return data
