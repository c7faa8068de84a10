"""Why a run takes as long as it does, and what would make it faster: shares of the critical path, and claims.

A claim is a change and the wall-clock that it leads to, twice: predicted from the recorded graph, and simulated with
the change made. Where no link is shared, the prediction is an exact replay; elsewhere it is an estimate that keeps
every transfer's recorded share of the server's link.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from parasim_core.sim.analysis.critical_path import CriticalPath, Holder, critical_path
from parasim_core.sim.analysis.levers import Change, Lever, fails, with_change, with_shorter_latencies, with_wider_paths
from parasim_core.sim.analysis.slack import slack
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.incidents import Closing
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Setup, simulate
from parasim_core.sim.engine.timeline import SERVER
from parasim_core.sim.errors import EndedEarlyError
from parasim_core.sim.replay.conditions import Variants
from parasim_core.sim.replay.replay import Recording, record

WORTH_A_CLAIM = 0.005
"""Share of the wall-clock that something must hold for its improvement to be worth a line."""
_NAMED = 0.9
"""The clients named as a bottleneck hold this share of what all clients hold of that resource."""
MOST_NAMED = 4
"""More groups than this are no list that anyone reads."""


LEVER_OF = {Holder.COMPUTING: Lever.SPEED} | {
    holder: Lever[holder.name] for holder in Holder if holder.name in Lever.__members__
}
_OF_LINKS = {
    Holder.SITE: (Lever.SITES,),
    Holder.REGION: (Lever.REGIONS,),
    Holder.UPLINK: (Lever.REGIONS,),
    Holder.DOWNLINK: (Lever.REGIONS,),
    Holder.START_UP: (Lever.WARM,),
    Holder.LIMITED: (Lever.STREAMS, Lever.BBR),
    Holder.TWO_WAY: (Lever.ONE_WAY,),
}
"""What may help where sites, regions or TCP hold a share of the path; of access links, those of aggregators."""
_OF_FAILURES = {
    Lever.FAILURES: (Holder.REPAIR, Holder.ANEW, Holder.REPEATED),
    Lever.OUTAGES: (Holder.OUTAGE, Holder.REPEATED),
    Lever.DROPOUT: (Holder.VAIN, Holder.NOBODY),
    Lever.AVAILABLE: (Holder.VAIN, Holder.NOBODY),
    Lever.DEADLINE: (Holder.DEADLINE,),
}
"""What failures, absences and deadlines may hold of the path."""
FAILING = frozenset({Holder.LATE, *(holder for holders in _OF_FAILURES.values() for holder in holders)})
"""All that they hold."""


class HeldTime(NamedTuple):
    """What the clients of one group, or the server, hold of the critical path by one resource.

    Attributes
    ----------
    holder : Holder
        The resource.
    group : int
        Index of the group, `SERVER`, or a region or its aggregator below it.
    seconds : float
        [s].
    """

    holder: Holder
    group: int
    seconds: float


@dataclass(frozen=True)
class Claim:
    """What a change does.

    Attributes
    ----------
    change : Change
        The change.
    predicted : float or None
        Wall-clock by the recorded graph [s]; None where that must not be replayed.
    exact : bool
        Whether that is an exact replay; otherwise an estimate.
    simulated : float
        Wall-clock of the event simulation with the change made [s]; infinite if that run ends early, in an error.
    saves : float
        Recorded minus simulated wall-clock [s].
    """

    change: Change
    predicted: float | None
    exact: bool
    simulated: float
    saves: float

    @property
    def ends(self) -> bool:
        """Whether the run with the change made comes to its end."""
        return self.simulated < math.inf


@dataclass(frozen=True)
class Explanation:
    """Why a run takes as long as it does.

    Attributes
    ----------
    result : Result
        The run.
    path : CriticalPath
        What its wall-clock consists of.
    shares : tuple of HeldTime
        The path by resource and group, the largest first.
    slack : tuple of float
        For each group, the least time by which anything that its clients do could be delayed without the run
        taking longer [s]; infinite if they never take part.
        Empty where who waits for whom depends on how long things take.
    claims : tuple of Claim
        What changes would do, the most useful first.
    not_replayable : str
        Why nothing was predicted, and the path is that of this run alone; empty if the graph may be replayed.
    """

    result: Result
    path: CriticalPath
    shares: tuple[HeldTime, ...]
    slack: tuple[float, ...]
    claims: tuple[Claim, ...]
    not_replayable: str = ""

    def holders(self) -> dict[Holder, float]:
        """Seconds that each resource holds, of all clients together and the largest first [s]."""
        return held(self.shares)


def held(shares: Sequence[HeldTime]) -> dict[Holder, float]:
    """Seconds that each resource holds, of all clients together and the largest first [s]."""
    seconds = {holder: math.fsum(share.seconds for share in shares if share.holder is holder) for holder in Holder}
    return dict(sorted(((holder, held) for holder, held in seconds.items() if held > 0), key=lambda item: -item[1]))


def explain(setup: Setup, costs: Costs) -> Explanation:
    """Simulate a scenario, find its critical path, and try what would shorten it.

    Parameters
    ----------
    setup : Setup
        What to simulate.
    costs : Costs
        What computing costs.

    Raises
    ------
    CostError
        If a local update's cost is not known.
    """
    recording = record(setup, costs)
    result = recording.result
    path = critical_path(result)
    shares = shares_by_group(path, Fleet(setup.scenario.fleet))
    changes = tuple(dict.fromkeys(_changes(recording, shares)))
    variants = _variants(recording, changes)
    simulated = [_wall_clock(partial(recording.simulate, variants, row)) for row in range(len(changes))]
    recording = recording.held_against(simulated, *recording.replay(variants))
    others = [*_changes_of_links(recording, shares), *_changes_of_failures(recording, shares)]
    of_links = [_simulated(recording, change) for change in dict.fromkeys(others)]
    claims = _with_ties(recording, _claims(recording, changes, variants, simulated, of_links))
    spare = () if recording.not_replayable else _least_slack(result)
    return Explanation(result, path, shares, spare, claims, recording.not_replayable)


def _simulated(recording: Recording, change: Change) -> Claim:
    """Simulate a change that conditions of a run know nothing of, or that of latencies where there are regions."""
    scenario = recording.setup.scenario
    wholly = {Lever.LATENCY: with_shorter_latencies, Lever.PATHS: with_wider_paths}
    changed = wholly[change.lever](scenario) if change.lever in wholly else with_change(scenario, change)
    after = _wall_clock(partial(simulate, replace(recording.setup, scenario=changed), recording.costs))
    return Claim(change, None, False, after, recording.result.wall_clock - after)


def _wall_clock(run: Callable[[], Result]) -> float:
    """Wall-clock of a run [s]; infinite if it ends early."""
    try:
        return run().wall_clock
    except EndedEarlyError:
        return math.inf


def _with_ties(recording: Recording, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Add what faster links save only together, where messages fill several links of their path at a time.

    A site line as fast as the uplinks of its clients together is one of two bottlenecks: doubling either saves nothing.
    """
    scenario = recording.setup.scenario
    server = scenario.server
    shared = scenario.regions or any(group.site is not None for group in scenario.fleet)
    if not shared and server.ingress is None and server.egress is None:
        return claims
    least = WORTH_A_CLAIM * recording.result.wall_clock
    best: dict[Lever, float] = {}
    for claim in claims:
        best[claim.change.lever] = max(best.get(claim.change.lever, 0.0), claim.saves)
    links = max(best.pop(Lever.LINKS, 0.0), best.get(Lever.UPLINK, 0.0) + best.get(Lever.DOWNLINK, 0.0))
    apart = links + sum(best.get(lever, 0.0) for lever in (Lever.SITES, Lever.REGIONS, Lever.INGRESS, Lever.EGRESS))
    together = _simulated(recording, Change(Lever.PATHS))
    if together.saves <= apart + least:
        return claims
    return tuple(sorted([*claims, together], key=lambda claim: -claim.saves))


def named(shares: tuple[HeldTime, ...], holder: Holder, *, aggregators: bool = False) -> tuple[int, ...]:
    """Groups (and aggregators) that hold nine tenths of what all of them hold of a resource, the largest first."""
    own = [s for s in shares if s.holder is holder and (s.group >= 0 or (aggregators and s.group < SERVER))]
    total, reached = math.fsum(share.seconds for share in own), 0.0
    groups: list[int] = []
    for share in own:
        if reached < _NAMED * total:
            groups.append(share.group)
            reached += share.seconds
    return tuple(groups)


def shares_by_group(path: CriticalPath, fleet: Fleet) -> tuple[HeldTime, ...]:
    """Seconds of a critical path by resource and group, the largest first."""
    seconds: dict[tuple[Holder, int], list[float]] = {}
    for (holder, client), held in path.held().items():
        group = client if client < 0 else fleet.index(client)
        seconds.setdefault((holder, group), []).append(held)
    shares = (HeldTime(holder, group, math.fsum(terms)) for (holder, group), terms in seconds.items())
    return tuple(sorted(shares, key=lambda share: (-share.seconds, share.holder, share.group)))


def _least_slack(result: Result) -> tuple[float, ...]:
    fleet = Fleet(result.scenario.fleet)
    least = [math.inf] * len(fleet.groups)
    for span, own in zip(result.timeline.spans, slack(result), strict=True):
        if span.client >= 0:
            group = fleet.index(span.client)
            least[group] = min(least[group], own)
    return tuple(least)


def _changes(recording: Recording, shares: tuple[HeldTime, ...]) -> Iterator[Change]:
    """Changes worth trying: all devices and links; the bottleneck alone; what else holds a share of the path."""
    wall_clock = recording.result.wall_clock
    groups = len(recording.setup.scenario.fleet)
    yield Change(Lever.SPEED)
    yield Change(Lever.UPLINK)
    yield Change(Lever.DOWNLINK)
    seconds = held(shares)
    bottlenecks = {
        holder: tuple(sorted(named(shares, holder)))
        for holder in (Holder.COMPUTING, Holder.UPLINK, Holder.DOWNLINK)
        if seconds.get(holder, 0.0) > wall_clock / 10
    }
    slow_links = set(bottlenecks.get(Holder.UPLINK, ())) & set(bottlenecks.get(Holder.DOWNLINK, ()))
    if slow_links:
        yield Change(Lever.LINKS, () if len(slow_links) == groups else tuple(sorted(slow_links)))
    for holder, bottleneck in bottlenecks.items():
        with_both_links = holder is not Holder.COMPUTING and slow_links.issuperset(bottleneck)
        if len(bottleneck) < min(groups, MOST_NAMED + 1) and not with_both_links:
            yield Change(LEVER_OF[holder], bottleneck)
    for holder in (Holder.INGRESS, Holder.EGRESS, Holder.LATENCY, Holder.SERIALIZATION, Holder.AGGREGATION):
        elsewhere = holder is Holder.LATENCY and recording.setup.scenario.regions
        if seconds.get(holder, 0.0) > WORTH_A_CLAIM * wall_clock and not elsewhere:
            yield Change(LEVER_OF[holder])
    behind = _behind_the_median(recording)
    if behind:
        yield Change(Lever.STRAGGLERS, behind)


def _changes_of_links(recording: Recording, shares: tuple[HeldTime, ...]) -> Iterator[Change]:
    """Changes of sites, regions, transport and the latencies of regions, where they hold a share of the path."""
    scenario, least = recording.setup.scenario, WORTH_A_CLAIM * recording.result.wall_clock
    for holder, levers in _OF_LINKS.items():
        owners = named(shares, holder, aggregators=True)
        if holder in (Holder.UPLINK, Holder.DOWNLINK):
            owners = tuple(owner for owner in owners if owner < SERVER)
        seconds = math.fsum(share.seconds for share in shares if share.holder is holder and share.group in owners)
        for lever in levers if seconds > least else ():
            some, everyone = Change(lever, tuple(sorted(owners))), Change(lever)
            changed, others = with_change(scenario, some), with_change(scenario, everyone)
            if changed != scenario:
                yield some
            if others != changed:
                yield everyone
    if scenario.regions and held(shares).get(Holder.LATENCY, 0.0) > least:
        yield Change(Lever.LATENCY)


def _changes_of_failures(recording: Recording, shares: tuple[HeldTime, ...]) -> Iterator[Change]:
    """What would be if some failures, or all, did not happen, and rounds waited for less."""
    setup, incidents = recording.setup, recording.result.timeline.incidents
    scenario, least = setup.scenario, WORTH_A_CLAIM * recording.result.wall_clock
    if not setup.opened:
        return
    for lever, holders in _OF_FAILURES.items():
        own = [share for share in shares if share.holder in holders]
        if math.fsum(share.seconds for share in own) <= least:
            continue
        some = Change(lever, tuple(sorted({share.group for share in own if share.group >= 0})))
        everyone = Change(lever)
        changed, others = with_change(scenario, some), with_change(scenario, everyone)
        if changed != scenario:
            yield some
        if others != changed:
            yield everyone
    if any(map(fails, scenario.fleet)):
        yield Change(Lever.NOTHING_FAILS)
    if any(closed.by is Closing.QUORUM for closed in incidents.closed.values()):
        change = Change(Lever.QUORUM)
        if with_change(scenario, change) != scenario:
            yield change


def _claims(
    recording: Recording,
    changes: Sequence[Change],
    variants: Variants,
    simulated: Sequence[float],
    of_links: Sequence[Claim],
) -> tuple[Claim, ...]:
    """Predict changes, beside what simulating them took; with those of links, the most useful first."""
    replayed, exact = recording.replay(variants)
    predicted: list[float | None] = [None] * len(changes)
    if not recording.not_replayable:
        predicted = list(np.where(exact, replayed, recording.estimate(variants)).tolist())
    before = recording.result.wall_clock
    rows = zip(changes, predicted, exact.tolist(), simulated, strict=True)
    claims = [Claim(change, guess, is_exact, after, before - after) for change, guess, is_exact, after in rows]
    return tuple(sorted([*claims, *of_links], key=lambda claim: -claim.saves))


def _variants(recording: Recording, changes: Sequence[Change]) -> Variants:
    """Write changes as what-ifs, one row each."""
    values = recording.conditions.repeated(len(changes))
    for row, (lever, groups) in enumerate(changes):
        if lever is Lever.STRAGGLERS:
            for name, median in _medians(recording).items():
                values[name][row] = np.maximum(values[name][row], median)
            continue
        for name in ("uplink", "downlink") if lever is Lever.LINKS else (lever.value,):
            factor = 0.5 if lever in (Lever.LATENCY, Lever.SERIALIZATION, Lever.AGGREGATION) else 2.0
            values[name][row, np.isin(recording.groups, groups) if groups else slice(None)] *= factor
    return Variants(**values)


def _medians(recording: Recording) -> dict[str, float]:
    """Conditions of the median client that takes part, the lower one of two."""
    counts = [*recording.counts.values()]
    names = ("uplink", "downlink", "speed")
    clients = {name: np.repeat(getattr(recording.conditions, name)[0], counts) for name in names}
    return {name: float(np.quantile(values, 0.5, method="lower")) for name, values in clients.items()}


def _behind_the_median(recording: Recording) -> tuple[int, ...]:
    medians = _medians(recording).items()
    behind = np.any([getattr(recording.conditions, name)[0] < median for name, median in medians], axis=0)
    return tuple(sorted(set(recording.groups[behind].tolist())))
