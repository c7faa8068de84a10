"""Inputs and their bands, as what-ifs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from parasim_core.sim.analysis.inputs import Inputs
from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.replay.replay import record
from parasim_core.sim.scenario.scenario import Scenario
from tests.sim.whatifs import scenarios


def inputs_of(data: dict[str, Any]) -> Inputs:
    scenario = Scenario.parse(data)
    return Inputs.of(record(prepare(scenario, None), GivenSeconds(scenario, Fleet(scenario.fleet))))


# FedBCD: C + 2 uploads + 1 download for 2 rounds: 20 s, 2 x 1 s, 0.5 s.
PLAIN = {
    "method": "fedbcd",
    "rounds": 2,
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "fleet": [{"count": 2, "uplink": "100MB/s", "downlink": "200MB/s"}],
    "uncertainty": {"uplink": 0.2, "downlink": 0.5, "speed": 0.1, "payload": 0.05},
}


def test_what_has_no_value_has_no_band():
    names = [one.name for one in inputs_of(PLAIN).inputs]
    assert names == ["speed", "payload", "uplink", "downlink"]
    assert [one.name for one in inputs_of(PLAIN | {"uncertainty": {"speed": 0, "payload": 0, "uplink": 0}}).inputs] == [
        "downlink"
    ]


def test_the_ends_by_hand():
    inputs = inputs_of(PLAIN)
    times = inputs.recording.replay(inputs.variants(inputs.ends())).wall_clock
    low = [20 / 0.9 + 2.5, 20 + 2.5 * 0.95, 20 + 2 / 0.8 + 0.5, 20 + 2 + 0.5 / 0.5]
    high = [20 / 1.1 + 2.5, 20 + 2.5 * 1.05, 20 + 2 / 1.2 + 0.5, 20 + 2 + 0.5 / 1.5]
    assert times == pytest.approx([*low, *high], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(scenarios())
def test_bars_contain_the_base(data: dict[str, Any]):
    # Nothing is contended, so more of a capacity never slows a run, and more seconds or bytes never speed it up.
    inputs = inputs_of(data)
    base = inputs.recording.result.wall_clock
    times = inputs.recording.replay(inputs.variants(inputs.ends())).wall_clock
    low, high = times[: len(inputs.inputs)], times[len(inputs.inputs) :]
    assert np.all(np.minimum(low, high) <= base * (1 + 1e-9))
    assert np.all(np.maximum(low, high) >= base * (1 - 1e-9))
    larger_is_faster = np.array([one.name in ("speed", "uplink", "downlink") for one in inputs.inputs])
    assert np.all((low >= high * (1 - 1e-9)) | ~larger_is_faster)
    assert np.all((low <= high * (1 + 1e-9)) | larger_is_faster)
