from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy import Environment

from parasim_core.sim.network import Link, PathNetwork, Transfer
from parasim_core.sim.network.general import Hop, Path
from tests.oracles import progressive_filling
from tests.sim.network.star_cases import Case, Client, Message, cases, expected, scaled, simulate


def send(network: PathNetwork, hops: list[Hop], size: float, latency: float = 0.0, count: int = 1) -> Transfer:
    """Send a message along a path of one's own."""
    return Transfer(Path(network, hops, latency, count, hops[0].link), size)


def test_parking_lot():
    # Two links of 10 B/s in a row; A crosses both, B the first, C the second: 5 B/s each.
    # B (10 B) ends at 2 s; C still halves the second link, so A stays at 5 B/s. A (15 B) ends at 3 s;
    # C (20 B) has 5 left at 10 B/s: 3.5 s.
    env = Environment()
    network = PathNetwork(env)
    first, second = Hop(Link(10.0)), Hop(Link(10.0))
    events = [
        send(network, [first, second], 15.0),
        send(network, [first], 10.0),
        send(network, [second], 20.0),
    ]
    env.run()
    assert [event.value for event in events] == pytest.approx([3.0, 2.0, 3.5], rel=1e-12)


def test_weights_take_more_of_a_link():
    # 2 r + 1 r = 9 with equal rates: 3 B/s each. The light one (3 B) ends at 1 s, the heavy one (12 B) has 9 left
    # at 9 / 2 B/s: 3 s.
    env = Environment()
    network = PathNetwork(env)
    link = Link(9.0)
    heavy = send(network, [Hop(link, 2.0)], 12.0)
    light = send(network, [Hop(link)], 3.0)
    env.run()
    assert [heavy.value, light.value] == pytest.approx([3.0, 1.0], rel=1e-12)


def test_a_transfer_with_a_count_is_so_many():
    # 3 + 1 transfers of 4 B on 8 B/s: 2 B/s each, 2 s; latency comes before.
    env = Environment()
    network = PathNetwork(env)
    link = Hop(Link(8.0))
    events = [send(network, [link], 4.0, latency=1.0, count=3), send(network, [link], 4.0, latency=1.0)]
    env.run()
    assert [event.value for event in events] == pytest.approx([3.0, 3.0], rel=1e-12)


def test_half_duplex_shares_the_airtime():
    # u / 10 + d / 5 <= 1 with equal rates r: r (0.1 + 0.2) = 1, r = 10/3 B/s.
    # The upload (10 B) ends at 3 s; the download (20 B) has 10 left, alone at 5 B/s: 5 s.
    case = Case(
        math.inf,
        math.inf,
        (Client(10.0, 5.0, half_duplex=True),),
        (Message(0, True, 0.0, 10.0), Message(0, False, 0.0, 20.0)),
    )
    assert simulate(PathNetwork, case) == pytest.approx([3.0, 5.0], rel=1e-12)
    # Full duplex: 10 B at 10 B/s, 20 B at 5 B/s.
    full = Case(math.inf, math.inf, (Client(10.0, 5.0),), case.messages)
    assert simulate(PathNetwork, full) == pytest.approx([1.0, 4.0], rel=1e-12)


def test_half_duplex_leaves_to_one_direction_what_the_server_denies_the_other():
    # Ingress 1 B/s: the upload takes 1/10 of the airtime, 9/10 is left to the download: 9 B/s.
    # The download (18 B) ends at 2 s, the upload (3 B) at 3 s.
    case = Case(
        1.0,
        math.inf,
        (Client(10.0, 10.0, half_duplex=True),),
        (Message(0, True, 0.0, 3.0), Message(0, False, 0.0, 18.0)),
    )
    assert simulate(PathNetwork, case) == pytest.approx([3.0, 2.0], rel=1e-12)


def test_an_unlimited_direction_takes_no_airtime():
    # u / inf + d / 5 <= 1: the upload is over at once, the download takes 10 / 5 s.
    case = Case(
        math.inf,
        math.inf,
        (Client(math.inf, 5.0, half_duplex=True),),
        (Message(0, True, 0.0, 1e9), Message(0, False, 0.0, 10.0)),
    )
    assert simulate(PathNetwork, case) == pytest.approx([0.0, 2.0], rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(cases(half_duplex=True))
def test_the_star_agrees_with_the_oracle(case):
    assert simulate(PathNetwork, case) == pytest.approx(expected(case), rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([1.0, 2.0, 5.0, math.inf]) | st.floats(0.1, 20.0), min_size=1, max_size=6),
    st.data(),
)
def test_any_paths_agree_with_the_oracle(capacities, data):
    names = [str(number) for number in range(len(capacities))]
    transfers = data.draw(
        st.lists(
            st.builds(
                progressive_filling.Transfer,
                st.sampled_from([0.0, 1.0]) | st.floats(0.0, 20.0),
                st.sampled_from([1.0, 4.0]) | st.floats(0.01, 100.0),
                st.dictionaries(st.sampled_from(names), st.sampled_from([1.0, 1.0, 2.0, 0.3]), min_size=1),
            ),
            min_size=1,
            max_size=10,
        )
    )
    env = Environment()
    network = PathNetwork(env)
    links = {name: Link(capacity) for name, capacity in zip(names, capacities, strict=True)}
    ends = [math.nan] * len(transfers)

    def process(index, transfer):
        yield env.timeout(transfer.start)
        path = [Hop(links[name], weight) for name, weight in transfer.weights.items()]
        ends[index] = yield send(network, path, transfer.size)

    for index, transfer in enumerate(transfers):
        env.process(process(index, transfer))
    env.run()
    assert ends == pytest.approx(
        progressive_filling.arrival_times(transfers, dict(zip(names, capacities, strict=True))), rel=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(cases(half_duplex=True))
def test_twice_the_bytes_at_twice_the_capacity_take_as_long(case):
    assert simulate(PathNetwork, scaled(case, 2.0)) == pytest.approx(simulate(PathNetwork, case), rel=1e-12)
