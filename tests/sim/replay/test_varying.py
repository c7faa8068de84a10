"""What-ifs of links that vary, are shared below the server or carry TCP: simulated, and the same as written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parasim.api import load, set_up
from parasim_core.sim.analysis.inputs import Inputs
from parasim_core.sim.analysis.jitter import Jitters, random_starts, simulate_drawn
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.replay.conditions import Variants
from parasim_core.sim.replay.replay import Recording, record

Fields = dict[str, Any]
STEPS: Fields = {"steps": [["0s", "4MB/s"], ["5s", "1MB/s"]], "period": "9s"}
BASE: Fields = {
    "method": "parablock",
    "rounds": 4,
    "fleet": [{"name": "a", "count": 3, "uplink": "3MB/s", "latency": "20ms"}, {"name": "b", "uplink": "7MB/s"}],
    "compute": {"seconds": 2},
    "payload": {"upload": "20MB", "download": "10MB"},
}


def with_links(first: Fields, **fields: Any) -> Fields:
    return BASE | {"fleet": [BASE["fleet"][0] | first, BASE["fleet"][1]]} | fields


SCENARIOS = {
    "steps": with_links({"uplink": STEPS}),
    "a site": with_links({"site": {"clients": 2, "uplink": "4MB/s"}}),
    "a region": with_links({"region": "eu"}, regions={"eu": {"uplink": "5MB/s", "latency": "30ms"}}),
    "an aggregator": with_links({"region": "eu"}, regions={"eu": {"uplink": "5MB/s", "aggregates": True}}),
    "TCP": with_links({"transport": {"loss": "0.1%"}}),
    "the server's links": with_links({}, server={"egress": STEPS}),
}


def recorded(fields: Fields) -> Recording:
    return record(*set_up(load(fields)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_they_are_not_replayed_and_say_why(name: str):
    recording = recorded(SCENARIOS[name])
    assert recording.not_replayable
    own = Variants(uplink=recording.conditions.uplink)
    answers = recording.answer(own)
    assert not answers.replayed.any()
    # Nothing changed, nothing differs: not even in the last bit.
    assert answers.wall_clock.tolist() == [recording.result.wall_clock]


def test_links_that_only_look_as_if_they_varied_are_replayed():
    assert not recorded(with_links({"uplink": {"steps": [["0s", "3MB/s"]], "period": "5s"}})).not_replayable


@pytest.mark.parametrize("name", SCENARIOS)
def test_messages_of_twice_the_size_are_those_of_a_payload_twice_as_large(name: str):
    changed = SCENARIOS[name] | {"payload": {"upload": "40MB", "download": "20MB"}}
    recording, two = recorded(SCENARIOS[name]), np.full((1, 1), 2.0)
    what_if = recording.simulate(Variants(upload_size=two, download_size=two))
    assert what_if.wall_clock == pytest.approx(simulate(*set_up(load(changed))).wall_clock, rel=1e-12)


def test_links_with_other_means_keep_their_course():
    twice = {"steps": [["0s", "8MB/s"], ["5s", "2MB/s"]], "period": "9s"}
    recording = recorded(SCENARIOS["steps"])
    # 5 s of 4 MB/s and 4 s of 1 MB/s.
    assert recording.conditions.uplink[0, 0] == pytest.approx(24e6 / 9)
    faster = recording.conditions.uplink * np.where(recording.groups == 0, 2.0, 1.0)
    expected = simulate(*set_up(load(with_links({"uplink": twice, "downlink": STEPS}))))
    assert recording.simulate(Variants(uplink=faster)).wall_clock == pytest.approx(expected.wall_clock, rel=1e-12)


def test_so_do_the_servers_links():
    twice = {"steps": [["0s", "8MB/s"], ["5s", "2MB/s"]], "period": "9s"}
    recording = recorded(SCENARIOS["the server's links"])
    what_if = recording.simulate(Variants(egress=recording.conditions.egress * 2))
    expected = simulate(*set_up(load(with_links({}, server={"egress": twice}))))
    assert what_if.wall_clock == pytest.approx(expected.wall_clock, rel=1e-12)


def test_inputs_of_links_that_vary_are_their_means():
    inputs = {(one.name, one.group): one.value for one in Inputs.of(recorded(SCENARIOS["steps"])).inputs}
    assert inputs["uplink", 0] == pytest.approx(24e6 / 9)
    assert inputs["uplink", 1] == 7e6


def test_random_runs_draw_anew_where_traces_begin(tmp_path: Path):
    (tmp_path / "t.csv").write_text("seconds,up_MB_s\n" + "".join(f"{10 * s},{s % 5 + 1}\n" for s in range(40)))
    fields = with_links({"uplink": {"trace": str(tmp_path / "t.csv"), "start": "random"}})
    recording = recorded(fields)
    assert random_starts(recording.setup.scenario)
    assert not random_starts(load(BASE))
    draws = Jitters(recording).draw(8)
    times = [simulate_drawn(recording, draws, run) for run in range(8)]
    assert len(set(times)) == 8
    # The same again: every run has a seed of its own, however many are drawn at a time.
    assert times[3] == simulate_drawn(recording, draws, 3)
    source = Jitters(recording)
    assert [simulate_drawn(recording, source.draw(1)) for _ in range(3)] == times[:3]


def test_jitter_scales_what_varies():
    fields = with_links({"uplink": STEPS, "uplink_jitter": {"distribution": "observed", "values": [0.5]}})
    recording = recorded(fields)
    drawn = simulate_drawn(recording, Jitters(recording).draw(1))
    half = {"steps": [["0s", "2MB/s"], ["5s", "0.5MB/s"]], "period": "9s"}
    expected = simulate(*set_up(load(with_links({"uplink": half, "downlink": STEPS}))))
    assert drawn == pytest.approx(expected.wall_clock, rel=1e-12)
