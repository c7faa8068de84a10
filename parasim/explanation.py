"""An explanation in words that a manager understands, and as plain data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parasim.ignored import ignored_said
from parasim.memory_notes import memory_said
from parasim.sentences import listed, say
from parasim_core.sim.analysis.critical_path import Holder
from parasim_core.sim.analysis.explain import FAILING, MOST_NAMED, WORTH_A_CLAIM, Claim, Explanation, named
from parasim_core.sim.analysis.levers import Change, Lever, site_of
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.incidents import Closing
from parasim_core.sim.scenario.links import Capacity
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import starts_at_random
from parasim_core.sim.support.atomic_files import write_rows

PATH_COLUMNS = ("client", "round", "kind", "resource", "start_s", "end_s")

_WORTH_A_CLAUSE = 0.05
_WITH_ARTICLE = (Holder.INGRESS, Holder.EGRESS, Holder.LIMITED, Holder.START_UP, Holder.DEADLINE)
_MOST_LISTED = 12
"""A list of more names is summed up."""


def sentences(explanation: Explanation) -> list[str]:
    """Say where the time goes, what would save some, what would not, and who could be slower."""
    said = [_headline(explanation)]
    if explanation.not_replayable:
        said.append(f"Not replayed: {explanation.not_replayable}. The path is this run's own; changes are simulated.")
    said += _failures(explanation)
    said += [f"{describe(claim.change, explanation)} {_effect(claim, explanation)}." for claim in explanation.claims]
    said += _start_up(explanation)
    fleet, wall_clock = Fleet(explanation.result.scenario.fleet), explanation.result.wall_clock
    idle = sorted((-slack, group) for group, slack in enumerate(explanation.slack) if slack < math.inf)
    later = [(who((group,), fleet), -slack) for slack, group in idle if -slack > WORTH_A_CLAIM * wall_clock]
    if later:
        groups = [say("explain.later", group=group, slack=slack) for group, slack in later[:MOST_NAMED]]
        more = say("explain.more_groups", groups=len(later) - MOST_NAMED) if len(later) > MOST_NAMED else ""
        said.append(say("explain.off_the_path", groups=groups, more=more))
    return said + memory_said(explanation.result.provenance) + ignored_said(explanation.result.provenance)


def describe(change: Change, explanation: Explanation) -> str:
    """Say what a change is: ``Doubling the uplink of rural``."""
    if not change.groups:
        return say(f"change_for_all.{change.lever.value}")
    fleet = Fleet.of(explanation.result.scenario)
    groups = who(change.groups, fleet)
    if change.lever is Lever.SITES and not _several_sites(change.groups, fleet):
        return say("change_for_some.site", groups=groups)
    return say(f"change_for_some.{change.lever.value}", groups=groups)


def who(groups: Sequence[int], fleet: Fleet) -> str:
    """Name groups and aggregators: by their names, or by the numbers of their clients; many are summed up."""
    aggregators = [fleet.actor(group) for group in groups if group < 0]
    groups = [group for group in groups if group >= 0]
    numbered = [group for group in groups if not fleet.groups[group].name and fleet.groups[group].count == 1]
    names = [fleet.name(group) for group in groups if fleet.groups[group].name or fleet.groups[group].count > 1]
    names += aggregators
    if not numbered:
        return listed(_first(names))
    sites = listed(_first([str(fleet.firsts[group]) for group in numbered]))
    clients = f"client {sites}" if len(numbered) == 1 else f"clients {sites}"
    return listed([*_first(names), clients])


def _first(names: Sequence[str]) -> Sequence[str]:
    """Keep the first of a list that is too long to be read, and count the rest."""
    if len(names) <= _MOST_LISTED:
        return names
    return [*names[:MOST_NAMED], say("explain.and_more", more=len(names) - MOST_NAMED)]


def owner(fleet: Fleet, group: int) -> str:
    """Name whose a share of the critical path is: a group's or an aggregator's."""
    return fleet.actor(group) if group < 0 else who((group,), fleet)


def summary(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as `paraSim explain --format json` prints it, in seconds."""
    result = explanation.result
    name = partial(owner, Fleet.of(result.scenario))
    return {
        "name": result.scenario.name,
        "method": result.scenario.method.name,
        "wall_clock_s": result.wall_clock,
        "sentences": sentences(explanation),
        "shares": [
            {
                "resource": share.holder.value,
                "group": name(share.group),
                "seconds": share.seconds,
                "share": share.seconds / result.wall_clock,
            }
            for share in explanation.shares
        ],
        "slack": [
            {"group": name(group), "least_slack_s": slack if slack < math.inf else None}
            for group, slack in enumerate(explanation.slack)
        ],
        "claims": [
            {
                "change": describe(claim.change, explanation),
                "lever": claim.change.lever.value,
                "groups": [*map(name, claim.change.groups)],
                "predicted_s": claim.predicted,
                "prediction": prediction(claim),
                "simulated_s": claim.simulated if claim.ends else None,
                "saves_s": claim.saves if claim.ends else None,
            }
            for claim in explanation.claims
        ],
        **({"rounds_ended_by": endings} if (endings := _endings(explanation)) else {}),
        "not_replayable": explanation.not_replayable or None,
        "provenance": dict(result.provenance),
    }


def prediction(claim: Claim) -> str:
    """Say how a claim was predicted."""
    if claim.predicted is None:
        return "not predicted"
    return "exact replay" if claim.exact else "estimate"


def write_path(explanation: Explanation, path: Path) -> None:
    """Write the critical path as CSV, one line per piece, in the order of time.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    fleet = Fleet.of(explanation.result.scenario)
    rows = []
    for piece in explanation.path.pieces:
        span = explanation.result.timeline.spans[piece.span]
        client = fleet.actor(span.client) if span.client < 0 else span.client
        rows.append((client, span.round, span.kind.value, piece.holder.value, piece.start, piece.end))
    write_rows(path, PATH_COLUMNS, rows)


def _headline(explanation: Explanation) -> str:
    """Say what holds the most of the time, and whose it is."""
    fleet, wall_clock = Fleet.of(explanation.result.scenario), explanation.result.wall_clock
    if not wall_clock:
        return say("explain.no_time")
    held: list[tuple[float, str]] = []
    for holder, seconds in explanation.holders().items():
        if seconds < _WORTH_A_CLAUSE * wall_clock and held:
            break
        name = f"the {holder.value}" if holder in _WITH_ARTICLE else holder.value
        groups = named(explanation.shares, holder, aggregators=True)
        if holder is Holder.SITE:
            name = _site_lines(explanation, fleet)
        elif holder is Holder.REGION:
            name = say("explain.regions", groups=who(groups, fleet))
        elif (len(fleet.groups) > 1 or fleet.aggregators) and 0 < len(groups) <= MOST_NAMED:
            # What is said of some groups is theirs alone, though others hold a little of it, too.
            name = say("explain.owned", resource=name, groups=who(groups, fleet))
            own = [share for share in explanation.shares if share.holder is holder and share.group in groups]
            seconds = math.fsum(share.seconds for share in own)
        held.append((seconds, name))
    held.sort(key=lambda entry: -entry[0])
    shares = [{"share": seconds / wall_clock, "resource": name} for seconds, name in held]
    first = say("explain.first", wall_clock=wall_clock, **shares[0])
    return say("explain.headline", clauses=[first, *(say("explain.clause", **share) for share in shares[1:])])


def _site_lines(explanation: Explanation, fleet: Fleet) -> str:
    """Name the lines of sites that are on the path: of some clients, or of whole groups whose sites are alike."""
    scenario = explanation.result.scenario
    firsts = [client for (holder, client) in explanation.path.held() if holder is Holder.SITE]
    sites = [site_of(fleet, first) for first in sorted(firsts)]
    groups = tuple(dict.fromkeys(fleet.index(site.start) for site in sites))
    apart = [starts_at_random(link) for group in groups for link in _links(scenario.fleet[group])]
    if len(sites) > MOST_NAMED or not any(apart):
        return say(f"explain.{'sites' if _several_sites(groups, fleet) else 'site'}", sites=who(groups, fleet))
    names = [f"{fleet.name(fleet.index(site.start))} {site.start}" for site in sites]
    names = [name + f" to {site[-1]}" * (len(site) > 1) for name, site in zip(names, sites, strict=True)]
    return say(f"explain.{'site' if len(names) == 1 else 'sites'}", sites=listed(names))


def _several_sites(groups: Sequence[int], fleet: Fleet) -> bool:
    return len(groups) > 1 or len(site_of(fleet, fleet.firsts[groups[0]])) < fleet.groups[groups[0]].count


def _links(group: Group) -> list[Capacity]:
    links = [group.uplink, group.down]
    return links if group.site is None else [*links, group.site.uplink, group.site.down]


def _failures(explanation: Explanation) -> list[str]:
    """Say what failures, absences and deadlines hold of the path, and how rounds ended, where anything of it may be."""
    held, fleet = explanation.holders(), Fleet.of(explanation.result.scenario)
    wall_clock, endings = explanation.result.wall_clock, _endings(explanation)
    seconds = math.fsum(held.get(holder, 0.0) for holder in sorted(FAILING))
    said = []
    if seconds:
        parts = []
        for holder in sorted(FAILING & held.keys(), key=lambda holder: -held[holder]):
            groups = named(explanation.shares, holder)
            owned = say("explain.owned", resource=holder.value, groups=who(groups, fleet))
            name = owned if len(fleet.groups) > 1 and 0 < len(groups) <= MOST_NAMED else holder.value
            parts.append(say("explain.later", group=name, slack=held[holder]))
        said.append(say("explain.failing", seconds=seconds, share=seconds / wall_clock, parts=parts))
    if endings:
        ways = [say(f"explain.by_{by}", rounds=rounds) for by, rounds in endings.items() if rounds]
        short = sum(closed.short for closed in explanation.result.timeline.incidents.closed.values())
        said.append(say("explain.ended", rounds=sum(endings.values()), ways=ways, short=short))
    return said


def _endings(explanation: Explanation) -> dict[str, int]:
    """How many rounds ended why; nothing where they cannot end in several ways."""
    by = Counter(closed.by for closed in explanation.result.timeline.incidents.closed.values())
    return {closing.value: by[closing] for closing in Closing} if by else {}


def _start_up(explanation: Explanation) -> list[str]:
    """Say how often the path pays the start-up of connections, which fewer messages would pay less often."""
    pieces = [piece for piece in explanation.path.pieces if piece.holder is Holder.START_UP]
    seconds = math.fsum(piece.end - piece.start for piece in pieces)
    if seconds <= WORTH_A_CLAIM * explanation.result.wall_clock:
        return []
    messages = len({piece.span for piece in pieces})
    return [say("explain.start_up", messages=messages, seconds=seconds, each=seconds / messages)]


def _effect(claim: Claim, explanation: Explanation) -> str:
    if not claim.ends:
        return say("explain.ends_early")
    wall_clock, saves = explanation.result.wall_clock, claim.saves
    share = saves / wall_clock if wall_clock else 0.0
    if abs(share) < 1e-9:
        return say("explain.saves_nothing")
    kind = "longer" if share < 0 else "saves_little" if share < WORTH_A_CLAIM else "saves"
    return say(f"explain.{kind}", seconds=abs(saves), share=share)
