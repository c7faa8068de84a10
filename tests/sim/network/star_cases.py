"""Random stars and trees with random messages, how a network handles them, and what the oracle says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from simpy import Environment

from parasim_core.sim.network.capacity import Course, Varying, rate_at
from parasim_core.sim.network.model import Network
from parasim_core.sim.network.transport import StartUp
from tests.oracles.progressive_filling import Outcome, Transfer, outcomes


@dataclass(frozen=True)
class Client:
    uplink: float
    downlink: float
    latency: float = 0.0
    half_duplex: bool = False
    count: int = 1
    above: int | None = None
    up: Tcp | None = None
    down: Tcp | None = None


@dataclass(frozen=True)
class Tcp:
    """A connection whose formulas are as simple as can be.

    A start-up takes `round_trips` beside the latency and `early` bytes, a message gets at most the share `most` of the
    link and `limit`, and what the other direction carries takes a share of that one's capacity, but not all there is.
    """

    latency: float = 0.0
    round_trips: float = 0.0
    early: float = 0.0
    most: float = 1.0
    cap: float = math.inf
    taken: float = 0.0
    sized = False

    def start_up(self, size, rate):
        return StartUp(self.latency + self.round_trips, 1.5 * size - self.early)

    def limit(self, rate, size=math.inf):
        return min(self.most * rate, self.cap)

    def beside(self, capacity, other):
        return max(capacity - self.taken * other, capacity / 10)


@dataclass(frozen=True)
class Site:
    """A shared link; `above` is the number of one before it."""

    uplink: float
    downlink: float
    above: int | None = None


@dataclass(frozen=True)
class Message:
    """`patience` is after how long it is cancelled [s]."""

    client: int
    upload: bool
    start: float
    size: float
    patience: float = math.inf


@dataclass(frozen=True)
class Change:
    """A new capacity in one direction of a client's link, a site's, or (both `None`) the server's."""

    time: float
    upload: bool
    capacity: float
    client: int | None = None
    site: int | None = None


@dataclass(frozen=True)
class Case:
    ingress: float
    egress: float
    clients: tuple[Client, ...]
    messages: tuple[Message, ...]
    sites: tuple[Site, ...] = ()
    changes: tuple[Change, ...] = ()


def simulate(network_class: Callable[[Environment, float, float], Network], case: Case) -> list[float]:
    """Send every message at its time, and return the times of arrival."""
    return [end for end, _, _ in run(network_class, case)]


def run(network_class, case):
    """Send every message at its time; return when each ended, the bytes delivered, and its transfer."""
    env = Environment()
    network = network_class(env, case.ingress, case.egress)
    if isinstance(network, Network):
        network.note_bottlenecks()
    sites = []
    for site in case.sites:
        sites.append(network.shared(site.uplink, site.downlink, _at(sites, site.above)))
    ports = []
    for client in case.clients:
        more = {} if client.above is None else {"above": sites[client.above]}
        more |= {way: tcp for way, tcp in (("up", client.up), ("down", client.down)) if tcp is not None}
        own = (client.uplink, client.downlink, client.latency, client.half_duplex, client.count)
        ports.append(network.attach(*own, **more))
    ends = [(math.nan, math.nan, None)] * len(case.messages)

    def send(index: int, message: Message):
        yield env.timeout(message.start)
        way = network.upload if message.upload else network.download
        transfer = way(ports[message.client], message.size)
        if message.patience < math.inf:
            yield transfer | env.timeout(message.patience)
        else:
            yield transfer
            assert transfer.value == env.now
        if transfer.triggered:
            ends[index] = transfer.value, message.size, transfer
        else:
            ends[index] = env.now, transfer.cancel(), transfer

    def change(one: Change):
        yield env.timeout(one.time)
        link = ports[one.client] if one.client is not None else _at(sites, one.site) or network.server
        network.set_capacity(link, **{"uplink" if one.upload else "downlink": one.capacity})

    for index, message in enumerate(case.messages):
        env.process(send(index, message))
    for one in case.changes:
        env.process(change(one))
    env.run()
    return ends


def _at(items, index):
    return None if index is None else items[index]


def _name(upload, client=None, site=None):
    way = "up" if upload else "down"
    return f"{way} client {client}" if client is not None else f"{way} site {site}"


HORIZON = 2000.0
"""Until when courses are written out as single changes [s]."""


def oracle(case: Case) -> list[Outcome]:
    """Ask the oracle; courses are single changes to it, and what TCP lets a message have is a link of its own."""
    capacities, tcp = {}, {}
    changes = [(one.time, _name(one.upload, one.client, one.site), one.capacity) for one in case.changes]
    told = list(changes)

    def link(name, capacity):
        capacities[name] = rate_at(capacity, 0.0)
        # A link follows its course until it is told something else.
        time, until = 0.0, min([HORIZON, *(time for time, which, _ in told if which == name)])
        while isinstance(capacity, Varying) and (time := capacity.next_change(time)) < until:
            changes.append((time, name, capacity.rate(time)))

    link(_name(True), case.ingress)
    link(_name(False), case.egress)
    for kind, links in (("client", case.clients), ("site", case.sites)):
        for number, one in enumerate(links):
            link(_name(True, **{kind: number}), one.uplink)
            link(_name(False, **{kind: number}), one.downlink)
    for number, client in enumerate(case.clients):
        capacities[f"airtime {number}"] = 1.0
        for upload, connection in ((True, client.up), (False, client.down)):
            if connection is not None:
                tcp[_name(upload, number)] = connection, _name(not upload, number)
    transfers = []
    for index, message in enumerate(case.messages):
        client = case.clients[message.client]
        own = _name(message.upload, message.client)
        weights: dict[str, float | str] = {own: 1.0, _name(message.upload): float(client.count)}
        above = client.above
        while above is not None:
            weights[_name(message.upload, site=above)] = float(client.count)
            above = case.sites[above].above
        if client.half_duplex:
            weights[f"airtime {message.client}"] = own
        start, size = message.start + client.latency, message.size
        if own in tcp:
            seconds, size = tcp[own][0].start_up(size, math.nan)
            start = message.start + seconds
            weights[f"limit {index}"] = 1.0
        cut = message.start + message.patience
        transfers.append(Transfer(start, size, weights, max(start, cut), own))

    def adjust(now, under_way):
        busy, adjusted = {transfers[i].own for i in under_way}, dict(now)
        for own, (connection, back) in tcp.items():
            adjusted[own] = connection.beside(now[own], now[back]) if back in busy else now[own]
        for i in under_way:
            own = transfers[i].own
            if own in tcp:
                adjusted[f"limit {i}"] = tcp[own][0].limit(adjusted[own])
        return adjusted

    ends = outcomes(transfers, capacities, changes, adjust)
    # Cancelled before it began to share.
    return [
        end._replace(end=min(end.end, message.start + message.patience))
        for end, message in zip(ends, case.messages, strict=True)
    ]


def expected(case: Case) -> list[float]:
    """Ask the oracle for the times of arrival."""
    return [outcome.end for outcome in oracle(case)]


def faster(case: Case, factor: float) -> Case:
    """Let everything happen so many times as fast: all rates, and all times of the case and of its courses."""

    def rates(capacity):
        if not isinstance(capacity, Varying):
            return capacity * factor
        course = capacity.course
        period = None if course.period is None else course.period / factor
        times = [time / factor for time in course.times]
        return Varying(Course(times, course.rates, period), capacity.start / factor, capacity.scale * factor)

    def link(one):
        return replace(one, uplink=rates(one.uplink), downlink=rates(one.downlink))

    return Case(
        rates(case.ingress),
        rates(case.egress),
        tuple(replace(link(client), latency=client.latency / factor) for client in case.clients),
        tuple(replace(one, start=one.start / factor, patience=one.patience / factor) for one in case.messages),
        tuple(link(site) for site in case.sites),
        tuple(replace(one, time=one.time / factor, capacity=one.capacity * factor) for one in case.changes),
    )


def scaled(case: Case, factor: float) -> Case:
    """Multiply all bytes and all capacities."""
    return Case(
        case.ingress * factor,
        case.egress * factor,
        tuple(
            replace(client, uplink=client.uplink * factor, downlink=client.downlink * factor) for client in case.clients
        ),
        tuple(replace(message, size=message.size * factor) for message in case.messages),
    )


# Few round values make ties and links that bind exactly; any others make the general case.
capacity = st.sampled_from([1.0, 2.0, 3.0, 0.1, 10.0, math.inf]) | st.floats(0.05, 50.0)
server_capacity = st.sampled_from([1.0, 2.0, 4.0, 0.3, 10.0, math.inf]) | st.floats(0.05, 200.0)
size = st.sampled_from([1.0, 2.0, 10.0, 0.1]) | st.floats(1e-3, 1e3)
start = st.sampled_from([0.0, 0.0, 1.0, 2.0, 10.0]) | st.floats(0.0, 100.0)
latency = st.sampled_from([0.0, 0.0, 0.001, 1.0]) | st.floats(0.0, 3.0)


@st.composite
def cases(draw: st.DrawFn, half_duplex: bool = False, max_messages: int = 14) -> Case:
    """Draw a star; with `half_duplex`, some of its clients are."""
    duplex = st.booleans() if half_duplex else st.just(False)
    clients = draw(
        st.lists(
            st.builds(Client, capacity, capacity, latency, duplex, st.sampled_from([1, 1, 1, 2, 5])),
            min_size=1,
            max_size=7,
        )
    )
    messages = draw(
        st.lists(
            st.builds(Message, st.integers(0, len(clients) - 1), st.booleans(), start, size),
            min_size=1,
            max_size=max_messages,
        )
    )
    return Case(draw(server_capacity), draw(server_capacity), tuple(clients), tuple(messages))


@st.composite
def trees(draw: st.DrawFn, half_duplex: bool = False, max_messages: int = 14) -> Case:
    """Draw a star, and put shared links of any depth, changes of capacity and cancellations into it."""
    case = draw(cases(half_duplex, max_messages))
    sites: list[Site] = []
    for index in range(draw(st.integers(0, 5))):
        above = draw(st.none() | st.integers(0, index - 1)) if index else None
        sites.append(Site(draw(server_capacity), draw(server_capacity), above))
    place = st.none() | st.integers(0, len(sites) - 1) if sites else st.none()
    patience = st.just(math.inf) | st.just(math.inf) | start
    return replace(
        case,
        sites=tuple(sites),
        clients=tuple(replace(client, above=draw(place)) for client in case.clients),
        messages=tuple(replace(message, patience=draw(patience)) for message in case.messages),
        changes=tuple(draw(st.lists(changes(len(case.clients), place), max_size=6))),
    )


@st.composite
def changes(draw: st.DrawFn, clients: int, place: st.SearchStrategy[int | None]) -> Change:
    client = draw(st.none() | st.integers(0, clients - 1))
    site = None if client is not None else draw(place)
    return Change(draw(start), draw(st.booleans()), draw(server_capacity | st.just(0.0)), client, site)
