from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from simpy import Environment

from sim.errors import NetworkError
from sim.network import PathNetwork, Tree
from tests.oracles.progressive_filling import Outcome
from tests.sim.star_cases import Case, Change, Client, Message, Site, oracle, run, simulate, trees

both = pytest.mark.parametrize("network_class", [Tree, PathNetwork])


def uploads(*messages):
    """Make uploads of (client, start, size)."""
    return tuple(Message(client, True, start, size) for client, start, size in messages)


@both
def test_clients_share_the_line_of_their_site(network_class):
    # Server 12 B/s; A and B behind a site of 4 B/s: 2 B/s each; C directly at the server: min(10, 12 - 4) = 8 B/s.
    # A (4 B) ends at 2 s, then B (10 B, 6 left) at 4 B/s: 3.5 s; C (24 B) at 3 s.
    clients = Client(10.0, 1.0, above=0), Client(10.0, 1.0, above=0), Client(10.0, 1.0)
    case = Case(12.0, 1.0, clients, uploads((0, 0.0, 4.0), (1, 0.0, 10.0), (2, 0.0, 24.0)), (Site(4.0, 1.0),))
    assert simulate(network_class, case) == pytest.approx([2.0, 3.5, 3.0], rel=1e-12)


@both
def test_a_site_that_does_not_bind_is_not_there(network_class):
    # Ingress 9 B/s, three transfers: 3 B/s each, of which the site's 7 B/s carry two, and one client has only 1 B/s:
    # 1, 4 and 4 B/s. 5 B in 5 s; 8 B in 2 s; 16 B: 8 left at 8 B/s, 3 s.
    clients = Client(1.0, 1.0, above=0), Client(10.0, 1.0, above=0), Client(10.0, 1.0)
    case = Case(9.0, 1.0, clients, uploads((0, 0.0, 5.0), (1, 0.0, 8.0), (2, 0.0, 16.0)), (Site(7.0, 1.0),))
    assert simulate(network_class, case) == pytest.approx([5.0, 2.0, 3.0], rel=1e-12)


@both
def test_links_can_be_stacked(network_class):
    # Region 6 B/s over two sites of 2 and 100 B/s, two clients each: 1, 1, 2 and 2 B/s. Downloads, as the same tree.
    # 3 B at 1 B/s both: 3 s. 8 B: 2 left then, at 3 B/s: 3 + 2/3 s.
    sites = Site(1.0, 6.0), Site(1.0, 2.0, above=0), Site(1.0, 100.0, above=0)
    clients = tuple(Client(1.0, 50.0, above=above) for above in (1, 1, 2, 2))
    messages = tuple(Message(client, False, 0.0, size) for client, size in enumerate([3.0, 3.0, 8.0, 8.0]))
    case = Case(1.0, 1e3, clients, messages, sites)
    assert simulate(network_class, case) == pytest.approx([3.0, 3.0, 3 + 2 / 3, 3 + 2 / 3], rel=1e-12)


@both
def test_a_counted_port_takes_its_count_of_the_site(network_class):
    # 4 clients in one port and one apart behind 10 B/s: 2 B/s each, as at a server.
    clients = Client(100.0, 1.0, count=4, above=0), Client(100.0, 1.0, above=0)
    case = Case(math.inf, 1.0, clients, uploads((0, 0.0, 6.0), (1, 0.0, 10.0)), (Site(10.0, 1.0),))
    assert simulate(network_class, case) == pytest.approx([3.0, 3.4], rel=1e-12)


def test_half_duplex_below_a_site():
    # u / 10 + d / 10 <= 1 and u <= 1 by the site: u = 1, d = 9 B/s. 3 B up in 3 s, 18 B down in 2 s.
    messages = Message(0, True, 0.0, 3.0), Message(0, False, 0.0, 18.0)
    case = Case(math.inf, math.inf, (Client(10.0, 10.0, half_duplex=True, above=0),), messages, (Site(1.0, math.inf),))
    assert simulate(PathNetwork, case) == pytest.approx([3.0, 2.0], rel=1e-12)


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
    assert transfer.parts() == pytest.approx((0.0, 0.2, 1.8, 0.0), rel=1e-12)


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
    assert early.parts() == (2.0, 0.0, 0.0, 0.0)
    env.run(until=4.0)
    network.set_capacity(port, uplink=0.0)
    env.run(until=6.0)
    # Alone from 3 s to 4 s: 4 B, then 2 s without a link.
    assert late.cancel() == pytest.approx(4.0, rel=1e-12)
    assert late.parts() == pytest.approx((3.0, 1.0, 0.0, 2.0), rel=1e-12)
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
    assert transfer.parts() == (0.0, 0.0, 0.0, 0.0)
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
    assert transfer.parts() == pytest.approx((0.0, 2.0, 0.0, 0.0), rel=1e-12)


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
        with pytest.raises(NetworkError, match="another network"):
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
        assert transfer.parts() == (port.latency, size / port.uplink, 0.0, 0.0)


@both
def test_what_sharing_adds_is_in_the_parts(network_class):
    # Two of 10 B at 2 B/s each on a server of 2 B/s, latency 1 s: 1 s, then 10 s, half of it because of the other.
    case = Case(2.0, 1.0, (Client(2.0, 1.0, latency=1.0),) * 2, uploads((0, 0.0, 10.0), (1, 0.0, 10.0)))
    for _, _, transfer in run(network_class, case):
        assert transfer.parts() == pytest.approx((1.0, 5.0, 5.0, 0.0), rel=1e-12)


def test_rounding_does_not_grow_with_the_number_of_events():
    # The server never idles, so the long transfer ends when all bytes have passed: (its own + the others') / capacity.
    # 100,000 short ones, each with a capacity below its share, change the level 200,000 times meanwhile, at times
    # that are exact: 1/32 B at 1/8 B/s in 1/4 s, then 1/4 s without.
    ingress, slow, short, size = 0.7, 1 / 8, 1 / 32, 9e4
    env = Environment()
    network = Tree(env, ingress)
    ports = [network.attach(slow, 1.0), network.attach(math.inf, 1.0)]
    number = 100_000

    def client():
        for _ in range(number):
            yield network.upload(ports[0], short)
            yield env.timeout(1 / 4)

    env.process(client())
    end = env.run(until=network.upload(ports[1], size))
    exact = (Fraction(size) + number * Fraction(short)) / Fraction(ingress)
    assert abs(Fraction(end) / exact - 1) < 4e-16


def test_a_site_in_two_minds_takes_its_clients_along():
    # 300 clients of a site share 300 B/s, of which the server leaves them either all or less, depending on one other
    # client: at each of its 200 starts and ends the site changes sides, and none of the 300 has to be touched.
    env = Environment()
    network = Tree(env, ingress=330.0)
    site = network.shared(300.0, 1.0)
    for _ in range(300):
        network.upload(network.attach(5.0, 1.0, above=site), 1e6)
    port = network.attach(math.inf, 1.0, count=100)
    env.run(until=1.0)
    sides = []

    def client():
        for _ in range(100):
            sides.append(site.up.fair)
            transfer = network.upload(port, 1.0)
            yield env.timeout(0.1)
            sides.append(site.up.fair)
            yield transfer
            yield env.timeout(1.0)

    before = network.server.up.stamps
    env.run(until=env.process(client()))
    assert sides == [False, True] * 100
    assert network.server.up.stamps - before < 2000


def test_void_entries_are_dropped():
    env = Environment()
    network = Tree(env, ingress=100.0)
    site = network.shared(50.0, 1.0)
    ports = [network.attach(30.0, 1.0, above=site) for _ in range(3)]

    def client(port):
        for index in range(5000):
            yield network.upload(port, 1.0 + index % 7)

    for port in ports:
        env.process(client(port))
    env.run()
    trunk = network.server.up
    assert trunk.stamps > 20_000
    assert sum(len(heap) for link in (trunk, site.up) for heap in (link.ends, link.rising, link.falling)) < 20_000
    assert len(trunk.due) < 20_000


SITES = Site(1e10, 1.0), Site(1e10, 1.0, above=0)


@both
@pytest.mark.parametrize("above", [None, 0, 1])
def test_what_went_before_costs_no_precision(network_class, above):
    # 1e12 B in 1e3 s, some idle time, then 1.1 B and 3.3 B that share 1 B/s: 2.2 s, and 2.2 s more.
    messages = uploads((0, 0.0, 1e12), (0, 2000.0, 1.1), (1, 2000.0, 3.3))
    case = Case(1e9, 1.0, (Client(math.inf, 1.0, above=above),) * 2, messages, SITES, (Change(1500.0, True, 1.0),))
    assert simulate(network_class, case) == pytest.approx([1000.0, 2002.2, 2004.4], rel=1e-14)


@both
@pytest.mark.parametrize("above", [None, 0, 1])
def test_a_level_may_fall_by_nine_orders_of_magnitude(network_class, above):
    # 1e12 B pass in 1e3 s, with 100 B left then for 1 B/s, which others of 1 B share one after the other: what a
    # virtual time of 1e12 B rounds is 1e8 times what a rate of 1 B/s makes of a rounding of the clock.
    messages = uploads((0, 0.0, 1e12 + 100.0), *((1, 1010.0 + 3.3 * index, 1.0) for index in range(20)))
    case = Case(1e9, 1.0, (Client(math.inf, 1.0, above=above),) * 2, messages, SITES, (Change(1000.0, True, 1.0),))
    ends = simulate(network_class, case)
    assert ends[0] == pytest.approx(1120.0, abs=0.01)
    assert ends[1:] == pytest.approx([1012.0 + 3.3 * index for index in range(20)], abs=0.01)


def restored(case):
    """End all outages at last, so that everything arrives."""
    last = {(change.upload, change.client, change.site): change for change in case.changes}
    ends = [replace(change, time=500.0 + index, capacity=3.0) for index, change in enumerate(last.values())]
    return replace(case, changes=(*case.changes, *ends))


def agrees(network_class, case, ends):
    """Whether a case is clear; if so, assert that a network gives these outcomes for it."""
    outages = [change.time for change in case.changes if change.capacity == 0]
    # What ends when a link goes down, but for rounding, may end then, or when the link is up again.
    if any(abs(end.end - time) <= 1e-9 * time for end in ends for time in outages):
        return False
    got = run(network_class, case)
    assert [end for end, _, _ in got] == pytest.approx([end.end for end in ends], rel=1e-9)
    assert [delivered for _, delivered, _ in got] == pytest.approx([end.delivered for end in ends], rel=1e-9, abs=1e-9)
    for (end, _, transfer), outcome, message in zip(got, ends, case.messages, strict=True):
        parts, latency = transfer.parts(), case.clients[message.client].latency
        assert sum(parts) == pytest.approx(end - message.start, rel=1e-8, abs=1e-9)
        assert parts.latency == pytest.approx(min(latency, end - message.start), rel=1e-9, abs=1e-12)
        assert parts.alone == pytest.approx(outcome.alone, rel=1e-8, abs=1e-8)
        assert parts.stalled == pytest.approx(outcome.stalled, rel=1e-8, abs=1e-8)
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees())
def test_the_tree_agrees_with_the_oracle(case):
    case = restored(case)
    assume(agrees(Tree, case, oracle(case)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees(half_duplex=True))
def test_the_general_tree_agrees_with_the_oracle(case):
    case = restored(case)
    assume(agrees(PathNetwork, case, oracle(case)))


def random_tree(seed, clients, messages, sites):
    """Draw a tree; every second one has round numbers, and so ties."""
    draw = random.Random(seed)
    ties = draw.random() < 0.5

    def finite(low, high):
        return (
            draw.choice([0.5, 1.0, 2.0, 3.0, 10.0]) if ties else math.exp(draw.uniform(math.log(low), math.log(high)))
        )

    def capacity(low, high):
        return math.inf if draw.random() < 0.1 else finite(low, high)

    shared = tuple(
        Site(capacity(1, 50), capacity(1, 50), draw.choice([None, draw.randrange(index)]) if index else None)
        for index in range(draw.randint(0, sites))
    )
    places = [None, *range(len(shared)), *range(len(shared))]
    people = tuple(
        Client(
            capacity(0.1, 20), capacity(0.1, 20), draw.choice([0.0, draw.random()]), False, draw.choice([1, 1, 2, 5]),
            draw.choice(places),
        )
        for _ in range(draw.randint(1, clients))
    )  # fmt: skip
    sent = tuple(
        Message(
            draw.randrange(len(people)), draw.random() < 0.7, finite(0.1, 20), finite(0.1, 100),
            math.inf if draw.random() < 0.7 else finite(0.1, 20),
        )
        for _ in range(draw.randint(1, messages))
    )  # fmt: skip
    changes = []
    for _ in range(draw.choice([0, 3, 12])):
        link = draw.choice([{"client": draw.randrange(len(people))}, {"site": draw.choice(places)}])
        new = 0.0 if draw.random() < 0.3 else capacity(0.1, 60)
        changes.append(Change(finite(0.1, 40), draw.random() < 0.7, new, **link))
    return restored(Case(capacity(1, 200), capacity(1, 200), people, sent, shared, tuple(changes)))


def test_hundreds_of_random_trees_agree_with_the_oracle():
    cases = [random_tree(seed, clients=7, messages=14, sites=4) for seed in range(600)]
    assert sum(agrees(Tree, case, oracle(case)) for case in cases) > 400


def test_larger_random_trees_agree_with_progressive_filling():
    clear = 0
    for seed in range(60):
        case = random_tree(1000 + seed, clients=60, messages=120, sites=12)
        twin = []
        for end, delivered, transfer in run(PathNetwork, case):
            parts = transfer.parts()
            twin.append(Outcome(end, delivered, parts.alone, parts.stalled))
        clear += agrees(Tree, case, twin)
    assert clear > 20
