from __future__ import annotations

import doctest
import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy import Environment

import parasim_core.sim.network.tree
from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network import HalfDuplexTree, PathNetwork, Tree, star_network
from tests.oracles.progressive_filling import NaiveStar
from tests.sim.network.star_cases import Case, Client, Message, cases, expected, scaled, simulate
from validation.references.simgrid import DATA, federated_rounds

REFERENCE = [f"{links}_{fleet}" for links, fleet in itertools.product(["hom", "het"], ["10x32", "100x10", "1000x3"])]


def upload_ends(sizes, access, ingress, starts=None, counts=None, network_class=Tree):
    """Return the arrivals of one upload per client."""
    starts = starts or [0.0] * len(sizes)
    counts = counts or [1] * len(sizes)
    case = Case(
        ingress,
        math.inf,
        tuple(Client(link, math.inf, count=count) for link, count in zip(access, counts, strict=True)),
        tuple(Message(i, True, start, size) for i, (start, size) in enumerate(zip(starts, sizes, strict=True))),
    )
    return simulate(network_class, case)


@pytest.mark.parametrize(
    ("network_class", "name"),
    [
        *((Tree, name) for name in REFERENCE),
        # The slow solvers take too long on 1,000 clients.
        *((slow, name) for slow in (PathNetwork, NaiveStar) for name in REFERENCE if "1000x3" not in name),
    ],
)
def test_agrees_with_simgrid(network_class, name):
    reference = json.loads((DATA / f"simgrid_{name}.json").read_text())
    for answer in reference["expected_simgrid_4_1"]:
        first_uploads, makespan = federated_rounds(network_class, reference, answer["latency_s"])
        assert makespan == pytest.approx(answer["makespan_s"], rel=1e-9)
        assert first_uploads == pytest.approx(answer["first_upload_end_s"], rel=1e-9)


def test_a_lone_transfer_takes_size_over_capacity():
    # 50 MB at min(25, 100) MB/s: 2 s.
    assert upload_ends([50e6], access=[25e6], ingress=100e6) == [2.0]
    # The server's link is the narrow one: 50 MB at 10 MB/s, 5 s.
    assert upload_ends([50e6], access=[25e6], ingress=10e6) == [5.0]


def test_two_uploads_share_the_ingress():
    # Access 100 MB/s each, ingress 100 MB/s: 50 MB/s each while both send.
    # A sends 100 MB and ends at 100/50 = 2 s; B has 100 of 200 MB left, alone at 100 MB/s: 3 s.
    ends = upload_ends([100e6, 200e6], access=[100e6, 100e6], ingress=100e6)
    assert ends == pytest.approx([2.0, 3.0], rel=1e-12)


def test_what_a_slow_client_cannot_use_goes_to_the_others():
    # Access 1, 10, 10 B/s, ingress 9 B/s: max-min rates 1, 4, 4.
    # B sends 8 B: 2 s. C sends 16 B: 8 left at 2 s, then min(10, 9 - 1) = 8 B/s: 3 s. A sends 5 B: 5 s.
    ends = upload_ends([5.0, 8.0, 16.0], access=[1.0, 10.0, 10.0], ingress=9.0)
    assert ends == pytest.approx([5.0, 2.0, 3.0], rel=1e-12)


def test_a_start_slows_those_under_way():
    # Ingress 10 B/s, fast access. A (30 B) starts at 0: 10 left at 2 s, when B (5 B) starts.
    # 5 B/s each: B ends at 3 s, A has 5 left, alone at 10 B/s: 3.5 s.
    ends = upload_ends([30.0, 5.0], access=[math.inf, 50.0], ingress=10.0, starts=[0.0, 2.0])
    assert ends == pytest.approx([3.5, 3.0], rel=1e-12)


def test_a_client_changes_from_capped_to_fair_and_back():
    # Access 6 B/s and 10 B/s, ingress 10 B/s. A alone until 1 s: 6 of 24 B.
    # 1 s: B (10 B) starts; the level is 5 < 6, so 5 B/s each. B ends at 3 s; A has 24 - 6 - 10 = 8 left.
    # Alone again A is capped: 8 / 6 s more.
    ends = upload_ends([24.0, 10.0], access=[6.0, 10.0], ingress=10.0, starts=[0.0, 1.0])
    assert ends == pytest.approx([3 + 8 / 6, 3.0], rel=1e-12)


def test_transfers_of_one_client_share_its_link():
    # Uplink 10 B/s: 5 B/s each; the 10 B one ends at 2 s, the other has 20 - 10 left at 10 B/s: 3 s.
    # Downloads have a link of their own: 4 B at 4 B/s, 1 s.
    case = Case(
        100.0,
        100.0,
        (Client(10.0, 4.0),),
        (Message(0, True, 0.0, 10.0), Message(0, True, 0.0, 20.0), Message(0, False, 0.0, 4.0)),
    )
    assert simulate(Tree, case) == pytest.approx([2.0, 3.0, 1.0], rel=1e-12)


def test_a_client_with_two_transfers_gets_two_shares_of_the_server():
    # Ingress 9 B/s, three transfers of 9 B, two of them from one client: 3 B/s each, all end at 3 s.
    case = Case(
        9.0,
        math.inf,
        (Client(100.0, 1.0), Client(100.0, 1.0)),
        (Message(0, True, 0.0, 9.0), Message(0, True, 0.0, 9.0), Message(1, True, 0.0, 9.0)),
    )
    assert simulate(Tree, case) == pytest.approx([3.0, 3.0, 3.0], rel=1e-12)


def test_latency_is_paid_once_before_sharing():
    # B's latency of 1 s passes before it shares: A (10 B) alone at 10 B/s has all of it by then.
    case = Case(
        10.0,
        math.inf,
        (Client(10.0, 1.0), Client(10.0, 1.0, latency=1.0)),
        (Message(0, True, 0.0, 10.0), Message(1, True, 0.0, 10.0)),
    )
    assert simulate(Tree, case) == pytest.approx([1.0, 2.0], rel=1e-12)


@pytest.mark.parametrize("network_class", [Tree, PathNetwork])
def test_nothing_limits_an_unlimited_transfer_but_latency(network_class):
    case = Case(
        math.inf,
        math.inf,
        (Client(math.inf, math.inf), Client(math.inf, math.inf, latency=0.25)),
        (Message(0, True, 0.0, 1e12), Message(0, True, 0.0, 1.0), Message(1, False, 3.0, 1e12)),
    )
    assert simulate(network_class, case) == [0.0, 0.0, 3.25]


@pytest.mark.parametrize("network_class", [Tree, PathNetwork])
def test_a_counted_port_takes_its_count_of_the_server(network_class):
    # 4 clients in one port and one apart, ingress 10 B/s, fast access: 2 B/s each.
    # All send 6 B but the one, 10 B: the four end at 3 s, the one has 4 left at 10 B/s: 3.4 s.
    ends = upload_ends([6.0, 10.0], [100.0, 100.0], 10.0, counts=[4, 1], network_class=network_class)
    assert ends == pytest.approx([3.0, 3.4], rel=1e-12)


def test_a_process_goes_on_with_the_time_of_arrival():
    # Upload 10 B at 5 B/s, then download 6 B at 3 B/s: 2 s, 4 s; then an upload that starts where another ends.
    env = Environment()
    star = Tree(env)
    port = star.attach(uplink=5.0, downlink=3.0)
    times = []

    def client():
        times.append((yield star.upload(port, 10.0)))
        times.append((yield star.download(port, 6.0)))
        times.append((yield star.upload(port, 5.0)))

    env.run(until=env.process(client()))
    assert times == [2.0, 4.0, 5.0]
    assert env.now == 5.0


@pytest.mark.parametrize("size", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("network_class", [Tree, PathNetwork])
def test_sizes_must_be_finite_and_positive(network_class, size):
    network = network_class(Environment())
    port = network.attach(1.0, 1.0)
    for way in (network.upload, network.download):
        with pytest.raises(NetworkError, match="size"):
            way(port, size)


@pytest.mark.parametrize("network_class", [Tree, PathNetwork])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uplink", 0.0),
        ("uplink", math.nan),
        ("downlink", -1.0),
        ("latency", -0.1),
        ("latency", math.inf),
        ("latency", math.nan),
        ("count", 0),
    ],
)
def test_ports_that_cannot_exist(network_class, name, value):
    network = network_class(Environment())
    with pytest.raises(NetworkError, match=name):
        network.attach(**{"uplink": 1.0, "downlink": 1.0, name: value})


@pytest.mark.parametrize("network_class", [Tree, PathNetwork])
def test_server_links_that_cannot_exist(network_class):
    with pytest.raises(NetworkError, match="ingress"):
        network_class(Environment(), ingress=0.0)
    with pytest.raises(NetworkError, match="egress"):
        network_class(Environment(), egress=math.nan)


@pytest.mark.parametrize("network_class", [Tree, PathNetwork])
def test_a_port_belongs_to_its_network(network_class):
    env = Environment()
    port = network_class(env).attach(1.0, 1.0)
    with pytest.raises(NetworkError, match="another network"):
        network_class(env).upload(port, 1.0)


def test_half_duplex_is_not_for_star():
    with pytest.raises(NetworkError, match="half"):
        Tree(Environment()).attach(1.0, 1.0, half_duplex=True)


def test_star_network_chooses():
    assert isinstance(star_network(Environment(), 1.0, 1.0, half_duplex=False), Tree)
    assert isinstance(star_network(Environment(), 1.0, 1.0), Tree)
    assert isinstance(star_network(Environment(), 1.0, 1.0, half_duplex=True), PathNetwork)
    assert isinstance(star_network(Environment(), 1.0, 1.0, half_duplex=True, clients=1000), HalfDuplexTree)


def test_the_documented_example():
    assert doctest.testmod(parasim_core.sim.network.tree).failed == 0


@settings(max_examples=400, deadline=None)
@given(cases())
def test_agrees_with_the_oracle(case):
    assert simulate(Tree, case) == pytest.approx(expected(case), rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(cases(max_messages=40))
def test_agrees_with_the_naive_star(case):
    assert simulate(Tree, case) == pytest.approx(simulate(NaiveStar, case), rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 20.0), st.floats(0.1, 20.0)), min_size=2, max_size=6),
    st.floats(0.5, 40.0),
    st.lists(st.floats(0.1, 5.0), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.01]),
)
def test_agrees_with_the_naive_star_round_after_round(links, server, seconds, latency):
    # Processes react to arrivals, so an error in one round would shift all later ones.
    reference = {
        "n": len(links),
        "rounds": len(seconds),
        "server_ingress": server,
        "server_egress": server,
        "up_Bps": [link[0] for link in links],
        "down_Bps": [link[1] for link in links],
        "bytes_up": 10.0,
        "bytes_down": 20.0,
        "compute_s": [[second * (1 + client % 3) for client in range(len(links))] for second in seconds],
    }
    fast_uploads, fast_makespan = federated_rounds(Tree, reference, latency)
    slow_uploads, slow_makespan = federated_rounds(NaiveStar, reference, latency)
    assert fast_uploads == pytest.approx(slow_uploads, rel=1e-9)
    assert fast_makespan == pytest.approx(slow_makespan, rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_no_link_carries_more_than_its_capacity(case):
    # All bytes of messages that are sent and arrive within [a, b] pass in b - a: at most capacity x (b - a).
    arrivals = simulate(Tree, case)
    starts = [message.start + case.clients[message.client].latency for message in case.messages]
    for upload, server in ((True, case.ingress), (False, case.egress)):
        indices = [i for i, message in enumerate(case.messages) if message.upload is upload]
        links = [(server, indices, True)]
        for number, client in enumerate(case.clients):
            own = [i for i in indices if case.messages[i].client == number]
            links.append((client.uplink if upload else client.downlink, own, False))
        for link, crossing, counted in links:
            for a, b in itertools.product([starts[i] for i in crossing], [arrivals[i] for i in crossing]):
                carried = sum(
                    case.messages[i].size * (case.clients[case.messages[i].client].count if counted else 1)
                    for i in crossing
                    if starts[i] >= a and arrivals[i] <= b
                )
                # An unlimited link carries any amount in no time.
                if carried and link < math.inf:
                    # Times are known to a few units in the last place.
                    assert carried <= link * (b - a + 1e-13 * b) * (1 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(cases(), st.floats(0.5, 100.0))
def test_the_server_never_idles_while_there_is_work(case, server):
    # Access links that never bind: whoever shares with whom, all bytes have passed at the end of the busy period,
    # max over k of start_k + (bytes started at or after start_k) / capacity.
    clients = tuple(Client(math.inf, math.inf, client.latency, count=client.count) for client in case.clients)
    messages = tuple(Message(message.client, True, message.start, message.size) for message in case.messages)
    arrivals = simulate(Tree, Case(server, math.inf, clients, messages))
    work = [
        (message.start + clients[message.client].latency, message.size * clients[message.client].count)
        for message in messages
    ]
    end = max(start + sum(size for later, size in work if later >= start) / server for start, _ in work)
    assert max(arrivals) == pytest.approx(end, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_twice_the_bytes_at_twice_the_capacity_take_as_long(case):
    assert simulate(Tree, scaled(case, 2.0)) == pytest.approx(simulate(Tree, case), rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_a_port_of_count_n_is_n_ports(case):
    owners = [number for number, client in enumerate(case.clients) for _ in range(client.count)]
    clients = tuple(
        Client(case.clients[owner].uplink, case.clients[owner].downlink, case.clients[owner].latency)
        for owner in owners
    )
    copies = [
        (index, Message(copy, message.upload, message.start, message.size))
        for index, message in enumerate(case.messages)
        for copy, owner in enumerate(owners)
        if owner == message.client
    ]
    single = simulate(Tree, Case(case.ingress, case.egress, clients, tuple(message for _, message in copies)))
    counted = simulate(Tree, case)
    assert single == pytest.approx([counted[index] for index, _ in copies], rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_clients_does_not_matter(case, random):
    order = list(range(len(case.messages)))
    random.shuffle(order)
    shuffled = Case(case.ingress, case.egress, case.clients, tuple(case.messages[i] for i in order))
    plain = simulate(Tree, case)
    assert simulate(Tree, shuffled) == pytest.approx([plain[i] for i in order], rel=1e-12)
