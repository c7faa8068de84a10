"""What a change to a scenario may be: what is doubled or halved, and for whom; and the scenario with it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from parasim_core.sim.engine.aggregation import at_least
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.timeline import SERVER
from parasim_core.sim.scenario.failures import AdaptiveDeadline
from parasim_core.sim.scenario.links import Transport
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group, Participation
from parasim_core.sim.scenario.traces import scaled


class Lever(StrEnum):
    """What can be changed."""

    SPEED = "speed"
    UPLINK = "uplink"
    DOWNLINK = "downlink"
    LINKS = "links"
    STRAGGLERS = "stragglers"
    INGRESS = "ingress"
    EGRESS = "egress"
    LATENCY = "latency"
    SERIALIZATION = "serialization"
    AGGREGATION = "aggregation"
    SITES = "sites"
    REGIONS = "regions"
    WARM = "warm"
    STREAMS = "streams"
    BBR = "bbr"
    ONE_WAY = "one_way"
    FAILURES = "failures"
    OUTAGES = "outages"
    DROPOUT = "dropout"
    AVAILABLE = "available"
    NOTHING_FAILS = "nothing_fails"
    DEADLINE = "deadline"
    QUORUM = "quorum"
    PATHS = "paths"


class Change(NamedTuple):
    """An improvement: capacities and speeds are doubled, durations halved, stragglers brought to the median.

    What fails does not, deadlines are halved, and a quorum is one update less.

    Attributes
    ----------
    lever : Lever
        What is changed.
    groups : tuple of int
        Indices of the groups whose clients it is changed for, and numbers of regions; empty for everyone, or the
        server.
    """

    lever: Lever
    groups: tuple[int, ...] = ()


_MOST_STREAMS = 1000
_TRANSPORTS: dict[Lever, Callable[[Transport], dict[str, object]]] = {
    Lever.WARM: lambda _: {"fresh": False},
    Lever.STREAMS: lambda transport: {"streams": min(2 * transport.streams, _MOST_STREAMS)},
    Lever.BBR: lambda _: {"control": "bbr"},
    Lever.ONE_WAY: lambda _: {"acknowledgements": 0.0, "buffer": None},
}
OF_LINKS = frozenset({Lever.SITES, Lever.REGIONS, *_TRANSPORTS})
"""What is changed in the scenario itself, as conditions of a run know nothing of it."""
_FAILING = ("available", "outages", "dropout", "failures")
_NEVER: dict[Lever, tuple[str, ...]] = {
    **{lever: (lever.value,) for lever in Lever if lever.value in _FAILING},
    Lever.NOTHING_FAILS: _FAILING,
}


def fails(group: Group) -> bool:
    """Whether anything may happen to the clients of a group."""
    return any(getattr(group, field) is not None for field in _FAILING)


def with_change(scenario: Scenario, change: Change) -> Scenario:
    """Change what a scenario says of some clients, or of all.

    Capacities of sites and regions are doubled, TCP has what the lever says, failures do not happen, deadlines are
    halved, and a quorum is one update less.
    """
    lever, groups = change
    if lever in (Lever.DEADLINE, Lever.QUORUM):
        return scenario.model_copy(update={"participation": _waiting_less(scenario, lever)})
    if lever in _NEVER:
        never = dict.fromkeys(_NEVER[lever])
        of = groups or range(len(scenario.fleet))
        changed = [g.model_copy(update=never) if n in of else g for n, g in enumerate(scenario.fleet)]
        return scenario.model_copy(update={"fleet": tuple(changed)})
    names = list(scenario.regions)
    fleet, regions = list(scenario.fleet), dict(scenario.regions)
    for number in groups or [*range(len(fleet)), *(SERVER - 1 - index for index in range(len(names)))]:
        if number < SERVER:
            name = names[SERVER - 1 - number]
            regions[name] = _changed(regions[name], lever)
        elif lever is Lever.SITES:
            if (line := fleet[number].site) is not None:
                fleet[number] = fleet[number].model_copy(update={"site": _doubled(line)})
        elif lever is not Lever.REGIONS:
            fleet[number] = _changed(fleet[number], lever)
    return scenario.model_copy(update={"fleet": tuple(fleet), "regions": regions})


def with_shorter_latencies(scenario: Scenario) -> Scenario:
    """Halve every latency, those of regions as well."""
    regions = {name: _halved(region) for name, region in scenario.regions.items()}
    return scenario.model_copy(update={"fleet": tuple(map(_halved, scenario.fleet)), "regions": regions})


def with_wider_paths(scenario: Scenario) -> Scenario:
    """Double all links at once: those of clients, sites, regions and the server."""
    fleet = [
        _doubled(group).model_copy(update={"site": None if group.site is None else _doubled(group.site)})
        for group in scenario.fleet
    ]
    regions = {name: _doubled(region) for name, region in scenario.regions.items()}
    server = _doubled(scenario.server, ("ingress", "egress"))
    return scenario.model_copy(update={"fleet": tuple(fleet), "regions": regions, "server": server})


def site_of(fleet: Fleet, client: int) -> range:
    """Clients that share a site's line with one of them."""
    members = fleet.members(fleet.index(client))
    site = fleet.group(client).site
    assert site is not None
    first = client - (client - members.start) % site.clients
    return range(first, min(first + site.clients, members.stop))


def wanted(scenario: Scenario) -> int:
    """How many clients a round wants, if all are there; the most of any, where they are listed."""
    told = scenario.participation
    if told.rounds is not None:
        return max(map(len, told.rounds))
    return scenario.clients if told.fraction is None else max(1, round(told.fraction * scenario.clients))


def _waiting_less(scenario: Scenario, lever: Lever) -> Participation:
    """Half the deadline, or a quorum of one update less, as far as there is one."""
    told, of = scenario.participation, wanted(scenario)
    update: dict[str, object] = {}
    if lever is Lever.QUORUM:
        update = {"quorum": max(1, at_least(told.quorum or 1.0, of) - 1) / of}
    elif isinstance(told.deadline, AdaptiveDeadline):
        halved = {name: getattr(told.deadline, name) / 2 for name in ("median", "mad")}
        update = {"deadline": told.deadline.model_copy(update=halved)}
    elif told.deadline is not None:
        update = {"deadline": told.deadline / 2}
    return told.model_copy(update=update)


def _halved(link: Any) -> Any:
    return link.model_copy(update={"latency": link.latency / 2})


def _doubled(line: Any, names: tuple[str, str] = ("uplink", "downlink")) -> Any:
    links = {name: getattr(line, name) for name in names}
    return line.model_copy(update={name: scaled(link, 2.0) for name, link in links.items() if link is not None})


def _changed(owner: Any, lever: Lever) -> Any:
    """A group or a region with other links, or another transport."""
    if lever is Lever.REGIONS:
        return _doubled(owner)
    if lever not in _TRANSPORTS or owner.transport is None:
        return owner
    transport = owner.transport.model_copy(update=_TRANSPORTS[lever](owner.transport))
    return owner.model_copy(update={"transport": transport})
