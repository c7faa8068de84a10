"""Random stars with random messages, how a network handles them, and what the oracle says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from simpy import Environment

from sim.network import Network
from tests.oracles.progressive_filling import Transfer, arrival_times


@dataclass(frozen=True)
class Client:
    uplink: float
    downlink: float
    latency: float = 0.0
    half_duplex: bool = False
    count: int = 1


@dataclass(frozen=True)
class Message:
    client: int
    upload: bool
    start: float
    size: float


@dataclass(frozen=True)
class Case:
    ingress: float
    egress: float
    clients: tuple[Client, ...]
    messages: tuple[Message, ...]


def simulate(network_class: Callable[[Environment, float, float], Network], case: Case) -> list[float]:
    """Send every message at its time, and return the times of arrival."""
    env = Environment()
    network = network_class(env, case.ingress, case.egress)
    ports = [
        network.attach(client.uplink, client.downlink, client.latency, client.half_duplex, client.count)
        for client in case.clients
    ]
    arrivals = [math.nan] * len(case.messages)

    def send(index: int, message: Message):
        yield env.timeout(message.start)
        way = network.upload if message.upload else network.download
        arrivals[index] = yield way(ports[message.client], message.size)
        assert arrivals[index] == env.now

    for index, message in enumerate(case.messages):
        env.process(send(index, message))
    env.run()
    return arrivals


def expected(case: Case) -> list[float]:
    """Ask the oracle."""
    capacities = {"ingress": case.ingress, "egress": case.egress}
    for number, client in enumerate(case.clients):
        capacities[f"up {number}"] = client.uplink
        capacities[f"down {number}"] = client.downlink
        capacities[f"airtime {number}"] = 1.0
    transfers = []
    for message in case.messages:
        client = case.clients[message.client]
        server = "ingress" if message.upload else "egress"
        direction = "up" if message.upload else "down"
        weights = {server: float(client.count), f"{direction} {message.client}": 1.0}
        if client.half_duplex:
            capacity = client.uplink if message.upload else client.downlink
            weights[f"airtime {message.client}"] = 1 / capacity
        transfers.append(Transfer(message.start + client.latency, message.size, weights))
    return arrival_times(transfers, capacities)


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
