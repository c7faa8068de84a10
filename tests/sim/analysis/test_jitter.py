"""Random runs: distributions, streams of their own, and equality of replayed and simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.analysis.jitter import Draws, Jitters, factors, simulate_drawn
from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.replay.replay import Recording, record
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.uncertainty import Jitter
from tests.sim.whatifs import scenarios

LOGNORMAL = {"sigma": 0.2}


def recorded(**fields: Any) -> Recording:
    data = {
        "method": "fedbcd",
        "rounds": 3,
        "compute": {"seconds": 10},
        "payload": {"upload": "100MB"},
        "fleet": [{"count": 2}, {"name": "b", "count": 3}],
    } | fields
    scenario = Scenario.parse(data)
    return record(prepare(scenario, None), GivenSeconds(scenario, Fleet(scenario.fleet)), each_client=True)


def test_distributions_have_their_moments():
    random = np.random.default_rng(0)
    n = (100_000,)
    # Lognormal: the logarithm has mean 0 and deviation sigma; standard errors are 0.0006 and 0.0004 here.
    logs = np.log(factors(Jitter(sigma=0.2), random, n))
    assert logs.mean() == pytest.approx(0, abs=0.004)
    assert logs.std() == pytest.approx(0.2, abs=0.004)
    # Uniform: (low + high) / 2. Triangular: (low + mode + high) / 3. Observed: the mean of the values.
    assert factors(Jitter(distribution="uniform", low=0.5, high=1), random, n).mean() == pytest.approx(0.75, abs=0.004)
    triangular = factors(Jitter(distribution="triangular", low=0.4, mode=0.9, high=1.1), random, n)
    assert triangular.mean() == pytest.approx(0.8, abs=0.004)
    observed = factors(Jitter(distribution="observed", values=(1, 2, 2, 5)), random, n)
    assert observed.mean() == pytest.approx(2.5, abs=0.04)
    assert set(observed) == {1.0, 2.0, 5.0}


def test_draws_do_not_depend_on_their_portions():
    fleet = [
        {"count": 2, "speed_jitter": LOGNORMAL, "uplink_jitter": {"distribution": "observed", "values": [1, 2, 3]}}
    ]
    whole = Jitters(recorded(fleet=fleet)).draw(100).variants
    source = Jitters(recorded(fleet=fleet))
    parts = [source.draw(size).variants for size in (1, 30, 69)]
    for name in ("speed", "uplink"):
        assert np.array_equal(whole.given[name], np.concatenate([part.given[name] for part in parts]))


def test_traces_of_many_runs_begin_anywhere(tmp_path: Path):
    (tmp_path / "trace.csv").write_text("seconds,rate_MB_s\n0,1\n1,2\n")
    link = {"trace": str(tmp_path / "trace.csv"), "start": "random"}
    drawn = Jitters(recorded(fleet=[{"uplink": link, "speed_jitter": LOGNORMAL}])).draw(1000)
    # Of 2^63 seeds two of a thousand are the same once in 10^13 times.
    assert drawn.starts is not None
    assert len(set(drawn.starts)) == 1000


def test_jitter_of_one_thing_shifts_no_draw_of_another():
    one = [{"count": 2, "speed_jitter": LOGNORMAL}, {"count": 3}]
    more = [
        {"count": 2, "speed_jitter": LOGNORMAL, "uplink_jitter": LOGNORMAL},
        {"count": 3, "speed_jitter": LOGNORMAL},
    ]
    before, after = (Jitters(recorded(fleet=fleet)).draw(9).variants for fleet in (one, more))
    assert np.array_equal(before.given["speed"][:, :2], after.given["speed"][:, :2])
    assert not np.array_equal(before.given["speed"][:, 2:], after.given["speed"][:, 2:])
    assert np.array_equal(before.given["uplink"][:, 2:], after.given["uplink"][:, 2:])


def test_who_takes_part_shifts_no_draw():
    fleet = [{"count": 5, "speed_jitter": LOGNORMAL}]
    everyone = Jitters(recorded(fleet=fleet)).draw(4).variants.given["speed"]
    some = Jitters(recorded(fleet=fleet, participation={"rounds": [[1, 4]] * 3})).draw(4).variants.given["speed"]
    assert np.array_equal(some, everyone[:, [1, 4]])


def test_a_group_may_share_its_luck():
    draws = Jitters(recorded(fleet=[{"count": 3, "downlink_jitter": LOGNORMAL | {"each": "group"}}])).draw(5).variants
    assert np.array_equal(draws.given["downlink"][:, :1].repeat(3, axis=1), draws.given["downlink"])
    assert len(set(draws.given["downlink"][:, 0])) == 5


def test_a_speed_that_changes_by_the_round():
    # FedBCD, one client, 3 rounds of 10 s over the round's factor, 3 uploads and 2 downloads of 1 s.
    recording = recorded(fleet=[{"speed_jitter": LOGNORMAL | {"per": "round"}}])
    source = Jitters(recording)
    assert source.by_round
    draws = source.draw(3)
    assert draws.by_round is not None
    assert draws.by_round.shape == (3, 3, 1)
    for run in range(3):
        assert simulate_drawn(recording, draws, run) == pytest.approx((10 / draws.by_round[run]).sum() + 5, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(scenarios(), st.sampled_from(["client", "group"]))
def test_replayed_and_simulated_runs_are_equal(data: dict[str, Any], each: str):
    for group in data["fleet"]:
        for name in ("speed_jitter", "uplink_jitter", "downlink_jitter"):
            group[name] = {"sigma": 0.3, "each": each}
    scenario = Scenario.parse(data)
    recording = record(prepare(scenario, None), GivenSeconds(scenario, Fleet(scenario.fleet)), each_client=True)
    draws = Jitters(recording).draw(3)
    answers = recording.replay(draws.variants)
    assert answers.replayed.all()
    for run in range(3):
        assert simulate_drawn(recording, Draws(draws.variants, None), run) == pytest.approx(
            answers.wall_clock[run], rel=1e-9
        )
