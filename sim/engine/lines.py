"""The links that a scenario's messages cross: whose access links, which lines are shared, and who is behind each.

What is laid from it is in `sim.engine.links`; here it is told, for results, pictures and reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.timeline import SERVER
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.scenario.links import Capacity
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import capacity, links_of, varies

OF_SITE, OF_REGION, OF_SERVER = 1, 2, 3
"""What tells the links of sites, regions and the server from those of clients, where a trace's start is drawn."""

Capacities = tuple[float | Varying, float | Varying]
"""Up and down [B/s]; inf where unlimited."""


class Level(StrEnum):
    """Where on the way from a client to the server a link lies."""

    ACCESS = "access"
    SITE = "site"
    REGION = "region"
    SERVER = "server"


class Line(NamedTuple):
    """A link between clients' access links and the server.

    Attributes
    ----------
    level : Level
        Where it lies.
    name : str
        Such as ``site line of branch 7 to 11``.
    capacities : tuple of (float or Varying)
        Up and down [B/s].
    clients : tuple of range
        Numbers of the clients behind it whose messages cross it themselves.
    aggregators : tuple of int
        Numbers of the aggregators whose messages cross it.
    """

    level: Level
    name: str
    capacities: Capacities
    clients: tuple[range, ...]
    aggregators: tuple[int, ...] = ()


def are_plain(scenario: Scenario) -> bool:
    """Whether all links are constant, nothing lies between them and the server's, and no TCP stands before them."""
    groups = scenario.fleet
    more = any(group.site or group.region or group.transport for group in groups)
    return not more and not any(map(varies, links_of(scenario)))


def site_of(group: Group, first: int, client: int) -> range:
    """Clients that share a site's line with a client of a group that begins with a number."""
    assert group.site is not None
    start = first + (client - first) // group.site.clients * group.site.clients
    return range(start, min(start + group.site.clients, first + group.count))


def site_name(group: Group, clients: range) -> str:
    """Name a site's line after its clients."""
    return f"site line of {group.name or 'client'} {numbers(clients)}"


def numbers(clients: range) -> str:
    """Write the numbers of clients that follow one another: ``7 to 11``."""
    return f"{clients[0]}" + (f" to {clients[-1]}" if len(clients) > 1 else "")


def both(seed: int, clock: float | None, up: Capacity | None, down: Capacity | None, *owner: int) -> Capacities:
    """Both directions of a link for the network; of whom, decides where in a trace it begins."""
    return capacity(up, seed, *owner, clock=clock), capacity(down, seed, *owner, clock=clock)


def access(scenario: Scenario, fleet: Fleet, client: int) -> Capacities:
    """Capacities of a client's own link."""
    group = fleet.group(client)
    return both(scenario.seed, scenario.clock, group.uplink, group.down, client)


def lines(scenario: Scenario) -> Iterator[Line]:
    """All links above the access links: of sites, then of regions, then the server's."""
    fleet = Fleet.of(scenario)
    groups = list(enumerate(fleet.groups))
    for index, group in groups:
        clients = fleet.members(index)
        for start in clients[:: group.site.clients] if group.site is not None else ():
            assert group.site is not None
            site = site_of(group, clients.start, start)
            capacities = both(scenario.seed, scenario.clock, group.site.uplink, group.site.down, start, OF_SITE)
            yield Line(Level.SITE, site_name(group, site), capacities, (site,))
    for number, (name, region) in enumerate(scenario.regions.items()):
        capacities = both(scenario.seed, scenario.clock, region.uplink, region.down, number, OF_REGION)
        if region.aggregates:
            yield Line(Level.REGION, f"region {name}", capacities, (), (fleet.aggregators[name],))
        else:
            behind = tuple(fleet.members(index) for index, group in groups if group.region == name)
            yield Line(Level.REGION, f"region {name}", capacities, behind)
    server = scenario.server
    direct = tuple(fleet.members(index) for index, group in groups if group.region not in fleet.aggregators)
    capacities = both(scenario.seed, scenario.clock, server.ingress, server.egress, 0, OF_SERVER)
    yield Line(Level.SERVER, fleet.actor(SERVER), capacities, direct, tuple(fleet.aggregators.values()))
