"""`paraSim plan --hide-communication`: the bandwidth from which on an overlapped method hides what it sends.

Asked for each group of clients on its own, with the links of all others out of the way, because what holds a round up
is the slowest: how much its links must carry depends on the computing that everyone waits for. At the end all groups
are given what they need at once, and the run is simulated again. Where no bandwidth helps, the answer is another block
width or batch size: narrower blocks are smaller messages, larger batches leave more computing to hide them behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parasim.explanation import who
from parasim.figures import style
from parasim.figures.hiding import draw_hiding
from parasim.figures.look import USUAL, Look
from parasim.planning.answer import Answer, Plan
from parasim.planning.changes import has_varying_links, proportion
from parasim.planning.methods import Case, Question
from parasim.planning.search.hiding_points import (
    GroupCurve,
    GroupHidingPoint,
    Workload,
    affordable_runs,
    factor_for_all,
    hideable,
    hiding_points,
    own_workload,
)
from parasim.planning.search.ranges import UNLIMITED, origins
from parasim.planning.search.representatives import with_only
from parasim.planning.search.runtimes import runtimes_of
from parasim.planning.search.work import affordable
from parasim.sentences import say
from parasim.text import amount, clock
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.replay.conditions import Variants
from parasim_core.sim.replay.replay import record
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.traces import mean_rate

_MOST_DRAWN = len(style.GROUP_COLOURS)
_DRAWN, _DRAWN_BELOW, _DRAWN_ABOVE = 61, 1 / 15, 6.0
_FEWEST_DRAWN = 7
"""Bandwidths of a drawn line, and how far around the hiding points they reach."""


def answer(question: Question) -> Plan:
    """Find the bandwidth at which a method hides all of its communication, by group, batch size and block width.

    Methods that do not overlap, or have no rounds, get an answer that says so.
    """
    jobs = question.jobs
    answers: list[Answer] = []
    notes: list[str] = []
    curves: list[GroupCurve] = []
    for case in question.cases:
        if not (case.setup.traits.overlaps and case.setup.traits.rounds_numbered):
            because = say("hiding.no_rounds" if case.setup.traits.overlaps else "hiding.no_overlap")
            answers.append(Answer(case.method, False, None, "B/s", None, because, row=("-", "none", "-", "-")))
            continue
        points, own = hiding_points(case, jobs), own_workload(case)
        found = _curves(case, own, points)
        notes += _two_way(case, found)
        if points[0].left_out:
            notes.append(say("hiding.left_out", method=case.method, number=points[0].left_out))
        workloads = hideable(points, own) if any(one.own.group is None for one in found) else []
        answers += [_answer(one, workloads, case.scenario) for one in found]
        curves += found
        if not workloads:
            notes += _together(case.method, case.scenario, [one.own for one in found])
        for other in workloads:
            name = say("hiding.method_with", method=case.method, changed=_changed(other, own))
            notes += _together(name, other.of(case.scenario), [point for point in points if point.workload == other])
        notes += [say("hiding.other_runs")] if workloads else []
        notes += origins([case], sorted({point.workload.batch_size for point in points}))
    drawn = any(point.bandwidth is not None for one in curves for point in one.points)
    return Plan(
        scenario=question.scenario,
        question=say("hiding.question"),
        answers=answers,
        columns=("clients", "bandwidth", "wall-clock", "a step less"),
        notes=[*dict.fromkeys(notes)],
        provenance=question.origins,
        draw=partial(_draw, question, curves) if drawn else None,
    )


def _changed(other: Workload, own: Workload) -> str:
    """Say what differs: ``blocks of 1 layer``, ``batch size 6``, or both."""
    layers = say("hiding.one_layer" if other.layers == 1 else "hiding.layers", workload=other)
    size = say("hiding.batch_size", workload=other)
    return " and ".join([layers] * (other.layers != own.layers) + [size] * (other.batch_size != own.batch_size))


def _curves(case: Case, own: Workload, points: Sequence[GroupHidingPoint]) -> list[GroupCurve]:
    """Part points by group; where unlimited links never help, all groups are one."""
    fleet = Fleet(case.scenario.fleet)
    # Where there is no time for all groups, other workloads need not have been searched for the same ones.
    as_it_is = [point for point in points if point.workload == own and point.group is not None]
    groups: Sequence[int | None] = sorted({p.group for p in as_it_is or points if p.group is not None}) or [None]
    curves = []
    for group in groups:
        # Where unlimited links do not help, a point is everyone's.
        curve = [point for point in points if point.group in (group, None)]
        [its_own] = [point for point in curve if point.workload == own]
        alike = next((point.alike for point in curve if point.alike), ())
        name = "all" if group is None else fleet.name(group) if len(alike) < 2 else who(alike, fleet)
        names = [name] if group is None else [fleet.name(index) for index in alike or (group,)]
        curves.append(GroupCurve(case.method, name, its_own, curve, names))
    return curves


def _two_way(case: Case, curves: Sequence[GroupCurve]) -> Iterator[str]:
    """Say what one direction of links costs the other: acknowledgements, and buffers in which they wait."""
    found = [(one.clients, one.own.without_two_way, one.own.bandwidth) for one in curves]
    known = [(clients, least, needed) for clients, least, needed in found if least is not None and needed is not None]
    for clients, least, needed in known:
        if least < needed:
            share = 1 - least / needed
            yield say("hiding.two_way", method=case.method, clients=clients, least=least, share=share)
    if free := [clients for clients, least, needed in known if least >= needed]:
        yield say("hiding.one_way", method=case.method, clients=free)


def _written(bandwidth: float, group: int | None, scenario: Scenario) -> str:
    """Write a bandwidth; of links that vary, as a multiple of what they are."""
    if group is None or not has_varying_links(scenario.fleet[group]):
        return amount(bandwidth, "B/s")
    factor = bandwidth / mean_rate(scenario.fleet[group].uplink)
    return say("hiding.factor", factor=factor, bandwidth=bandwidth)


def _answer(curve: GroupCurve, workloads: Sequence[Workload], scenario: Scenario) -> Answer:
    point, ways, wall_clock = curve.own, [], None
    for there in (point for workload in workloads for point in curve.points if point.workload == workload):
        least = say("hiding.any_bandwidth" if there.bandwidth is None else "hiding.from_on", point=there)
        ways.append(say("hiding.way", changed=_changed(there.workload, point.workload), least=least, point=there))
    row: tuple[str, ...] = ("none", "-", "-")
    if point.bandwidth is not None:
        because = say("hiding.hidden", later=point.checked[1].wall_clock_s - point.checked[0].wall_clock_s)
        wall_clock, below = point.wall_clock, say("hiding.not_hidden", bandwidth=point.checked[1].value)
        row = (_written(point.bandwidth, point.group, scenario), clock(point.wall_clock), below)
    elif point.in_the_way:
        large = {name: s for name, s in point.in_the_way.items() if s >= sum(point.in_the_way.values()) / 100}
        parts = [say("path.seconds", resource=name, seconds=seconds) for name, seconds in large.items()]
        because = say("hiding.in_the_way", parts=parts)
    else:
        because, row = say("hiding.nothing_to_hide"), ("nothing to hide", "-", "-")
    because = say("hiding.instead", because=because, ways=" or ".join(ways)) if ways else because
    more = {
        "clients": curve.clients,
        "groups": list(curve.groups),
        "in_the_way_s": dict(point.in_the_way),
        "curve": [other.as_json() for other in curve.points],
    }
    value, row = point.bandwidth, (curve.clients, *row)
    return Answer(curve.method, value is not None, value, "B/s", wall_clock, because, point.checked, more, row)


def _together(name: str, scenario: Scenario, points: Sequence[GroupHidingPoint]) -> Iterator[str]:
    """Simulate all groups with what they need at once, and say what comes of it."""
    own = [(point.alike or (point.group,), point.bandwidth) for point in points]
    needed = {group: link for groups, link in own if link is not None for group in groups if group is not None}
    if needed:
        yield say("hiding.simulated")
    if unsearched := max((point.unsearched for point in points), default=0):
        searched = sum(len(point.alike) for point in points)
        yield say("hiding.unsearched", name=name, searched=searched, groups=searched + unsearched)
    # Those who have nothing to hide need nothing.
    if len(needed) > 1:
        found = factor_for_all(scenario, needed)
        if found is None:
            yield say("hiding.not_together", name=name)
        else:
            factor, wall_clock = found
            these = say("hiding.these" if factor == 1 else "hiding.times_these", factor=factor)
            yield say("hiding.together", name=name, these=these, wall_clock=wall_clock)


def _draw(question: Question, curves: Sequence[GroupCurve], directory: Path, look: Look = USUAL) -> list[Path]:
    return draw_hiding(list(zip(curves, _runtimes(question, curves), strict=True)), directory, look)


def _runtimes(question: Question, curves: Sequence[GroupCurve]) -> list[list[tuple[float, float]]]:
    """Runtimes [s] along the bandwidth [B/s] of each group, all over the same bandwidths about their hiding points."""
    # A picture shows those that need the most; see `draw_hiding`.
    need = [max((point.bandwidth or 0.0 for point in curve.points), default=0.0) for curve in curves]
    drawn = sorted(range(len(curves)), key=lambda number: -need[number])[:_MOST_DRAWN]
    hiding = [curves[number].own.bandwidth or 0.0 for number in drawn if curves[number].own.bandwidth is not None]
    scenarios = {case.method: case.scenario for case in question.cases}
    runtimes: list[list[tuple[float, float]]] = []
    for number, curve in enumerate(curves):
        runtimes.append([])
        if curve.own.bandwidth is not None and number in drawn:
            assert curve.own.group is not None
            case = Case.of(with_only(scenarios[curve.method], {curve.own.group: curve.own.bandwidth}))
            recording, fleet = record(case.setup, case.costs), Fleet(case.scenario.fleet)
            mine = np.array([[fleet.index(site) == curve.own.group for site in recording.sites]])
            known = {check.value: check.wall_clock_s for check in curve.own.checked}
            share = proportion(scenarios[curve.method].fleet[curve.own.group])

            def variants(rates: Sequence[float], mine: NDArray[np.bool_] = mine, share: float = share) -> Variants:
                up = np.where(mine, np.reshape(rates, (-1, 1)), UNLIMITED)
                return Variants(uplink=up, downlink=np.where(mine, up * share, UNLIMITED))

            replayed = recording.replay(variants([*known]))
            most = _DRAWN * len(drawn)
            if not replayed.replayed.all():
                most = min(most, affordable_runs(recording.result))
            points = affordable(recording.result, most, _FEWEST_DRAWN * len(drawn)) // len(drawn)
            bandwidths = np.geomspace(
                min(hiding) * _DRAWN_BELOW, max(hiding) * _DRAWN_ABOVE, max(points, _FEWEST_DRAWN)
            )
            recording = recording.held_against([*known.values()], *replayed)
            times = runtimes_of(recording, variants(bandwidths.tolist()), question.jobs).wall_clock
            runtimes[-1] = list(zip(bandwidths.tolist(), times.tolist(), strict=True))
    return runtimes
