"""Half-duplex clients in a tree: progressive filling is the slow, obviously right twin."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from simpy import Environment

import parasim
import parasim_core.sim.network
import parasim_core.sim.network.filling
import parasim_core.sim.network.general
from parasim_core.sim.network import HalfDuplexTree, PathNetwork
from tests.sim.network.star_cases import Case, Client, Message, cases, expected, run, simulate, trees

HALF = Client(10.0, 5.0, half_duplex=True)


def test_a_client_that_only_sends_or_only_receives_is_limited_by_that_link_alone():
    # 20 B at 10 B/s, then 20 B at 5 B/s.
    case = Case(math.inf, math.inf, (HALF,), (Message(0, True, 0.0, 20.0), Message(0, False, 2.0, 20.0)))
    assert simulate(HalfDuplexTree, case) == pytest.approx([2.0, 6.0], rel=1e-12)


def test_what_is_under_way_moves_over_when_two_directions_meet():
    # 10 B are left after 1 s. Then r / 10 + r / 5 = 1: both at 10/3 B/s for 3 s, which is 10 B; the other 10 B in 2 s.
    case = Case(math.inf, math.inf, (HALF,), (Message(0, True, 0.0, 20.0), Message(0, False, 1.0, 20.0)))
    assert simulate(HalfDuplexTree, case) == pytest.approx([4.0, 6.0], rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(cases(half_duplex=True))
def test_the_star_agrees_with_the_oracle(case: Case):
    assert simulate(HalfDuplexTree, case) == pytest.approx(expected(case), rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(trees(half_duplex=True))
def test_trees_with_cancelled_messages_and_changing_links_agree_with_progressive_filling(case: Case):
    for (end, delivered, _), (other_end, other_delivered, _) in zip(
        run(HalfDuplexTree, case), run(PathNetwork, case), strict=True
    ):
        assert end == pytest.approx(other_end, rel=1e-9, nan_ok=True)
        assert delivered == pytest.approx(other_delivered, rel=1e-9, abs=1e-9, nan_ok=True)


FLEET: dict[str, Any] = {
    "rounds": 3,
    "compute": {"seconds": 5},
    "payload": {"upload": "10MB"},
    "fleet": [{"uplink": f"{1 + n % 7}MB/s", "speed": 1 + n / 40, "duplex": "half"} for n in range(40)],
}


@pytest.mark.parametrize("server", [{}, {"ingress": "60MB/s", "egress": "90MB/s"}])
@pytest.mark.parametrize("method", ["parablock", "fedbcd", "fedbuff", "fedcybgd"])
def test_large_fleets_are_not_filled_progressively(
    monkeypatch: pytest.MonkeyPatch, method: str, server: dict[str, str]
):
    scenario = {**FLEET, "method": method, "server": server}
    filled = parasim.simulate(scenario)
    monkeypatch.setattr(parasim_core.sim.network, "MOST_FILLED", 0)

    def fill(*_: object) -> None:
        raise AssertionError("no client sends and receives at once: rates are the tree's")

    monkeypatch.setattr(parasim_core.sim.network.general, "max_min_rates", fill)
    fast = parasim.simulate(scenario)
    assert fast.wall_clock == pytest.approx(filled.wall_clock, rel=1e-9)
    assert fast.figures() == pytest.approx(filled.figures(), rel=1e-9, abs=1e-9)


def test_what_joins_after_the_two_directions_met_is_filled_too():
    env = Environment()
    network = HalfDuplexTree(env, 8.0, 8.0)
    first = network.attach(10.0, 5.0, half_duplex=True)
    network.upload(first, 20.0)
    network.download(first, 20.0)
    env.run(until=1.0)
    assert network.filling is not None
    site = network.shared(1.0, 1.0)
    second = network.attach(10.0, 5.0, above=site)
    # 1 B/s of its site: 2 B in 2 s.
    assert env.run(until=network.upload(second, 2.0)) == pytest.approx(3.0, rel=1e-12)
