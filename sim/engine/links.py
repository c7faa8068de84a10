"""A scenario's links, laid: access links below the lines of sites, below regions, below the server's own.

A region whose clients are aggregated has a network of its own, at whose top its aggregator stands; in the server's
network, that aggregator is one more client. Any other region is a link that the clients and sites below it share, and
a latency that is paid on top of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import simpy

from parasim_core.sim.engine.lines import OF_REGION, OF_SERVER, OF_SITE, both, site_name, site_of
from parasim_core.sim.engine.timeline import SERVER
from parasim_core.sim.network import star_network
from parasim_core.sim.network.capacity import Course, Varying
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.model import Network, Port, Shared
from parasim_core.sim.network.transport import Tcp, outages
from parasim_core.sim.scenario.links import Region, SiteLine, Transport
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group


class Access(NamedTuple):
    """An access link that is another than the scenario's.

    Attributes
    ----------
    uplink, downlink : float
        Capacities; of links that vary, their means [B/s].
    latency : float
        One way, without that of a region [s].
    """

    uplink: float
    downlink: float
    latency: float


class _Branch(NamedTuple):
    """Where the clients of a region are attached, and the latency that they pay for it [s]."""

    network: Network
    above: Shared | None
    latency: float


class Links:
    """The networks of a run.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    scenario : Scenario
        Its `fleet`, `regions` and `server`.
    at_once : int
        How many simulated clients communicate at a time, at most.
    access : mapping of int to Access
        Other access links, by (first) client.
    starts : int or None
        Seed of the places where traces begin that are drawn; the scenario's if None.

    Attributes
    ----------
    network : Network
        The server's.
    aggregators : dict of str to Port
        Of each region that aggregates, its aggregator's place in the server's network.
    shared : dict of Link to int
        Whose links that are shared are: number of a site's first client, of a region, or the server's. Empty where
        only the server's link can hold up a message.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        at_once: int,
        access: Mapping[int, Access] | None = None,
        starts: int | None = None,
    ):
        self._env = env
        self._seed = scenario.seed if starts is None else starts
        self._clock = scenario.clock
        self._at_once = at_once
        self._access = access or {}
        self._tcp: dict[tuple[int, float], tuple[Tcp, Tcp]] = {}
        self._courses: dict[tuple[int, float, int, float, float | None], tuple[Course, Course]] = {}
        regions = scenario.regions
        below_server = [group for group in scenario.fleet if not _aggregates(regions, group)]
        server = scenario.server
        self.network = self._star(
            below_server, *both(self._seed, self._clock, server.ingress, server.egress, 0, OF_SERVER)
        )
        self.aggregators: dict[str, Port] = {}
        self.shared: dict[Link, int] = {}
        if any(group.site or group.region or group.transport for group in scenario.fleet):
            self.network.note_bottlenecks()
            self.shared |= {self.network.server.up: SERVER, self.network.server.down: SERVER}
        self._branches: dict[str | None, _Branch] = {None: _Branch(self.network, None, 0.0)}
        for index, (name, region) in enumerate(regions.items()):
            members = [group for group in scenario.fleet if group.region == name]
            self._branches[name] = self._branch(name, index, region, members)
        self._lines: dict[int, Shared] = {}

    def attach(self, group: Group, client: int, first: int, count: int) -> Port:
        """Attach a client, or so many alike ones below the same site.

        Parameters
        ----------
        group : Group
            Theirs.
        client : int
            Number of the (first) client.
        first : int
            Number of the group's first client.
        count : int
            How many clients it stands for.
        """
        network, above, latency = self._branches[group.region]
        if group.site is not None:
            above = self._line(group, group.site, site_of(group, first, client))
        uplink, downlink = both(self._seed, self._clock, group.uplink, group.down, client)
        own_latency = group.latency
        if client in self._access:
            other = self._access[client]
            uplink, downlink = _with_mean(uplink, other.uplink), _with_mean(downlink, other.downlink)
            own_latency = other.latency
        one_way = own_latency + latency
        half = group.duplex == "half"
        if group.transport is None:
            return network.attach(uplink, downlink, one_way, half, count, above)
        uplink, downlink = self._with_outages(uplink, downlink, group.transport, one_way)
        return network.attach(
            uplink, downlink, one_way, half, count, above, *self._connections(group.transport, one_way)
        )

    def _branch(self, name: str, index: int, region: Region, members: list[Group]) -> _Branch:
        """Lay a region's link."""
        uplink, downlink = both(self._seed, self._clock, region.uplink, region.down, index, OF_REGION)
        if region.aggregates:
            up = down = None
            if region.transport is not None:
                uplink, downlink = self._with_outages(uplink, downlink, region.transport, region.latency)
                up, down = self._connections(region.transport, region.latency)
            self.aggregators[name] = self.network.attach(uplink, downlink, region.latency, up=up, down=down)
            return _Branch(self._star(members), None, 0.0)
        # Without a capacity it binds nobody, and costs nothing.
        limited = uplink != math.inf or downlink != math.inf
        above = None
        if limited:
            above = self._shared(self.network, None, uplink, downlink, f"the link of region {name}", SERVER - 1 - index)
        return _Branch(self.network, above, region.latency)

    def _line(self, group: Group, line: SiteLine, clients: range) -> Shared:
        """Lay the line of the site of some clients, once."""
        first = clients.start
        if first not in self._lines:
            network, above, _ = self._branches[group.region]
            capacities = both(self._seed, self._clock, line.uplink, line.down, first, OF_SITE)
            self._lines[first] = self._shared(network, above, *capacities, f"the {site_name(group, clients)}", first)
        return self._lines[first]

    def _shared(
        self,
        network: Network,
        above: Shared | None,
        uplink: float | Varying,
        downlink: float | Varying,
        name: str,
        whose: int,
    ) -> Shared:
        """Lay a link that is shared, and have its network note where it binds."""
        link = network.shared(uplink, downlink, above, name)
        network.note_bottlenecks()
        self.shared |= {link.up: whose, link.down: whose}
        return link

    def _connections(self, transport: Transport, latency: float) -> tuple[Tcp, Tcp]:
        """What TCP makes of the two directions; ports that are alike share them."""
        key = id(transport), latency
        if key not in self._tcp:
            self._tcp[key] = Tcp(transport, 2 * latency, "uplink"), Tcp(transport, 2 * latency, "downlink")
        return self._tcp[key]

    def _with_outages(
        self, uplink: float | Varying, downlink: float | Varying, transport: Transport, latency: float
    ) -> tuple[float | Varying, float | Varying]:
        """Let breaks of links that vary last until TCP is back."""
        queues = (None, None) if transport.buffer is None else (transport.buffer.uplink, transport.buffer.downlink)
        one, other = (
            self._with_breaks(link, transport, latency, queue) if isinstance(link, Varying) else link
            for link, queue in zip((uplink, downlink), queues, strict=True)
        )
        return one, other

    def _with_breaks(self, link: Varying, transport: Transport, latency: float, queue: float | None) -> Varying:
        key = id(link.course), link.scale, id(transport), latency, queue
        if key not in self._courses:
            # The course is kept along, so that no other one can get its place in memory.
            self._courses[key] = link.course, outages(link.course, transport, 2 * latency, queue, link.scale)
        return Varying(self._courses[key][1], link.start, link.scale)

    def _star(
        self, groups: list[Group], ingress: float | Varying = math.inf, egress: float | Varying = math.inf
    ) -> Network:
        half_duplex = any(group.duplex == "half" for group in groups)
        return star_network(self._env, ingress=ingress, egress=egress, half_duplex=half_duplex, clients=self._at_once)


def _aggregates(regions: Mapping[str, Region], group: Group) -> bool:
    return group.region is not None and regions[group.region].aggregates


def _with_mean(link: float | Varying, mean: float) -> float | Varying:
    """Give a link another mean rate; one that varies keeps its course."""
    return link.scaled(mean / link.mean) if isinstance(link, Varying) else mean
