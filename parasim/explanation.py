"""An explanation in words that a manager understands, and as plain data."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO

from parasim.api import Source, judged, load, set_up
from parasim.text import clock
from sim.atomic_files import write_atomically
from sim.fleet import Fleet
from sim.studies.critical import Holder
from sim.studies.explain import MOST_NAMED, WORTH_A_CLAIM, Change, Claim, Explanation, Lever, named
from sim.studies.explain import explain as explain_setup
from sim.timeline import SERVER

PATH_COLUMNS = ("client", "round", "kind", "resource", "start_s", "end_s")

_WORTH_A_CLAUSE = 0.05

_EVERYONES = {
    Lever.SPEED: "Doubling the speed of every device",
    Lever.UPLINK: "Doubling every uplink",
    Lever.DOWNLINK: "Doubling every downlink",
    Lever.LINKS: "Doubling every uplink and downlink",
    Lever.INGRESS: "Doubling the server's ingress",
    Lever.EGRESS: "Doubling the server's egress",
    Lever.LATENCY: "Halving every latency",
    Lever.SERIALIZATION: "Halving the time to pack and unpack messages",
    Lever.AGGREGATION: "Halving the time to aggregate",
}
_SOMES = {
    Lever.SPEED: "Doubling the speed of the devices of {}",
    Lever.UPLINK: "Doubling the uplink of {}",
    Lever.DOWNLINK: "Doubling the downlink of {}",
    Lever.LINKS: "Doubling both links of {}",
    Lever.STRAGGLERS: "Bringing links and devices of {} up to the median client's",
}


def explain(source: Source, overrides: Iterable[str] = ()) -> Explanation:
    """Simulate a scenario, find its critical path, and try what would shorten it.

    Parameters
    ----------
    source : path, mapping or Scenario
        What to explain.
    overrides : iterable of str
        Such as ``fleet.0.uplink=20MB/s``.

    Raises
    ------
    ParaSimError
        If the scenario is wrong or its costs are not known.
    """
    setup, costs = set_up(load(source, overrides))
    explained = explain_setup(setup, costs)
    return replace(explained, result=judged(explained.result, setup, costs))


def sentences(explanation: Explanation) -> list[str]:
    """Say where the time goes, what would save some, what would not, and who could be slower."""
    said = [_headline(explanation)]
    if explanation.not_replayable:
        said.append(f"Not replayed: {explanation.not_replayable}. The path is this run's own; changes are simulated.")
    said += [f"{describe(claim.change, explanation)} {_effect(claim, explanation)}." for claim in explanation.claims]
    fleet, wall_clock = Fleet(explanation.result.scenario.fleet), explanation.result.wall_clock
    idle = sorted((-slack, group) for group, slack in enumerate(explanation.slack) if slack < math.inf)
    spare = [f"{who((group,), fleet)} {clock(-slack)}" for slack, group in idle if -slack > WORTH_A_CLAIM * wall_clock]
    if spare:
        more = f", and {len(spare) - MOST_NAMED:,} more groups less" if len(spare) > MOST_NAMED else ""
        said.append(f"Off the critical path; could always be later by: {', '.join(spare[:MOST_NAMED])}{more}.")
    memory = explanation.result.provenance.get("memory", [])
    assert isinstance(memory, list)
    return [*said, *memory]


def describe(change: Change, explanation: Explanation) -> str:
    """Say what a change is: ``Doubling the uplink of rural``."""
    if not change.groups:
        return _EVERYONES[change.lever]
    return _SOMES[change.lever].format(who(change.groups, Fleet(explanation.result.scenario.fleet)))


def who(groups: Iterable[int], fleet: Fleet) -> str:
    """Name groups: by their names, and those without one by the numbers of their clients."""
    groups = list(groups)
    numbered = [group for group in groups if not fleet.groups[group].name and fleet.groups[group].count == 1]
    names = [fleet.name(group) for group in groups if group not in numbered]
    if numbered:
        sites = _listed([str(fleet.firsts[group]) for group in numbered])
        names.append(f"client {sites}" if len(numbered) == 1 else f"clients {sites}")
    return _listed(names)


def summary(explanation: Explanation) -> dict[str, object]:
    """Return an explanation as `paraSim explain --format json` prints it, in seconds."""
    result = explanation.result
    fleet = Fleet(result.scenario.fleet)
    return {
        "name": result.scenario.name,
        "method": result.scenario.method.name,
        "wall_clock_s": result.wall_clock,
        "sentences": sentences(explanation),
        "shares": [
            {
                "resource": share.holder.value,
                "group": "server" if share.group == SERVER else who((share.group,), fleet),
                "seconds": share.seconds,
                "share": share.seconds / result.wall_clock,
            }
            for share in explanation.shares
        ],
        "slack": [
            {"group": who((group,), fleet), "least_slack_s": slack if slack < math.inf else None}
            for group, slack in enumerate(explanation.slack)
        ],
        "claims": [
            {
                "change": describe(claim.change, explanation),
                "lever": claim.change.lever.value,
                "groups": [who((group,), fleet) for group in claim.change.groups],
                "predicted_s": claim.predicted,
                "prediction": prediction(claim),
                "simulated_s": claim.simulated,
                "saves_s": claim.saves,
            }
            for claim in explanation.claims
        ],
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

    def write(file: IO[str]) -> None:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(PATH_COLUMNS)
        for piece in explanation.path.pieces:
            span = explanation.result.timeline.spans[piece.span]
            client = "server" if span.client == SERVER else span.client
            row = (client, span.round, span.kind.value, piece.holder.value, repr(piece.start), repr(piece.end))
            writer.writerow(row)

    write_atomically(path, write)


def _headline(explanation: Explanation) -> str:
    """Say what holds the most of the time, and whose it is."""
    fleet, wall_clock = Fleet(explanation.result.scenario.fleet), explanation.result.wall_clock
    if not wall_clock:
        return "The run takes no time."
    held: list[tuple[float, str]] = []
    for holder, seconds in explanation.holders().items():
        if seconds < _WORTH_A_CLAUSE * wall_clock and held:
            break
        name = f"the {holder.value}" if holder in (Holder.INGRESS, Holder.EGRESS) else holder.value
        groups = named(explanation.shares, holder)
        if len(fleet.groups) > 1 and 0 < len(groups) <= MOST_NAMED:
            # What is said of some groups is theirs alone, though others hold a little of it, too.
            name = f"{name} of {who(groups, fleet)}"
            own = [share for share in explanation.shares if share.holder is holder and share.group in groups]
            seconds = math.fsum(share.seconds for share in own)
        held.append((seconds, name))
    held.sort(key=lambda entry: -entry[0])
    (most, first), *others = held
    clauses = [f"{most / wall_clock:.0%} of the {clock(wall_clock)} is {first}"]
    clauses += [f"{seconds / wall_clock:.0%} is {name}" for seconds, name in others]
    return f"{_listed(clauses)}."


def _effect(claim: Claim, explanation: Explanation) -> str:
    wall_clock = explanation.result.wall_clock
    share = claim.saves / wall_clock if wall_clock else 0.0
    if abs(share) < 1e-9:
        return "saves nothing"
    if share < 0:
        return f"makes the run {clock(-claim.saves)} longer"
    if share < WORTH_A_CLAIM:
        return f"saves next to nothing ({clock(claim.saves)})"
    return f"saves {clock(claim.saves)} ({share:.0%})"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
