"""Replay: what-ifs by hand, and that it is the event simulation wherever no link is shared."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.engine.timeline import Kind, Timeline
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.replay.conditions import PER_CLIENT, Variants
from parasim_core.sim.replay.occupancy import messages_follow_one_another
from parasim_core.sim.replay.replay import Recording, record, replay
from parasim_core.sim.scenario.scenario import Scenario
from tests.sim.runs import rotating, simulated
from tests.sim.whatifs import scenarios

BASE: dict[str, Any] = {
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "fleet": [{"uplink": "100MB/s"}, {"uplink": "100MB/s"}],
    "rounds": 4,
}


def recorded(*, each_client: bool = False, **fields: Any) -> Recording:
    scenario = Scenario.parse(BASE | fields)
    return record(prepare(scenario, None), GivenSeconds(scenario, Fleet(scenario.fleet)), each_client=each_client)


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float64)


def column(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float64).T


def test_a_faster_link_of_one_client():
    # FedBCD, 4 rounds of 10 s, 4 uploads, 3 downloads of 1 s each: 47 s. Client 1 at 50 MB/s up: 4 s more. At
    # 25 MB/s both ways: 4 x 3 + 3 x 3 = 21 s more.
    run = recorded(method="fedbcd")
    links = np.array([[100e6, 100e6], [100e6, 50e6]])
    assert run.replay(Variants(uplink=links)).wall_clock == pytest.approx([47, 51])
    slow = row(100e6, 25e6)
    assert run.replay(Variants(uplink=slow, downlink=slow)).wall_clock == pytest.approx([68])


def test_speed_latency_sizes_and_the_servers_work():
    run = recorded(method="fedbcd")
    # 40 s of computing; 7 transfers of 1 s: 4 up, 3 down; 4 aggregations.
    assert run.replay(Variants(speed=column(2.0, 0.5))).wall_clock == pytest.approx([27, 87])
    assert run.replay(Variants(latency=column(0.0, 0.5))).wall_clock == pytest.approx([47, 50.5])
    assert run.replay(Variants(upload_size=column(3.0))).wall_clock == pytest.approx([55])
    assert run.replay(Variants(download_size=column(3.0))).wall_clock == pytest.approx([53])
    assert run.replay(Variants(serialization=column(2.0))).wall_clock == pytest.approx([61])
    assert run.replay(Variants(aggregation=column(2.0))).wall_clock == pytest.approx([55])


def test_parablock_turns_from_computing_to_its_links():
    # 4 rounds: C + 3 max(C, 2 b) + b with C = 10 and b = 1, 5, 10 s.
    run = recorded(fleet=[{"uplink": "100MB/s"}])
    links = column(100e6, 20e6, 10e6)
    assert run.replay(Variants(uplink=links, downlink=links)).wall_clock == pytest.approx([41, 45, 80])


def test_the_serial_part_scales_with_the_speed():
    # 2 s of each computation cannot overlap: C + 3 max(C, 2 b + o) + b with b = 10; at half the speed C = 20, o = 4.
    run = recorded(fleet=[{"uplink": "10MB/s"}], compute={"seconds": 10, "non_overlapping": 2})
    assert run.replay(Variants(speed=column(1.0, 0.5))).wall_clock == pytest.approx([10 + 66 + 10, 20 + 72 + 10])


def test_a_server_that_all_together_could_fill_is_looked_at_moment_by_moment():
    # Ingress 150 MB/s, two clients of 100 MB/s that end computing at 10 and 12 s: their uploads of 1 s never meet.
    # If client 1 is as fast as client 0, they do: 2 x 100 MB at 150 MB/s take 4/3 s.
    run = recorded(method="fedbcd", rounds=1, server={"ingress": "150MB/s"}, compute={"seconds": [10, 12]})
    answers = run.answer(Variants(speed=np.array([[1.0, 1.0], [1.0, 1.2]])))
    assert answers.replayed.tolist() == [True, False]
    assert answers.wall_clock == pytest.approx([13, 10 + 4 / 3])


def test_a_transfer_that_is_alone_on_a_slower_server_link_is_replayed():
    # One client of 100 MB/s behind an egress of 50 MB/s, alone: downloads take 2 s.
    run = recorded(method="fedbcd", rounds=2, fleet=[{"uplink": "100MB/s"}], server={"egress": "50MB/s"})
    answers = run.answer(Variants(egress=column(50e6, 25e6, 200e6, np.inf)))
    assert answers.replayed.all()
    assert answers.wall_clock == pytest.approx([24, 26, 23, 23])


def test_an_estimate_keeps_the_shares_of_the_servers_link():
    # Two clients share 100 MB/s: uploads of 2 s at 50 MB/s each. Twice the ingress: each its own 100 MB/s, 1 s.
    # Twice the uplinks change nothing, and the estimate knows it.
    run = recorded(method="fedbcd", rounds=1, server={"ingress": "100MB/s"})
    assert run.estimate(Variants(ingress=column(100e6, 200e6))) == pytest.approx([12, 11])
    assert run.estimate(Variants(uplink=column(200e6))) == pytest.approx([12])


def test_messages_that_share_their_clients_link_are_noticed():
    timeline = Timeline()
    timeline.record(0, 0, Kind.UPLOAD, 0.0, 2.0)
    timeline.record(1, 0, Kind.UPLOAD, 1.0, 3.0)
    timeline.record(0, 0, Kind.DOWNLOAD, 2.0, 4.0)
    assert messages_follow_one_another(timeline.spans)
    timeline.record(0, 1, Kind.UPLOAD, 3.0, 5.0)
    assert not messages_follow_one_another(timeline.spans)
    shared = replace(recorded(), one_at_a_time=False)
    assert not shared.replay(Variants(uplink=column(1e8, 2e8))).replayed.any()


def test_alike_clients_are_one_column_unless_each_is_asked_for():
    fleet = [{"count": 3, "uplink": "100MB/s"}, {"count": 2, "uplink": "50MB/s"}]
    assert recorded(fleet=fleet).sites == (0, 3)
    each = recorded(fleet=fleet, each_client=True, method="fedbcd", rounds=1)
    assert each.sites == (0, 1, 2, 3, 4)
    # Client 2's upload at 10 MB/s takes 10 s, those of the second group 2 s.
    assert each.replay(Variants(uplink=row(1e8, 1e8, 1e7, 5e7, 5e7))).wall_clock == pytest.approx([20])


def test_a_stream_of_chunks_gives_the_same_answers_on_any_number_of_workers():
    run = recorded(server={"egress": "150MB/s"}, rounds=2)
    speeds = np.linspace(0.5, 2.0, 40)[:, None] * np.array([[1.0, 1.3]])

    def chunks():
        yield from Variants(speed=speeds).split(17)

    alone = list(replay(run, chunks(), jobs=1))
    together = list(replay(run, chunks(), jobs=2))
    assert [len(answers.wall_clock) for answers in alone] == [17, 17, 6]
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.wall_clock, other.wall_clock)
        assert np.array_equal(one.replayed, other.replayed)
    assert not np.concatenate([answers.replayed for answers in alone]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "changes something"),
        ({"uplinks": np.ones((1, 1))}, "did you mean 'uplink'"),
        ({"uplink": np.array([1e6])}, r"uplink: has shape \(1,\); it must be \(what-ifs or 1, sites or 1\)"),
        ({"ingress": np.ones((2, 2))}, r"ingress: has shape \(2, 2\)"),
        ({"uplink": np.ones((2, 1)), "speed": np.ones((3, 1))}, "different numbers of what-ifs"),
        ({"uplink": row(0.0)}, r"uplink: 0.0 is not positive"),
        ({"latency": row(-1.0)}, r"latency: -1.0 is not zero or positive"),
        ({"speed": row(np.nan)}, "speed: nan"),
        ({"uplink": row(np.inf)}, "uplink: inf"),
    ],
)
def test_what_cannot_be_asked_is_refused(fields, message):
    with pytest.raises(ScenarioError, match=message):
        Variants(**fields)


def test_columns_must_be_those_of_the_run():
    with pytest.raises(ScenarioError, match="uplink: has 3 columns"):
        recorded().answer(Variants(uplink=row(1e6, 1e6, 1e6)))


def drawn_variants(seed: int, sites: int, *, server: bool) -> Variants:
    """Three what-ifs in which everything changes, each client by itself."""
    draws = np.random.default_rng(seed)

    def factors(columns: int) -> np.ndarray:
        return np.exp(draws.uniform(-2, 2, size=(3, columns)))

    return Variants(
        uplink=1e8 * factors(sites),
        downlink=1e8 * factors(sites),
        latency=draws.uniform(0, 2, size=(3, sites)),
        speed=factors(sites),
        upload_size=factors(1),
        download_size=factors(1),
        serialization=factors(1),
        aggregation=factors(1),
        **({"ingress": 1e8 * factors(1), "egress": 1e8 * factors(1)} if server else {}),
    )


@settings(max_examples=150, deadline=None)
@given(fields=scenarios(), seed=st.integers(0, 10**6))
def test_without_contention_replay_is_the_event_simulation(fields, seed):
    # Every method, staleness, list of participants, schedule (the extra pass included) and duplex: the graph that
    # was recorded under some conditions gives the wall-clock under quite different ones.
    run = recorded(**fields)
    variants = drawn_variants(seed, len(run.sites), server=False)
    answers = run.replay(variants)
    assert answers.replayed.all()
    events = [run.simulate(variants, which).wall_clock for which in range(3)]
    assert answers.wall_clock == pytest.approx(events, rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(fields=scenarios(server=True), seed=st.integers(0, 10**6))
def test_where_a_replay_says_that_it_is_exact_it_is(fields, seed):
    run = recorded(**fields)
    variants = drawn_variants(seed, len(run.sites), server=True)
    answers = run.replay(variants)
    events = np.array([run.simulate(variants, which).wall_clock for which in range(3)])
    assert answers.wall_clock[answers.replayed] == pytest.approx(events[answers.replayed], rel=1e-9)
    # And where it is not, transfers get less than it took for granted.
    assert np.all(answers.wall_clock <= events * (1 + 1e-9))


@settings(max_examples=60, deadline=None)
@given(
    fields=scenarios() | scenarios(server=True),
    counts=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    seed=st.integers(0, 10**6),
)
def test_alike_clients_replayed_once_are_like_each_by_itself(fields, counts, seed):
    fields |= {"participation": {}, "compute": {"seconds": 7, "non_overlapping": 2}}
    fields["fleet"] = [group | {"count": count} for group, count in zip(fields["fleet"], counts, strict=False)]
    once, each = recorded(**fields), recorded(**fields, each_client=True)
    variants = drawn_variants(seed, len(once.sites), server="ingress" in fields["server"])
    answers = once.answer(variants)
    column_of = [int(np.searchsorted(once.sites, client, side="right")) - 1 for client in each.sites]
    spread = {
        name: values[:, column_of] if name in PER_CLIENT and values.shape[1] > 1 else values
        for name, values in variants.given.items()
    }
    assert answers.wall_clock == pytest.approx(each.answer(Variants(**spread)).wall_clock, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(fields=scenarios(server=True), factor=st.floats(0.2, 5))
def test_a_what_if_is_the_scenario_with_those_fields(fields, factor):
    # The event simulation of a what-if is that of a scenario in which the same is written.
    run = recorded(**fields)
    variants = Variants(
        uplink=run.conditions.uplink * np.array([[factor, *[1.0] * (len(run.sites) - 1)]]),
        speed=run.conditions.speed * factor,
        latency=run.conditions.latency + 0.1,
    )
    changed = [
        group.model_copy(update={"speed": group.speed * factor, "latency": group.latency + 0.1})
        for group in run.setup.scenario.fleet
    ]
    first = run.sites[0]
    changed[first] = changed[first].model_copy(update={"uplink": changed[first].uplink * factor})
    written = [group.model_dump(mode="json") for group in changed]
    assert run.simulate(variants).wall_clock == pytest.approx(
        simulated(**fields | {"fleet": written, "blocks": fields["blocks"] | {"gradient_pass": 3.0}}).wall_clock,
        rel=1e-9,
    )


@settings(max_examples=60, deadline=None)
@given(fields=scenarios(), factor=st.floats(0.1, 10))
def test_scaling_laws(fields, factor):
    run = recorded(**fields)
    # Twice the bytes at twice the bandwidth take the same time.
    larger = column(factor)
    same = Variants(
        uplink=run.conditions.uplink * factor,
        downlink=run.conditions.downlink * factor,
        upload_size=larger,
        download_size=larger,
    )
    assert run.replay(same).wall_clock == pytest.approx([run.result.wall_clock], rel=1e-9)
    # Everything twice as fast takes half the time.
    faster = Variants(
        uplink=run.conditions.uplink * factor,
        downlink=run.conditions.downlink * factor,
        speed=run.conditions.speed * factor,
        latency=run.conditions.latency / factor,
        serialization=column(run.setup.scenario.wire.serialization / factor),
        aggregation=column(run.setup.scenario.server.aggregation / factor),
    )
    assert run.replay(faster).wall_clock == pytest.approx([run.result.wall_clock / factor], rel=1e-9)
    # More bandwidth never slows a run on links that nobody shares.
    assert run.replay(Variants(uplink=run.conditions.uplink * (1 + factor))).wall_clock[0] <= run.result.wall_clock * (
        1 + 1e-9
    )


def test_a_long_run_keeps_few_vectors():
    # 40 rounds of 6 clients in cohorts of 2 take no more vectors at a time than 10 rounds.
    def vectors(rounds: int) -> int:
        fleet = [{"uplink": f"{10 + client}MB/s"} for client in range(6)]
        program = recorded(
            fleet=fleet,
            rounds=rounds,
            participation={"rounds": rotating(6, 2, rounds)},
            blocks={"count": 4, "schedule": "sequential"},
        ).program
        return max(accumulate(1 - len(unused) for unused in program.last_uses))

    assert vectors(40) <= vectors(10) + 6
