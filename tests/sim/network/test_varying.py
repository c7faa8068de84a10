"""Links that follow courses, against hand cases, changes made one by one, and progressive filling."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from simpy import Environment

from parasim_core.sim.errors import SimulationError
from parasim_core.sim.network import Course, HalfDuplexTree, PathNetwork, Tree, Varying
from parasim_core.sim.network.timing import Patience
from tests.oracles.progressive_filling import Outcome
from tests.sim.network.star_cases import Case, Client, Message, Site, faster, oracle, run, simulate
from tests.sim.network.test_tree import agrees, goes_down, random_tree

each = pytest.mark.parametrize("network_class", [Tree, PathNetwork, HalfDuplexTree])
PULSES = Course([0.0, 2.0, 5.0], [10.0, 0.0, 4.0], period=10.0)


def uploads(*messages):
    """Make uploads of (client, start, size)."""
    return tuple(Message(client, True, start, size) for client, start, size in messages)


@each
@pytest.mark.parametrize("ingress", [math.inf, 1e3, 10.0])
@pytest.mark.parametrize("where", ["uplink", "site", "ingress"])
def test_a_link_that_varies_delivers_its_integral(network_class, where, ingress):
    # From 1 s on: 10 B until 2 s, 20 B from 5 s to 10 s, 20 B until 12 s, then 4 B from 15 s on: 54 B at 16 s.
    varying = Varying(PULSES)
    uplink, site = (varying if where == name else 10.0 for name in ("uplink", "site"))
    case = Case(
        varying if where == "ingress" else ingress, 1.0, (Client(uplink, 1.0, above=0),), uploads((0, 1.0, 54.0))
    )
    [(end, _, transfer)] = run(network_class, replace(case, sites=(Site(site, 1.0),)))
    assert end == pytest.approx(16.0, rel=1e-15)
    parts = transfer.parts()
    # Down from 2 s to 5 s and from 12 s to 15 s; else its own link takes 9 s, or 5.4 s if another one varies.
    assert parts.stalled == pytest.approx(6.0, rel=1e-12)
    assert parts.alone == pytest.approx(9.0 if where == "uplink" else 5.4, rel=1e-12)
    assert parts.shared == pytest.approx(0.0 if where == "uplink" else 3.6, rel=1e-12)


@each
def test_two_on_one_link_that_varies(network_class):
    # 5 B/s each for 2 s, nothing for 3 s, 2 B/s each: 14 B of the one at 7 s; then the other has 4 B/s: 22 B at 9 s.
    case = Case(math.inf, 1.0, (Client(Varying(PULSES), 1.0),), uploads((0, 0.0, 14.0), (0, 0.0, 22.0)))
    assert simulate(network_class, case) == pytest.approx([7.0, 9.0], rel=1e-15)


@each
def test_what_a_slow_link_leaves_goes_to_the_others_at_once(network_class):
    # The server's 10 B/s: 5 and 5 until 2 s, 2 and 8 until 4 s, then 5 and 5: 10 + 4 + 5 B and 10 + 16 + 5 B at 5 s.
    varying = Varying(Course([0.0, 2.0, 4.0], [20.0, 2.0, 20.0]))
    case = Case(10.0, 1.0, (Client(varying, 1.0), Client(30.0, 1.0)), uploads((0, 0.0, 19.0), (1, 0.0, 31.0)))
    assert simulate(network_class, case) == pytest.approx([5.0, 5.0], rel=1e-15)


@each
def test_a_course_can_be_replaced(network_class):
    env = Environment()
    network = network_class(env)
    port = network.attach(Varying(PULSES), 1.0)
    transfer = network.upload(port, 60.0)
    env.run(until=3.0)
    # 20 B until 2 s; from 3 s on 5 B/s, from 4 s on what it is told then: 2 B/s until 10 s, then 1 B/s.
    network.set_capacity(port, uplink=5.0)
    env.run(until=4.0)
    network.set_capacity(port, uplink=Varying(Course([0.0, 10.0], [2.0, 1.0])))
    # 20 + 5 + 12 = 37 B at 10 s, and 23 s for the other 23 B.
    env.run(until=transfer)
    assert env.now == pytest.approx(33.0, rel=1e-15)
    assert transfer.parts() == pytest.approx((0.0, 32.0, 0.0, 1.0, 0.0, 0.0), rel=1e-12)


@each
def test_a_link_above_that_gets_or_loses_a_limit(network_class):
    # Alone, nothing has to be woken; with a limit above of 3 B/s from 1 s on it does, until there is none again at 7 s.
    # 10 B, 3 B, nothing until 5 s, 6 B, 12 B until 10 s, 20 B: 51 B at 12 s.
    env = Environment()
    network = network_class(env)
    transfer = network.upload(network.attach(Varying(PULSES), 1.0), 51.0)
    env.run(until=1.0)
    network.set_capacity(network.server, uplink=3.0)
    env.run(until=7.0)
    network.set_capacity(network.server, uplink=math.inf)
    env.run(until=transfer)
    assert env.now == pytest.approx(12.0, rel=1e-15)


@each
def test_a_link_above_that_binds_only_since_others_joined(network_class):
    # Alone, 10 of 15 B/s at most; from 1 s on another one has 10 B/s, too: 7.5 B/s each until 2 s, 15 until 5 s.
    # The first: 10, 17.5, nothing until 5 s, then 4 B/s: 21.5 B at 6 s. The other: 7.5, 37.5 as it has 10 B/s at most.
    env = Environment()
    network = network_class(env, 15.0)
    first = network.upload(network.attach(Varying(PULSES), 1.0), 21.5)
    env.run(until=1.0)
    second = network.upload(network.attach(10.0, 1.0), 37.5)
    env.run(until=first & second)
    assert (first.value, second.value) == pytest.approx((6.0, 5.0), rel=1e-15)


@each
def test_cancelled_on_a_link_that_varies(network_class):
    case = Case(math.inf, 1.0, (Client(Varying(PULSES), 1.0),), (Message(0, True, 0.0, 100.0, patience=6.5),))
    [(end, delivered, transfer)] = run(network_class, case)
    assert (end, delivered) == pytest.approx((6.5, 26.0), rel=1e-15)
    assert transfer.parts() == pytest.approx((0.0, 3.5, 0.0, 3.0, 0.0, 0.0), rel=1e-12)


@each
@pytest.mark.parametrize("above", [math.inf, 5.0])
def test_nothing_wakes_a_link_that_is_idle_or_dead(network_class, above):
    # The site's course goes on for ever, but the client's link is dead from 2 s on: the clock comes to a stop.
    dead = Varying(Course([0.0, 2.0], [10.0, 0.0]))
    env = Environment()
    network = network_class(env, above)
    site = network.shared(Varying(PULSES), 1.0, name="the site line of a")
    transfer = network.upload(network.attach(dead, 1.0, above=site), 40.0)
    network.upload(network.attach(Varying(PULSES), 1.0, above=site), 5.0)
    env.run()
    assert not transfer.triggered
    assert env.now <= 10.0
    assert [link.dead_from() for link in transfer.access.path()][:2] == [2.0, math.inf]
    # And the same the other way round: the client's course goes on, below a server that is dead.
    env = Environment()
    network = network_class(env, dead)
    transfer = network.upload(network.attach(Varying(PULSES), 1.0), 40.0)
    env.run()
    assert not transfer.triggered
    assert env.now <= 10.0
    assert [(link.dead_from(), link.name) for link in transfer.access.path()] == [
        (math.inf, "the uplink"), (2.0, "the server's ingress"),
    ]  # fmt: skip


def varied(case, seed):
    """Let about half of the links of a case follow courses of their own."""
    draw = random.Random(seed)

    def course(capacity):
        if draw.random() < 0.5:
            return capacity
        rows = draw.choice([1, 2, 3, 8])
        lengths = [draw.choice([0.5, 1.0, 2.0, draw.uniform(0.1, 20.0)]) for _ in range(rows)]
        rates = [draw.choice([0.0, 0.5, 1.0, 3.0, 10.0, draw.uniform(0.1, 30.0)]) for _ in range(rows)]
        if not any(rates):
            rates[0] = 1.0
        times = [math.fsum(lengths[:row]) for row in range(rows)]
        period = math.fsum(lengths) if draw.random() < 0.7 else None
        if period is None:
            rates[-1] = rates[-1] or 1.0
        return Varying(
            Course(times, rates, period), draw.choice([0.0, draw.uniform(0.0, 50.0)]), draw.choice([1.0, 2.0])
        )

    def both(one):
        return replace(one, uplink=course(one.uplink), downlink=course(one.downlink))

    return replace(
        case,
        ingress=course(case.ingress),
        egress=course(case.egress),
        clients=tuple(both(one) for one in case.clients),
        sites=tuple(both(one) for one in case.sites),
    )


@pytest.mark.parametrize("network_class", [Tree, PathNetwork])
def test_hundreds_of_random_trees_agree_with_the_oracle(network_class):
    clear = 0
    for seed in range(300):
        case = varied(random_tree(seed, clients=6, messages=10, sites=4), seed)
        clear += agrees(network_class, case, oracle(case))
    assert clear > 200


def test_larger_random_trees_agree_with_progressive_filling():
    clear = 0
    for seed in range(40):
        case = varied(random_tree(5000 + seed, clients=40, messages=80, sites=8), seed)
        twin = []
        for end, delivered, transfer in run(PathNetwork, case):
            parts = transfer.parts()
            twin.append(Outcome(end, delivered, parts.alone, parts.stalled))
        clear += agrees(Tree, case, twin)
    assert clear > 20


@each
def test_everything_twice_as_fast_takes_half_as_long(network_class):
    for seed in range(60):
        case = varied(random_tree(seed, clients=6, messages=10, sites=4), seed)
        ends = simulate(network_class, case)
        if not any(goes_down(case, end) for end in ends):
            assert simulate(network_class, faster(case, 2.0)) == pytest.approx([end / 2 for end in ends], rel=1e-12)


@each
def test_a_constant_written_as_one_step_gives_the_same_bytes(network_class):
    def step(one):
        if isinstance(one, float):
            return Varying(Course([0.0], [one / 2], period=7.0), 3.0, 2.0) if one < math.inf else one
        return replace(one, uplink=step(one.uplink), downlink=step(one.downlink))

    for seed in range(60):
        case = random_tree(seed, clients=6, messages=10, sites=4)
        clients, sites = tuple(step(one) for one in case.clients), tuple(step(one) for one in case.sites)
        steps = replace(case, ingress=step(case.ingress), egress=step(case.egress), clients=clients, sites=sites)
        for (end, size, transfer), (other_end, other_size, other) in zip(
            run(network_class, case), run(network_class, steps), strict=True
        ):
            assert (repr(end), repr(size), transfer.parts()) == (repr(other_end), repr(other_size), other.parts())


def by_hand(course, period, starts_at, size, begin):
    """Send bytes over one link row by row, without running sums."""
    time, left = begin + starts_at, size
    while True:
        cycle = math.floor(time / period) * period
        for (start, rate), (until, _) in zip(course, [*course[1:], (period, 0.0)], strict=True):
            low, high = max(time, cycle + start), cycle + until
            if high > low:
                if rate * (high - low) >= left:
                    return low + left / rate - starts_at
                left -= rate * (high - low)
                time = high


@each
def test_single_links_deliver_what_adding_up_their_rows_says(network_class):
    draw = random.Random(17)
    for _ in range(100):
        course = [(float(second), draw.choice([0.0, draw.uniform(0.1, 9.0)])) for second in range(1, 20)]
        course.insert(0, (0.0, 2.0))
        times, rates = zip(*course, strict=True)
        start, begin, size = draw.uniform(0.0, 20.0), draw.uniform(0.0, 50.0), draw.uniform(0.1, 500.0)
        client = Client(Varying(Course(times, rates, 20.0), start), 1.0)
        [end] = simulate(network_class, Case(draw.choice([math.inf, 9.0]), 1.0, (client,), uploads((0, begin, size))))
        assert end == pytest.approx(by_hand(course, 20.0, start, size, begin), rel=1e-12)


@each
def test_what_bound_a_transfer_is_noted(network_class):
    # Of 9 B/s, the site has 4 B/s for two, of which one has only 1 B/s; the third has 5 of the 9 B/s left, of its 20.
    clients = Client(1.0, 1.0, above=0), Client(20.0, 1.0, above=0), Client(20.0, 1.0)
    messages = uploads((0, 0.0, 1.0), (1, 0.0, 2.0), (2, 0.0, 3.0))
    ends = run(network_class, Case(9.0, 1.0, clients, messages, (Site(4.0, 1.0),)))
    # After 0.6 s the third has arrived; then the second, with 3 B/s of the site, at 2/3 s; then the first at 1 s.
    assert [transfer.bottleneck().name for _, _, transfer in ends] == [
        "the uplink", "a shared link", "the server's ingress",
    ]  # fmt: skip


def test_tree_and_progressive_filling_name_the_same_bottlenecks():
    draw = random.Random(23)
    named = []
    for _ in range(100):
        sites = (
            Site(draw.uniform(5.0, 20.0), 1.0),
            Site(draw.uniform(5.0, 20.0), 1.0),
            Site(draw.uniform(2.0, 20.0), 1.0, 0),
        )
        clients = tuple(Client(draw.uniform(1.0, 20.0), 1.0, above=draw.choice([None, 0, 1, 2])) for _ in range(6))
        messages = uploads(
            *((client, draw.uniform(0.0, 9.0), draw.uniform(1.0, 30.0)) for client in (*range(6), *range(6)))
        )
        case = Case(draw.uniform(8.0, 40.0), 1.0, clients, messages, sites)
        tree, filled, half = (
            [transfer.access.path().index(transfer.bottleneck()) for _, _, transfer in run(network_class, case)]
            for network_class in (Tree, PathNetwork, HalfDuplexTree)
        )
        assert tree == filled == half
        named += tree
    assert {*named} == {0, 1, 2, 3}


@each
def test_links_that_are_never_up_together_end_the_run(network_class, monkeypatch):
    monkeypatch.setattr(Patience, "CHANGES", 1000)
    env = Environment()
    network = network_class(env, ingress=Varying(Course([0.0, 1.0], [0.0, 1e6], 2.0)))
    port = network.attach(Varying(Course([0.0, 1.0], [1e6, 0.0], 2.0)), 1e6)
    with pytest.raises(SimulationError, match="never up together"):
        env.run(until=network.upload(port, 1e3))


@each
def test_patience_begins_anew_when_something_gets_through(network_class, monkeypatch):
    # Up for one second in ten: of 30 bytes at 1 B/s, ten go in each period, after many changes in all.
    monkeypatch.setattr(Patience, "CHANGES", 20)
    env = Environment()
    network = network_class(env)
    port = network.attach(Varying(Course([0.0, 1.0], [1.0, 0.0], 10.0)), 1.0)
    assert env.run(until=network.upload(port, 30.0)) == pytest.approx(291.0)


def dense(seed):
    """Make clients on traces of many rows, below sites and a server that bind now and then."""
    draw = random.Random(seed)
    courses = []
    for _ in range(4):
        rates = [draw.choice([0.0, draw.lognormvariate(1.0, 0.7), draw.lognormvariate(1.0, 0.7)]) for _ in range(60)]
        gaps = [draw.choice([1.0, 1.0, draw.uniform(0.05, 2.0)]) for _ in rates]
        courses.append(Course([math.fsum(gaps[:row]) for row in range(60)], rates, math.fsum(gaps)))

    def varying(factor):
        return Varying(draw.choice(courses), draw.choice([0.0, draw.uniform(0.0, 100.0)]), factor)

    sites = tuple(Site(draw.choice([math.inf, 8.0, varying(4.0)]), 1.0) for _ in range(draw.choice([0, 4])))
    clients = tuple(
        Client(draw.choice([varying(1.0), varying(1.0), 3.0]), 1.0, above=draw.randrange(4) if sites else None)
        for _ in range(12)
    )
    server = draw.choice([varying(10.0), 5.0, 12.0, 30.0])
    messages = [(draw.randrange(12), draw.uniform(0.0, 40.0), draw.uniform(1.0, 80.0)) for _ in range(20)]
    return Case(server, 1.0, clients, uploads(*messages), sites)


def test_traces_of_many_rows_agree_with_progressive_filling():
    for seed in range(12):
        case = dense(seed)
        expected = simulate(PathNetwork, case)
        assert simulate(Tree, case) == pytest.approx(expected, rel=1e-9), seed


def test_changes_between_events_need_none_of_their_own():
    # 2 and 4 B/s in turn, a second each, of the server's 10 B/s: 3 and 7 B/s on average for 500 s.
    env = Environment()
    tree = Tree(env, 10.0)
    turns = Varying(Course([0.0, 1.0], [2.0, 4.0], 2.0))
    both = [tree.upload(tree.attach(turns, 1.0), 1500.0), tree.upload(tree.attach(30.0, 1.0), 3500.0)]
    steps = 0
    while not all(each.triggered for each in both):
        env.step()
        steps += 1
    assert [each.value for each in both] == pytest.approx([500.0, 500.0], rel=1e-12)
    assert steps < 20
