"""TCP before access links, with formulas as simple as can be: start-up, limits, and what the way back costs."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from simpy import Environment

from parasim_core.sim.network import Course, HalfDuplexTree, PathNetwork, Tree, Varying
from tests.sim.network.star_cases import Case, Client, Message, Site, Tcp, oracle, run, simulate
from tests.sim.network.test_tree import goes_down, random_tree
from tests.sim.network.test_varying import varied

each = pytest.mark.parametrize("network_class", [Tree, PathNetwork, HalfDuplexTree])


def uploads(*messages):
    """Make uploads of (client, start, size)."""
    return tuple(Message(client, True, start, size) for client, start, size in messages)


@each
def test_a_start_up_takes_the_place_of_the_latency(network_class):
    # 10 B are 15 B on the link, of which 3 get through in 2 + 1 s; 12 B at 4 B/s take 3 s more.
    tcp = Tcp(latency=1.0, round_trips=2.0, early=3.0)
    case = Case(math.inf, 1.0, (Client(4.0, 1.0, latency=1.0, up=tcp),), uploads((0, 0.0, 10.0)))
    [(end, delivered, transfer)] = run(network_class, case)
    assert (end, delivered) == pytest.approx((6.0, 10.0), rel=1e-15)
    assert transfer.parts() == pytest.approx((1.0, 3.0, 0.0, 0.0, 2.0, 0.0), rel=1e-15)


@each
def test_a_message_may_be_through_with_its_start_up(network_class):
    tcp = Tcp(latency=1.0, round_trips=0.5, early=30.0)
    case = Case(math.inf, 1.0, (Client(4.0, 1.0, latency=1.0, up=tcp),), uploads((0, 2.0, 10.0)))
    [(end, _, transfer)] = run(network_class, case)
    assert end == 3.5
    assert transfer.parts() == (1.0, 0.0, 0.0, 0.0, 0.5, 0.0)


@each
def test_the_start_up_is_told_what_the_path_gives_at_most(network_class):
    seen = []

    class Asks(Tcp):
        def start_up(self, size, rate):
            seen.append(rate)
            return super().start_up(size, rate)

    site = Site(Varying(Course([0.0, 5.0], [3.0, 100.0])), 1.0)
    client = Client(Varying(Course([0.0, 5.0], [7.0, 9.0])), 1.0, up=Asks(), above=0)
    run(network_class, Case(50.0, 1.0, (client,), uploads((0, 1.0, 1.0), (0, 6.0, 1.0)), (site,)))
    assert seen == [3.0, 9.0]


@each
def test_a_message_gets_no_more_than_its_connections_allow(network_class):
    # One alone at 3 B/s of 10 B/s; two at 3 each; four share 10 at 2.5. Sizes are 1.5 times as many bytes on the link.
    # Four of 10 B until 6 s: 15 B each. And 20 B alone: 10 s.
    client = Client(10.0, 1.0, up=Tcp(cap=3.0))
    assert simulate(network_class, Case(math.inf, 1.0, (client,), uploads(*[(0, 0.0, 10.0)] * 4))) == [6.0] * 4
    [(end, _, transfer)] = run(network_class, Case(math.inf, 1.0, (client,), uploads((0, 0.0, 20.0))))
    assert end == pytest.approx(10.0, rel=1e-15)
    assert transfer.parts() == pytest.approx((0.0, 3.0, 0.0, 0.0, 0.0, 7.0), rel=1e-15)
    # What it leaves goes to others: 12 B/s less 3 B/s for a client without limits. 9 B at 3 B/s, 27 B at 9 B/s.
    clients = client, Client(math.inf, 1.0)
    assert simulate(network_class, Case(12.0, 1.0, clients, uploads((0, 0.0, 6.0), (1, 0.0, 27.0)))) == [3.0, 3.0]


@each
@pytest.mark.parametrize("ingress", [math.inf, 1e3])
def test_limits_follow_the_course_of_the_link(network_class, ingress):
    # 10, 0 and 4 B/s for 2, 3 and 5 s: 8, 0 and 3.2 B/s with four fifths of the link; 16 + 16 + 16 B at 12 s.
    varying = Varying(Course([0.0, 2.0, 5.0], [10.0, 0.0, 4.0], period=10.0))
    case = Case(ingress, 1.0, (Client(varying, 1.0, up=Tcp(most=0.8)),), uploads((0, 0.0, 32.0)))
    [(end, _, transfer)] = run(network_class, case)
    assert end == pytest.approx(12.0, rel=1e-15)
    # The link alone: 20 B until 2 s, 20 B from 5 s to 10 s, and 8 B in 0.8 s.
    assert transfer.parts() == pytest.approx((0.0, 7.8, 0.0, 3.0, 0.0, 1.2), rel=1e-12)


@each
def test_one_direction_takes_of_the_other_while_it_carries_something(network_class):
    # 60 B up are 90 B on the link; down 10 B are 15 B, from 2 s on at 5 - 0.1 * 10 = 4 B/s: until 5.75 s.
    # Up 10 B/s until 2 s, then 10 - 0.5 * 5 = 7.5 B/s until 5.75 s: 48.125 B; the other 41.875 B at 10 B/s.
    client = Client(10.0, 5.0, up=Tcp(taken=0.5), down=Tcp(taken=0.1))
    messages = Message(0, True, 0.0, 60.0), Message(0, False, 2.0, 10.0)
    case = Case(math.inf, math.inf, (client,), messages)
    assert simulate(network_class, case) == pytest.approx([9.9375, 5.75], rel=1e-15)
    # The same for one direction that has TCP alone, and for what is cancelled: 2 + 3 s at 10 and 7.5 B/s, then 47.5 B.
    alone = replace(client, down=None)
    messages = messages[0], replace(messages[1], patience=3.0, size=1e3)
    case = Case(math.inf, math.inf, (alone,), messages)
    assert simulate(network_class, case) == pytest.approx([9.75, 5.0], rel=1e-15)


@each
def test_two_directions_that_vary(network_class):
    # Down 8 B/s until 2 s, then 2 B/s; up 10 - 0.5 * 8 = 6 B/s, 9 B/s until 4 s, and then 10 B/s.
    # 6 * 2 + 9 * 2 + 10 * 3 = 60 B.
    client = Client(10.0, Varying(Course([0.0, 2.0], [8.0, 2.0])), up=Tcp(taken=0.5))
    messages = Message(0, True, 0.0, 40.0), Message(0, False, 0.0, 20.0)
    assert simulate(network_class, Case(math.inf, math.inf, (client,), messages)) == pytest.approx(
        [7.0, 4.0], rel=1e-15
    )
    assert simulate(network_class, Case(1e3, 1e3, (client,), messages)) == pytest.approx([7.0, 4.0], rel=1e-15)


@each
def test_cancelled_with_tcp(network_class):
    env = Environment()
    network = network_class(env)
    port = network.attach(4.0, 1.0, latency=1.0, up=Tcp(latency=1.0, round_trips=2.0, early=3.0))
    early, late = network.upload(port, 10.0), network.upload(port, 10.0)
    env.run(until=2.0)
    assert early.cancel() == 0.0
    assert early.parts() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    env.run(until=4.0)
    # 4 of the 12 B that go over the link after the start-up; the other 8 are as many packets of 1448 B in 1500.
    assert late.cancel() == pytest.approx(10.0 - 8.0 * 1448 / 1500, rel=1e-12)
    assert late.parts() == pytest.approx((1.0, 1.0, 0.0, 0.0, 2.0, 0.0), rel=1e-12)
    env.run()
    assert not early.triggered


def with_tcp(case, seed, half_duplex=False):
    """Put connections before some of the links of a case, and let nobody be cancelled."""
    draw = random.Random(seed)

    def connection(latency):
        if draw.random() < 0.3:
            return None
        cap = draw.choice([math.inf, 0.5, 2.0, draw.uniform(0.2, 20.0)])
        early, taken = draw.choice([0.0, 0.1]), draw.choice([0.0, 0.02, 0.5, 2.0])
        return Tcp(latency, draw.choice([0.0, 0.3, 2.0]), early, draw.choice([1.0, 0.98]), cap, taken)

    clients = tuple(
        replace(
            one,
            uplink=one.uplink if one.uplink != math.inf else 20.0,
            downlink=one.downlink if one.downlink != math.inf else 20.0,
            up=connection(one.latency),
            down=connection(one.latency),
            half_duplex=half_duplex and draw.random() < 0.3,
        )
        for one in case.clients
    )
    messages = tuple(
        replace(message, patience=math.inf, upload=draw.random() < 0.5, client=draw.choice([0, message.client]))
        for message in case.messages
    )
    return replace(case, clients=clients, messages=messages, changes=())


@pytest.mark.parametrize(
    ("network_class", "half_duplex"),
    [(Tree, False), (PathNetwork, False), (PathNetwork, True), (HalfDuplexTree, False), (HalfDuplexTree, True)],
)
def test_hundreds_of_random_trees_agree_with_the_oracle(network_class, half_duplex):
    clear = 0
    for seed in range(200):
        case = with_tcp(random_tree(seed, clients=5, messages=12, sites=3), seed, half_duplex)
        if seed % 2:
            case = varied(case, seed)
        ends = [outcome.end for outcome in oracle(case)]
        got = simulate(network_class, case)
        if any(end == math.inf or goes_down(case, end) for end in [*ends, *got]):
            continue
        assert got == pytest.approx(ends, rel=1e-9), seed
        clear += 1
    assert clear > 130


@pytest.mark.parametrize("network_class", [Tree, HalfDuplexTree])
def test_larger_random_trees_agree_with_progressive_filling(network_class):
    # Deep enough that a link is fair below one that is fair itself, while its own rate changes.
    clear = 0
    for seed in [9061, 9094, 9132, 9197, 9252, 9256, *range(8000, 8012)]:
        case = varied(with_tcp(random_tree(seed, clients=25, messages=60, sites=6), seed), seed)
        got, twin = simulate(network_class, case), simulate(PathNetwork, case)
        if not any(goes_down(case, end) for end in [*got, *twin]):
            assert got == pytest.approx(twin, rel=1e-9), seed
            clear += 1
    assert clear > 10
