from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from simpy import Environment

from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network import HalfDuplexTree, PathNetwork, Tree
from parasim_core.sim.network.capacity import rate_at
from tests.oracles.progressive_filling import Outcome
from tests.sim.network.star_cases import Case, Change, Client, Message, Site, oracle, run, simulate, trees

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


@both
@pytest.mark.parametrize("count", [1, 3])
def test_clients_without_limits_behind_a_site_without_one(network_class, count):
    # Only the server's 10 B/s bind: three clients (or five) of 100 B each, all at the same rate.
    inf = math.inf
    clients = Client(inf, 1.0, count=count, above=0), Client(inf, 1.0, above=0), Client(inf, 1.0)
    messages = uploads((0, 0.0, 100.0), (1, 0.0, 100.0), (2, 0.0, 100.0))
    case = Case(10.0, 1.0, clients, messages, (Site(inf, inf),))
    assert simulate(network_class, case) == pytest.approx([10.0 * (count + 2)] * 3, rel=1e-12)


def test_half_duplex_below_a_site():
    # u / 10 + d / 10 <= 1 and u <= 1 by the site: u = 1, d = 9 B/s. 3 B up in 3 s, 18 B down in 2 s.
    messages = Message(0, True, 0.0, 3.0), Message(0, False, 0.0, 18.0)
    case = Case(math.inf, math.inf, (Client(10.0, 10.0, half_duplex=True, above=0),), messages, (Site(1.0, math.inf),))
    assert simulate(PathNetwork, case) == pytest.approx([3.0, 2.0], rel=1e-12)


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


@pytest.mark.parametrize("network_class", [Tree, HalfDuplexTree, PathNetwork])
def test_a_client_that_was_taken_off_leaves_nothing_behind(network_class):
    env = Environment()
    network = network_class(env, ingress=100.0)
    site = network.shared(40.0, 40.0)
    # One after the other takes 3 s at 10 B/s, and what all of them have never counts together.
    for number in range(1, 21):
        port = network.attach(10.0, 10.0, above=site)
        assert env.run(until=network.upload(port, 30.0)) == pytest.approx(3.0 * number)
        network.detach(port)
    for link in (network.server.up, site.up):
        assert getattr(link, "peaks", 0.0) == 0.0
        assert getattr(link, "free", True)
    with pytest.raises(NetworkError, match="the port was attached to another network"):
        network.upload(port, 30.0)
    with pytest.raises(NetworkError, match="the port was attached to another network"):
        network.detach(port)


def test_half_duplex_clients_can_be_taken_off_before_and_after_their_directions_met():
    env = Environment()
    network = HalfDuplexTree(env, ingress=100.0)
    ports = [network.attach(10.0, 10.0, half_duplex=True) for _ in range(3)]
    network.detach(ports[0])
    # Both at once take turns: 30 B each way at 5 B/s. Thereafter progressive filling does the work.
    both_ways = network.upload(ports[1], 30.0), network.download(ports[1], 30.0)
    env.run(until=env.all_of(both_ways))
    assert env.now == pytest.approx(6.0)
    assert network.filling is not None
    network.detach(ports[1])
    assert env.run(until=network.upload(ports[2], 30.0)) == pytest.approx(9.0)


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


def goes_down(case, time):
    """Whether a course goes down at a time, but for rounding."""
    links = [*case.clients, *case.sites]
    capacities = [case.ingress, case.egress, *(link.uplink for link in links), *(link.downlink for link in links)]
    before, after = time * (1 - 1e-9), time * (1 + 1e-9)
    return any(rate_at(one, before) and not rate_at(one, after) for one in capacities)


def agrees(network_class, case, ends):
    """Whether a case is clear; if so, assert that a network gives these outcomes for it."""
    outages = [change.time for change in case.changes if change.capacity == 0]
    # What ends when a link goes down, but for rounding, may end then, or when the link is up again.
    if any(abs(end.end - time) <= 1e-9 * time for end in ends for time in outages):
        return False
    if any(end.end == math.inf for end in ends):
        # It takes longer than courses are written out.
        return False
    got = run(network_class, case)
    if any(goes_down(case, end) for end in [*(end for end, _, _ in got), *(outcome.end for outcome in ends)]):
        return False
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
