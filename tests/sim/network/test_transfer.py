from __future__ import annotations

import math
import random

import pytest
from simpy import Environment

from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network import PathNetwork, Tree
from tests.sim.network.star_cases import Case, Change, Client, Message, Site, run, simulate

both = pytest.mark.parametrize("network_class", [Tree, PathNetwork])


def uploads(*messages):
    """Make uploads of (client, start, size)."""
    return tuple(Message(client, True, start, size) for client, start, size in messages)


@both
@pytest.mark.parametrize("where", [{"client": 0}, {"site": 0}, {}])
def test_capacities_change_at_once(network_class, where):
    # 10 B/s until 1 s, 2 B/s until 3 s, nothing until 5 s, then unlimited but for 20 B/s elsewhere.
    # 34 B: 10, 14, 14, then 20 B more in 1 s: 6 s.
    capacities = [(1.0, 2.0), (3.0, 0.0), (5.0, math.inf)]
    changes = tuple(Change(time, True, capacity, **where) for time, capacity in capacities)
    uplink, site = (10.0 if key in where else 20.0 for key in ("client", "site"))
    client = Client(uplink, 1.0, above=0)
    case = Case(20.0 if where else 10.0, 1.0, (client,), uploads((0, 0.0, 34.0)), (Site(site, 1.0),), changes)
    [(end, _, transfer)] = run(network_class, case)
    assert end == pytest.approx(6.0, rel=1e-12)
    parts = transfer.parts()
    assert parts.stalled == pytest.approx(2.0, rel=1e-12)
    # Its own link takes 1 + 2 s for 14 B and then no time; or 34 B / 20 B/s.
    assert parts.alone == pytest.approx(3.0 if "client" in where else 1.7, rel=1e-12)
    assert parts.shared == pytest.approx(6.0 - 2.0 - parts.alone, rel=1e-12)


@both
def test_a_half_duplex_client_can_lose_one_direction(network_class):
    # Half duplex: 10/3 B/s each (see the star's test); from 3 s no uploads: downloads alone at 5 B/s. Full: 10 and 5.
    half = network_class is PathNetwork
    messages = Message(0, True, 0.0, 40.0), Message(0, False, 0.0, 20.0)
    changes = Change(3.0, True, 0.0, client=0), Change(10.0, True, 10.0, client=0)
    case = Case(math.inf, math.inf, (Client(10.0, 5.0, half_duplex=half),), messages, changes=changes)
    assert simulate(network_class, case) == pytest.approx([13.0, 5.0] if half else [11.0, 4.0], rel=1e-12)


@both
def test_what_arrives_when_a_link_goes_down_has_arrived(network_class):
    # 1 B/s: 1 B arrives at 1 s, whichever link goes down then, and though another message starts on the port.
    for where in ({"client": 0}, {"site": 0}, {}):
        for more in ((), ((0, 1.0, 5.0),)):
            changes = Change(1.0, True, 0.0, **where), Change(4.0, True, 1.0, **where)
            messages = uploads((0, 0.0, 1.0), *more)
            case = Case(1.0, 1.0, (Client(1.0, 1.0, above=0),), messages, (Site(1.0, 1.0),), changes)
            # The other 5 B go from 4 s to 9 s.
            assert simulate(network_class, case) == pytest.approx([1.0, 9.0][: len(messages)], rel=1e-12)


@both
def test_what_a_cancelled_transfer_leaves_goes_to_the_others(network_class):
    # 10 B/s shared by two: 5 B/s each. A is cancelled at 2 s with 10 B delivered; B (40 B) has 30 left: 5 s.
    messages = Message(0, True, 0.0, 30.0, patience=2.0), Message(1, True, 0.0, 40.0)
    case = Case(100.0, 1.0, (Client(50.0, 1.0, above=0),) * 2, messages, (Site(10.0, 1.0),))
    (end, delivered, transfer), (other, _, _) = run(network_class, case)
    assert (end, delivered, other) == pytest.approx((2.0, 10.0, 5.0), rel=1e-12)
    assert not transfer.triggered
    assert transfer.delivered == delivered
    # 10 B alone on 50 B/s: 0.2 s.
    assert transfer.parts() == pytest.approx((0.0, 0.2, 1.8, 0.0, 0.0, 0.0), rel=1e-12)


@both
def test_cancelling_one_of_several_on_a_port(network_class):
    # 9 B/s, three of one client: 3 B/s. One is cancelled at 1 s; the others have 6 and 15 left at 4.5 B/s.
    # The one ends after 6 / 4.5 s, the other has 9 left then, at 9 B/s.
    messages = (
        Message(0, True, 0.0, 9.0),
        Message(0, True, 0.0, 12.0, patience=1.0),
        Message(0, True, 0.0, 18.0),
    )
    case = Case(100.0, 1.0, (Client(9.0, 1.0),), messages)
    first, cancelled, last = run(network_class, case)
    assert cancelled[:2] == pytest.approx((1.0, 3.0), rel=1e-12)
    assert (first[0], last[0]) == pytest.approx((1 + 6 / 4.5, 1 + 6 / 4.5 + 1), rel=1e-12)


@both
def test_cancelling_before_sharing_and_while_stalled(network_class):
    env = Environment()
    network = network_class(env)
    port = network.attach(4.0, 1.0, latency=3.0)
    early, late = network.upload(port, 10.0), network.upload(port, 10.0)
    env.run(until=2.0)
    assert early.cancel() == 0.0
    assert early.parts() == (2.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    env.run(until=4.0)
    network.set_capacity(port, uplink=0.0)
    env.run(until=6.0)
    # Alone from 3 s to 4 s: 4 B, then 2 s without a link.
    assert late.cancel() == pytest.approx(4.0, rel=1e-12)
    assert late.parts() == pytest.approx((3.0, 1.0, 0.0, 2.0, 0.0, 0.0), rel=1e-12)
    env.run()
    assert not early.triggered
    assert not late.triggered


@both
def test_a_transfer_can_be_cancelled_in_the_instant_of_its_start(network_class):
    env = Environment()
    network = network_class(env)
    port = network.attach(4.0, 1.0)
    transfer = network.upload(port, 10.0)
    assert transfer.cancel() == 0.0
    assert transfer.parts() == (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    env.run()
    # The link is as good as new: 8 B at 4 B/s.
    assert env.run(until=network.upload(port, 8.0)) == env.now == 2.0


@both
def test_a_failure_is_seen_where_the_transfer_is_waited_for(network_class):
    env = Environment()
    network = network_class(env)
    port = network.attach(4.0, 1.0)
    transfer = network.upload(port, 100.0)
    seen = []

    def client():
        try:
            yield transfer
        except ConnectionError as error:
            seen.append((env.now, str(error)))

    env.process(client())
    env.run(until=2.0)
    assert transfer.fail(ConnectionError("gone")) == 8.0
    env.run()
    assert seen == [(2.0, "gone")]
    assert transfer.delivered == 8.0
    assert transfer.parts() == pytest.approx((0.0, 2.0, 0.0, 0.0, 0.0, 0.0), rel=1e-12)


@both
def test_what_is_over_cannot_be_cancelled(network_class):
    env = Environment()
    network = network_class(env)
    port = network.attach(1.0, 1.0)
    arrived, cancelled = network.upload(port, 1.0), network.upload(port, 5.0)
    with pytest.raises(NetworkError, match="under way"):
        arrived.parts()
    env.run(until=arrived)
    cancelled.cancel()
    for transfer in (arrived, cancelled):
        with pytest.raises(NetworkError, match="cancelled any more"):
            transfer.cancel()
        with pytest.raises(NetworkError):
            transfer.fail(ConnectionError())


def test_of_two_that_arrive_together_neither_can_cancel_the_other():
    env = Environment()
    network = Tree(env)
    transfers = [network.upload(network.attach(2.0, 1.0), 4.0) for _ in range(2)]
    seen = []

    def client(own, other):
        seen.append((yield own))
        with pytest.raises(NetworkError):
            other.cancel()

    env.process(client(*transfers))
    env.process(client(*reversed(transfers)))
    env.run()
    assert seen == [2.0, 2.0]


@both
def test_capacities_that_cannot_be_set(network_class):
    network, other = network_class(Environment()), network_class(Environment())
    port, site = network.attach(1.0, 1.0), network.shared(1.0, 1.0)
    for capacity in (-1.0, math.nan):
        with pytest.raises(NetworkError, match="downlink"):
            network.set_capacity(port, uplink=3.0, downlink=capacity)
    assert port.uplink == 1.0
    network.set_capacity(port, uplink=0.0)
    assert (port.uplink, port.downlink) == (0.0, 1.0)
    for link in (port, site, network.server):
        with pytest.raises(NetworkError):
            other.set_capacity(link, 1.0)
    with pytest.raises(NetworkError):
        other.attach(1.0, 1.0, above=site)
    with pytest.raises(NetworkError):
        other.shared(1.0, 1.0, above=site)
    with pytest.raises(NetworkError, match="downlink"):
        network.shared(1.0, 0.0)


@both
def test_the_parts_of_transfers_that_nothing_slows_are_exact(network_class):
    # Whatever the numbers, and though others are about: alone is size / capacity to the last bit, and shared is 0.
    draw = random.Random(5)
    env = Environment()
    network = network_class(env)
    site = network.shared(1e9, 1e9)
    transfers = []

    def client(port, size, start):
        yield env.timeout(start)
        transfers.append((port, size, network.upload(port, size)))

    for _ in range(100):
        port = network.attach(draw.uniform(0.1, 1e3), 1.0, draw.choice([0.0, draw.random()]), above=site)
        env.process(client(port, draw.uniform(1e-3, 1e6), draw.uniform(0.0, 1e4)))
    env.run()
    for port, size, transfer in transfers:
        assert transfer.parts() == (port.latency, size / port.uplink, 0.0, 0.0, 0.0, 0.0)


@both
def test_what_sharing_adds_is_in_the_parts(network_class):
    # Two of 10 B at 2 B/s each on a server of 2 B/s, latency 1 s: 1 s, then 10 s, half of it because of the other.
    case = Case(2.0, 1.0, (Client(2.0, 1.0, latency=1.0),) * 2, uploads((0, 0.0, 10.0), (1, 0.0, 10.0)))
    for _, _, transfer in run(network_class, case):
        assert transfer.parts() == pytest.approx((1.0, 5.0, 5.0, 0.0, 0.0, 0.0), rel=1e-12)


@both
def test_rounding_is_not_sharing(network_class):
    # A server that has a little less than the client asks for, by a share that rounding could be as well.
    client = Client(100.0, 1.0, above=0)
    case = Case(100.0 * (1 - 1e-10), 1.0, (client,), uploads((0, 0.0, 100.0)), (Site(1e9, 1.0),))
    [(_, _, transfer)] = run(network_class, case)
    assert transfer.parts().shared == 0.0
    # Short messages late in a long run, when the clock itself is rounded to a tenth of a nanosecond.
    late = uploads(*((0, 1e6 + number, (7 + number) * 1e-4) for number in range(20)))
    for _, _, transfer in run(network_class, Case(1e9, 1.0, (client,), late, (Site(1e9, 1.0),))):
        assert transfer.parts().shared == 0.0
