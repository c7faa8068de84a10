"""`paraSim plan --hide-communication`: the bandwidth from which on an overlapped method hides what it sends.

Asked for each group of clients on its own, with the links of all others out of the way, because what holds a round up
is the slowest: how much its links must carry depends on the computing that everyone waits for. At the end all groups
are given what they need at once, and the run is simulated again. Where no bandwidth helps, the answer is another block
width or batch size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parasim.api import Source, simulate
from parasim.planning.answer import Answer, Plan
from parasim.planning.hidden_points import UNLIMITED, HidingPoint, hiding_points, own_width, varied, with_links
from parasim.planning.hideable import Choice, changed, hideable, instead
from parasim.planning.setting import origins, parsed, setting
from parasim.text import amount, clock, origin
from sim.fleet import Fleet
from sim.result import Result
from sim.scenario import Scenario
from sim.studies.conditions import Floats, Variants
from sim.studies.hidden import ROUNDING, computed
from sim.studies.ladder import Decimals, least_near
from sim.studies.replay import record, replay

_FACTORS = Decimals(0, 2)
_DRAWN, _DRAWN_BELOW, _DRAWN_ABOVE = 61, 1 / 15, 6.0
"""Bandwidths of a drawn line, and how far around the hiding points they reach."""
_OTHER_RUNS = (
    "Other settings are other runs, of as many rounds: narrower blocks train fewer weights in each of them, larger "
    "batches take longer to compute."
)

Data = dict[str, Any]


@dataclass(frozen=True)
class Curves:
    """What is drawn of one method and group of clients.

    Attributes
    ----------
    method, clients : str
        Their names.
    data : dict
        The scenario.
    own : HidingPoint
        As the scenario is.
    points : sequence of HidingPoint
        For other batch sizes and block widths.
    """

    method: str
    clients: str
    data: Data
    own: HidingPoint
    points: Sequence[HidingPoint]


def hide_communication(
    source: Source | None, overrides: Sequence[str], methods: Sequence[str], jobs: int | None = None
) -> Plan:
    """Find the bandwidth at which a method hides all of its communication, by group, batch size and block width.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for; the paper's setting if None.
    overrides : sequence of str
        Such as ``fleet.0.uplink=20MB/s``.
    methods : sequence of str
        Names of methods; those that do not overlap get an answer that says so.
    jobs : int or None
        Worker processes; all cores if None.

    Raises
    ------
    ParaSimError
        If the scenario is wrong, or a method cannot run it.
    """
    answers: list[Answer] = []
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    provenance: dict[str, str] = {}
    curves: list[Curves] = []
    for method in methods:
        data = setting(source, overrides, method)
        setup, costs = parsed(data)
        provenance[method] = origin({"compute": costs.provenance()})
        if not setup.traits.overlaps:
            because = "does not compute while it communicates, so that no bandwidth hides anything"
            answers.append(Answer(method, False, None, "B/s", None, because))
            rows.append(("-", "none", "-", "-"))
            continue
        points = hiding_points(data, setup, jobs)
        own = Choice(setup.scenario.local.batch_size, own_width(setup) if points[0].layers is not None else None)
        found = _curves(method, data, own, points)
        choices = hideable(points, own) if any(one.own.group is None for one in found) else []
        for one in found:
            answers.append(_answer(one, choices, own))
            rows.append(_row(one))
        curves += found
        if not choices:
            notes += _together(method, data, [one.own for one in found])
        for choice in choices:
            at_choice = [point for point in points if Choice(point.batch_size, point.layers) == choice]
            notes += _together(f"{method} with {changed(choice, own)}", varied(data, *choice), at_choice)
        notes += [_OTHER_RUNS] if choices else []
        notes += origins({method: data}, sorted({point.batch_size for point in points}))

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.hiding import draw_hiding

        return draw_hiding(list(zip(curves, runtimes(curves, jobs), strict=True)), directory)

    return Plan(
        question="Least bandwidth, up and down, at which all communication but the last upload is hidden.",
        answers=answers,
        columns=("clients", "bandwidth", "wall-clock", "a step less"),
        rows=rows,
        notes=[*dict.fromkeys(notes)],
        provenance=provenance,
        draw=draw if any(point.bandwidth is not None for one in curves for point in one.points) else None,
    )


def _curves(method: str, data: Data, own: Choice, points: Sequence[HidingPoint]) -> list[Curves]:
    """Part points by group; where unlimited links never help, all groups are one."""
    fleet = Fleet(Scenario.parse(data).fleet)
    groups: Sequence[int | None] = sorted({point.group for point in points if point.group is not None}) or [None]
    curves = []
    for group in groups:
        # Where unlimited links do not help, a point is everyone's.
        curve = [point for point in points if point.group in (group, None)]
        [as_it_is] = [point for point in curve if Choice(point.batch_size, point.layers) == own]
        name = "all" if group is None else fleet.name(group)
        curves.append(Curves(method, name, data, as_it_is, curve))
    return curves


def _answer(curves: Curves, choices: Sequence[Choice], own: Choice) -> Answer:
    point = curves.own
    because = _because(point)
    if choices:
        because += f"; {instead(curves.points, choices, own)}"
    more = {
        "clients": curves.clients,
        "in_the_way_s": dict(point.in_the_way),
        "curve": [
            {
                "batch_size": other.batch_size,
                "layers_per_block": other.layers,
                "bandwidth": other.bandwidth,
                "wall_clock_s": other.wall_clock,
                "in_the_way_s": dict(other.in_the_way),
                "checked": [vars(check) for check in other.checked],
            }
            for other in curves.points
        ],
    }
    feasible = point.bandwidth is not None
    wall_clock = point.wall_clock if feasible else None
    return Answer(curves.method, feasible, point.bandwidth, "B/s", wall_clock, because, point.checked, more)


def _because(point: HidingPoint) -> str:
    if _nothing_to_hide(point):
        return "nothing to hide: whatever the bandwidth, no computing waits for what is sent"
    if point.bandwidth is None:
        least = sum(point.in_the_way.values()) / 100
        parts = [f"{name} {clock(seconds)}" for name, seconds in point.in_the_way.items() if seconds >= least]
        return f"even with unlimited links, computing has to wait for {', '.join(parts)}"
    later = point.checked[1].wall_clock_s - point.checked[0].wall_clock_s
    return f"an update goes up and comes back while the next one is computed; a step less costs {clock(later)}"


def _nothing_to_hide(point: HidingPoint) -> bool:
    return point.bandwidth is None and not point.in_the_way


def _row(curves: Curves) -> tuple[str, ...]:
    point = curves.own
    if point.bandwidth is None:
        return curves.clients, "nothing to hide" if _nothing_to_hide(point) else "none", "-", "-"
    below = amount(point.checked[1].value, "B/s")
    return curves.clients, amount(point.bandwidth, "B/s"), clock(point.wall_clock), f"{below}: not hidden"


def runtimes(groups: Sequence[Curves], jobs: int | None = None) -> list[list[tuple[float, float]]]:
    """Runtimes along the bandwidth of each group, the links of the others out of the way.

    Parameters
    ----------
    groups : sequence of Curves
        Which groups; all are drawn over the same bandwidths, about their hiding points.
    jobs : int or None
        Worker processes; all cores if None.

    Returns
    -------
    list of list of (float, float)
        For each group, bandwidths [B/s] and wall-clocks [s]; none for those without a hiding point.
    """
    hiding = [curves.own.bandwidth for curves in groups if curves.own.bandwidth is not None]
    if not hiding:
        return [[] for _ in groups]
    bandwidths = np.geomspace(min(hiding) * _DRAWN_BELOW, max(hiding) * _DRAWN_ABOVE, _DRAWN)
    return [[] if one.own.bandwidth is None else _runtimes(one, bandwidths, jobs) for one in groups]


def _runtimes(curves: Curves, bandwidths: Floats, jobs: int | None) -> list[tuple[float, float]]:
    recording = record(*parsed(with_links(curves.data, {})))
    fleet = Fleet(recording.setup.scenario.fleet)
    mine = np.array([fleet.index(site) == curves.own.group for site in recording.sites])
    links = np.where(mine[None, :], bandwidths[:, None], UNLIMITED)
    times = next(replay(recording, [Variants(uplink=links, downlink=links)], jobs=jobs)).wall_clock
    return list(zip(bandwidths.tolist(), times.tolist(), strict=True))


def _together(name: str, data: Data, points: Sequence[HidingPoint]) -> Iterator[str]:
    """Simulate all groups with what they need at once, and say what comes of it."""
    needed = {p.group: p.bandwidth for p in points if p.group is not None and p.bandwidth is not None}
    if not needed:
        return
    yield (
        "Each bandwidth, and the next lower one of four digits, was simulated: hidden means that computing ends as "
        "early as with unlimited links."
    )
    # Those who have nothing to hide need nothing.
    if len(needed) < 2:
        return
    end = computed(simulate(with_links(data, {}))) * (1 + ROUNDING)
    runs: dict[int, Result] = {}

    def excess(position: int) -> float:
        factor = _FACTORS[position]
        runs[position] = simulate(with_links(data, {group: factor * link for group, link in needed.items()}))
        return computed(runs[position]) - end

    # Those who share rounds share their deadlines: one group's upload leaves less time for the other's download.
    found, _ = least_near(excess, _FACTORS, 0)
    if found is None:
        yield f"{name}: with these bandwidths for all at once, or up to 100 times them, not all of it is hidden."
        return
    these = "these bandwidths" if found == 0 else f"{_FACTORS[found]:g} times these bandwidths"
    yield f"{name}: {these} for all at once hide it all; it then takes {clock(runs[found].wall_clock)} (simulated)."
