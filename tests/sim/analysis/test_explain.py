"""Explanations: the bottleneck is named, and what is claimed of a change is what happens when it is made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from parasim_core.sim.analysis.critical_path import Holder
from parasim_core.sim.analysis.explain import Change, Claim, Explanation, Lever, explain, named
from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.engine.timeline import SERVER
from parasim_core.sim.scenario.scenario import Scenario
from tests.sim.runs import simulated
from tests.sim.whatifs import scenarios


def explained(**fields: Any) -> Explanation:
    base = {"compute": {"seconds": 10}, "payload": {"upload": "100MB"}, "rounds": 4}
    scenario = Scenario.parse(base | fields)
    return explain(prepare(scenario, None), GivenSeconds(scenario, Fleet(scenario.fleet)))


def claim(explanation: Explanation, lever: Lever, *groups: int) -> Claim:
    [found] = [claim for claim in explanation.claims if claim.change == Change(lever, groups)]
    return found


def test_a_slow_uplink_is_named_and_what_doubling_it_saves():
    # FedBCD, 1 round: 10 s of computing, then uploads of 1 s and, of client 1, 100 s. Doubled: 50 s less.
    why = explained(method="fedbcd", rounds=1, fleet=[{"uplink": "100MB/s"}, {"uplink": "1MB/s"}])
    assert [(share.holder, share.group) for share in why.shares] == [(Holder.UPLINK, 1), (Holder.COMPUTING, 1)]
    assert [share.seconds for share in why.shares] == pytest.approx([100, 10])
    assert named(why.shares, Holder.UPLINK) == (1,)
    best = why.claims[0]
    assert (best.change, best.exact) == (Change(Lever.UPLINK), True)
    alone = claim(why, Lever.UPLINK, 1)
    assert (alone.predicted, alone.simulated, alone.saves) == pytest.approx((60, 60, 50))
    assert claim(why, Lever.DOWNLINK).saves == 0
    assert claim(why, Lever.SPEED).saves == pytest.approx(5)
    assert why.slack == pytest.approx((99, 0))


def test_both_links_of_the_same_clients_are_one_change():
    # Two rounds: 10 + 10 s up, 10 s down, 2 x 10 s computing; both links doubled: 15 s less.
    fleet = [{"uplink": "100MB/s"}, {"uplink": "10MB/s"}]
    why = explained(method="fedbcd", rounds=2, fleet=fleet)
    assert claim(why, Lever.LINKS, 1).saves == pytest.approx(15)
    assert Change(Lever.UPLINK, (1,)) not in {claim.change for claim in why.claims}


def test_bringing_stragglers_to_the_median():
    # Speeds 1, 1, 0.25: rounds of 40 s become rounds of 10 s.
    fleet = [{"count": 2, "uplink": "100MB/s"}, {"uplink": "100MB/s", "speed": 0.25}]
    why = explained(method="fedbcd", rounds=3, fleet=fleet)
    assert why.claims[0].change == Change(Lever.STRAGGLERS, (1,))
    assert why.claims[0].saves == pytest.approx(90)


def test_a_shared_server_link_is_tried_and_its_prediction_is_an_estimate():
    # 4 clients of 100 MB/s behind 100 MB/s: uploads of 4 s at 25 MB/s each. Doubled: 2 s, in each of 2 rounds.
    fleet = [{"uplink": "100MB/s"}] * 4
    why = explained(method="fedbcd", rounds=2, fleet=fleet, server={"ingress": "100MB/s"})
    assert why.holders()[Holder.INGRESS] == pytest.approx(6)
    ingress = claim(why, Lever.INGRESS)
    assert (ingress.predicted, ingress.simulated, ingress.saves) == pytest.approx((25, 25, 4))
    assert not ingress.exact
    # More uplink does not help, and the estimate knows it.
    uplink = claim(why, Lever.UPLINK)
    assert (uplink.predicted, uplink.saves) == pytest.approx((29, 0))
    # Alike clients always get equal shares, which is exact again.
    alike = explained(method="fedbcd", rounds=2, fleet=[{"count": 4}], server={"ingress": "100MB/s"})
    assert claim(alike, Lever.INGRESS) == Claim(Change(Lever.INGRESS), 25.0, True, 25.0, 4.0)


def test_latency_packing_and_aggregation_are_tried_where_they_matter():
    # Per round: 10 s, packing 2, latency 1, upload 1, aggregation 3; one download: latency 1, 1 s, unpacking 2.
    why = explained(
        method="fedbcd",
        rounds=2,
        fleet=[{"latency": "1s"}],
        wire={"serialization": "2s"},
        server={"aggregation": "3s"},
    )
    assert why.result.wall_clock == pytest.approx(38)
    saves = {lever: claim(why, lever).saves for lever in (Lever.LATENCY, Lever.SERIALIZATION, Lever.AGGREGATION)}
    assert saves == pytest.approx({Lever.LATENCY: 1.5, Lever.SERIALIZATION: 3, Lever.AGGREGATION: 3})
    free = explained(method="fedbcd", rounds=2)
    assert {claim.change.lever for claim in free.claims} == {Lever.SPEED, Lever.UPLINK, Lever.DOWNLINK}


def test_clients_that_never_take_part_have_no_slack_to_speak_of():
    why = explained(method="fedbcd", rounds=1, fleet=[{}, {}], participation={"rounds": [[0]]})
    assert why.slack == (0.0, float("inf"))


@settings(max_examples=40, deadline=None)
@given(fields=scenarios() | scenarios(server=True))
def test_claims_hold(fields):
    why = explained(**fields)
    wall_clock = why.result.wall_clock
    assert sum(share.seconds for share in why.shares) == pytest.approx(wall_clock, rel=1e-9)
    assert {share.group for share in why.shares} <= {SERVER, *range(len(fields["fleet"]))}
    assert [claim.saves for claim in why.claims] == sorted((claim.saves for claim in why.claims), reverse=True)
    for one in why.claims:
        assert one.saves == wall_clock - one.simulated
        if one.exact:
            assert one.predicted == pytest.approx(one.simulated, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(fields=scenarios(server=True))
def test_a_claim_is_what_the_changed_scenario_takes(fields):
    # Twice the speed, written into the scenario: every compute time halves, the extra pass included.
    why = explained(**fields)
    group_speed = [{**group, "speed": 2 * group["speed"]} for group in fields["fleet"]]
    assert claim(why, Lever.SPEED).simulated == pytest.approx(
        simulated(**fields | {"fleet": group_speed}).wall_clock, rel=1e-9
    )
