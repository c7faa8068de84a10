"""`paraSim plan --hide-communication`: the bandwidth from which on an overlapped method hides what it sends.

Asked for each group of clients on its own, with the links of all others out of the way, because what holds a round up
is the slowest: how much its links must carry depends on the computing that everyone waits for. At the end all groups
are given what they need at once, and the run is simulated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parasim.api import Source, simulate
from parasim.cli.text import amount, clock, origin
from parasim.planning.answer import Answer, Plan
from parasim.planning.hidden_points import UNLIMITED, HidingPoint, hiding_points, own_width, with_links
from parasim.planning.setting import origins, parsed, setting
from sim.fleet import Fleet
from sim.protocols.overlapped import Overlapped
from sim.result import Result
from sim.simulate import Setup
from sim.studies.hidden import ROUNDING, computed
from sim.studies.ladder import Decimals, least_near
from sim.studies.replay import record, replay
from sim.studies.variants import Variants

_FACTORS = Decimals(0, 2)
_DRAWN = 61
_DRAWN_RANGE = (1 / 6, 30.0)

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
        if not issubclass(setup.method.shape, Overlapped):
            because = "does not compute while it communicates, so that no bandwidth hides anything"
            answers.append(Answer(method, False, None, "B/s", None, because))
            rows.append(("-", "none", "-", "-"))
            continue
        fleet = Fleet(setup.scenario.fleet)
        points = hiding_points(data, setup, jobs)
        own = [point for point in points if _is_own(point, setup)]
        for point in own:
            # Where unlimited links do not help, a point is everyone's.
            curve = [other for other in points if other.group in (point.group, None)]
            name = "all" if point.group is None else fleet.name(point.group)
            answers.append(_answer(method, name, point, curve))
            rows.append(_row(name, point))
            curves.append(Curves(method, name, data, point, curve))
        notes += [*_together(method, data, own), *origins({method: data}, sorted({p.batch_size for p in points}))]

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.hiding import draw_hiding

        return draw_hiding([(curves_of, runtimes(curves_of, jobs)) for curves_of in curves], directory)

    return Plan(
        question="Least bandwidth, up and down, at which all communication but the last upload is hidden.",
        answers=answers,
        columns=("clients", "bandwidth", "wall-clock", "a step less"),
        rows=rows,
        notes=[*dict.fromkeys(notes)],
        provenance=provenance,
        draw=draw if any(one.own.bandwidth is not None for one in curves) else None,
    )


def _is_own(point: HidingPoint, setup: Setup) -> bool:
    own_batch = point.batch_size == setup.scenario.local.batch_size
    return own_batch and point.layers in (None, own_width(setup))


def _answer(method: str, group: str, point: HidingPoint, curve: Sequence[HidingPoint]) -> Answer:
    more = {
        "clients": group,
        "curve": [
            {
                "batch_size": other.batch_size,
                "layers_per_block": other.layers,
                "bandwidth": other.bandwidth,
                "wall_clock_s": other.wall_clock,
                "in_the_way_s": dict(other.in_the_way),
                "checked": [vars(check) for check in other.checked],
            }
            for other in curve
        ],
    }
    wall_clock = None if point.bandwidth is None else point.wall_clock
    return Answer(
        method, point.bandwidth is not None, point.bandwidth, "B/s", wall_clock, _because(point), point.checked, more
    )


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


def _row(group: str, point: HidingPoint) -> tuple[str, ...]:
    if point.bandwidth is None:
        return group, "nothing to hide" if _nothing_to_hide(point) else "none", "-", "-"
    below = amount(point.checked[1].value, "B/s")
    return group, amount(point.bandwidth, "B/s"), clock(point.wall_clock), f"{below}: not hidden"


def runtimes(curves: Curves, jobs: int | None = None) -> list[tuple[float, float]]:
    """Runtimes along the bandwidth of one group, the links of the others out of the way.

    Parameters
    ----------
    curves : Curves
        Which group; drawn about its hiding point.
    jobs : int or None
        Worker processes; all cores if None.

    Returns
    -------
    list of (float, float)
        Bandwidths [B/s] and wall-clocks [s]; empty if there is no hiding point.
    """
    if curves.own.bandwidth is None:
        return []
    recording = record(*parsed(with_links(curves.data, {})))
    bandwidths = curves.own.bandwidth * np.geomspace(*_DRAWN_RANGE, _DRAWN)
    fleet = Fleet(recording.setup.scenario.fleet)
    mine = np.array([fleet.index(site) == curves.own.group for site in recording.sites])
    links = np.where(mine[None, :], bandwidths[:, None], UNLIMITED)
    times = next(replay(recording, [Variants(uplink=links, downlink=links)], jobs=jobs)).wall_clock
    return list(zip(bandwidths.tolist(), times.tolist(), strict=True))


def _together(method: str, data: Data, own: Sequence[HidingPoint]) -> Iterator[str]:
    """Simulate all groups with what they need at once, and say what comes of it."""
    needed = {p.group: p.bandwidth for p in own if p.group is not None and p.bandwidth is not None}
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
        yield f"{method}: with these bandwidths for all at once, or up to 100 times them, not all of it is hidden."
        return
    these = "these bandwidths" if found == 0 else f"{_FACTORS[found]:g} times these bandwidths"
    yield f"{method}: {these} for all at once hide it all; it then takes {clock(runs[found].wall_clock)} (simulated)."
