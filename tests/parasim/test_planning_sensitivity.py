"""`paraSim plan --sensitivity`: bars by hand, and Sobol indices of runs whose variance is known."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import parasim
from parasim.planning.answer import Plan
from parasim.planning.risk import sobol
from parasim_core.sim.replay.conditions import Floats
from tests.parasim.command_line import refused, run

# FedBCD, 2 rounds of 10 s; 2 uploads and a download of 1 s: a sum, in which no two inputs meet.
ADDITIVE: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "fleet": [{"count": 2, "uplink": "100MB/s", "latency": "1s"}],
    "server": {"aggregation": "2s"},
    "uncertainty": {"payload": 0, "downlink": 0, "uplink": 0.2, "latency": 0.5, "speed": 0.1, "aggregation": 0.5},
}


def sensitivity(source: Any, overrides: list[str], methods: list[str], jobs: int) -> Plan:
    return parasim.plan(source, overrides, method=methods or None, sensitivity=True, jobs=jobs)


def test_bars_by_hand():
    plan = sensitivity(ADDITIVE, [], [], jobs=1)
    widths = {answer.more["input"]: answer.value for answer in plan.answers}
    # 20 (1/0.9 - 1/1.1); 2 (1/0.8 - 1/1.2); latency 3 transfers x (1.5 - 0.5) s; aggregation 2 x (3 - 1) s.
    by_hand = {
        "computing speed": 20 / 0.9 - 20 / 1.1,
        "aggregation": 4.0,
        "latency": 3.0,
        "uplink": 2 / 0.8 - 2 / 1.2,
    }
    assert widths == {name: pytest.approx(width, rel=1e-12) for name, width in by_hand.items()}
    assert list(widths) == list(by_hand)
    assert all(check.holds for answer in plan.answers for check in answer.checked)


def test_checks_are_at_the_ends_of_the_band_in_the_inputs_own_unit():
    answers = {answer.more["input"]: answer for answer in sensitivity(ADDITIVE, [], [], jobs=1).answers}
    by_hand = {
        "uplink": ("B/s", [80e6, 120e6]),
        "latency": ("s", [0.5, 1.5]),
        "aggregation": ("s", [1.0, 3.0]),
        "computing speed": ("", [0.9, 1.1]),
    }
    for name, (unit, band) in by_hand.items():
        answer = answers[name]
        assert answer.more["input_unit"] == unit
        assert [check.value for check in answer.checked] == answer.more["band"] == pytest.approx(band, rel=1e-12)
        assert answer.unit == "s"
        assert answer.value == abs(answer.checked[0].wall_clock_s - answer.checked[1].wall_clock_s)
        assert answer.more["value_is"].startswith("swing of the wall-clock")


def test_a_sample_that_ends_before_its_goal_is_said(monkeypatch: pytest.MonkeyPatch):
    # 512 x (4 inputs + 2) runs are 3072; twice as many are more than 5000.
    monkeypatch.setattr(sobol, "PRECISE", 0.0)
    monkeypatch.setattr(sobol, "MOST_RUNS", 5000)
    notes = " ".join(sensitivity(ADDITIVE, [], [], jobs=1).notes)
    assert "from 3,072 runs, by exact replay" in notes
    assert "not 0%: twice as many runs would be more than 5,000" in notes


def test_shares_of_a_sum_are_those_of_its_variances():
    # Of a uniform factor, the runtime's terms have variances width^2 / 12, nearly: 1/x is slightly curved.
    plan = sensitivity(ADDITIVE, [], [], jobs=1)
    variances = {answer.more["input"]: answer.value**2 for answer in plan.answers}
    for answer in plan.answers:
        share = variances[answer.more["input"]] / sum(variances.values())
        assert answer.more["first_order"] == pytest.approx(share, abs=0.03)
        assert answer.more["total"] == pytest.approx(share, abs=0.03)
    assert sum(answer.more["first_order"] for answer in plan.answers) == pytest.approx(1.0, abs=0.04)


def test_indices_of_a_product_have_an_interaction():
    # x y on [-1, 1]^2 has no first-order effects: 0 alone, and all of the variance with the other.
    def product(points: Floats) -> Floats:
        return points[:, 0] * points[:, 1]

    found = sobol.indices(product, [[-1, 1], [-1, 1], [0, 1]], seed=0)
    assert found.alone == pytest.approx([0, 0, 0], abs=0.05)
    assert found.total == pytest.approx([1, 1, 0], abs=0.05)


def test_indices_of_what_does_not_change_are_nothing():
    found = sobol.indices(lambda points: np.full(len(points), 7.0), [[0, 1], [0, 1]], seed=0)
    assert (found.alone.tolist(), found.deviation) == ([0, 0], 0.0)


def test_a_bar_that_does_nothing():
    # ParaBlock hides its downlink here: at either end of its band the run is as long.
    answers = {a.more["input"]: a for a in sensitivity("examples/paper.yaml", [], [], jobs=1).answers}
    assert answers["downlink"].value == 0
    assert answers["downlink"].because == "changes nothing"


def test_where_links_are_shared_the_ends_are_simulated_and_indices_estimated():
    # 12 clients, 1.25 GB/s together, on 400 MB/s: the server's egress holds every download up.
    plan = sensitivity("examples/planning.yaml", ["server.egress=400MB/s", "rounds=4"], ["fedbcd"], jobs=2)
    answers = {answer.more["input"]: answer for answer in plan.answers}
    assert answers["server egress"].value > answers["downlink of city"].value
    assert all(check.holds for answer in plan.answers for check in answer.checked)
    assert any("the server's links are shared" in note for note in plan.notes)


def test_the_same_seed_gives_the_same_answer_on_any_number_of_cores():
    one, two = (sensitivity(ADDITIVE, [], ["fedbcd", "parablock"], jobs=jobs).summary() for jobs in (1, 2))
    assert one == two


def test_bands_come_from_the_profile_where_it_knows_its_error():
    profile = {"profile": "smollm2-135m-cpu"}
    data = {
        "model": "smollm2-135m",
        "compute": profile,
        "rounds": 2,
        "local": {"batch_size": 2, "sequence_length": 128},
    }
    plan = sensitivity(data, [], ["fedbcd"], jobs=1)
    assert plan.provenance["uncertainty"].startswith("the profile's 95th percentile of held-out errors: speed")


def test_a_sample_that_reaches_its_goal_says_no_more():
    assert not any("twice as many" in note for note in sensitivity(ADDITIVE, [], [], jobs=1).notes)


def test_the_command_and_its_picture(tmp_path: Path):
    outcome = run("plan", "examples/planning.yaml", "--sensitivity", "--format", "json", "--out", tmp_path, "--jobs", 1)
    data = json.loads(outcome.out)
    assert data["answers"][0]["more"]["input"] == "uplink of country"
    assert {path.name for path in tmp_path.iterdir()} >= {"tornado.png", "tornado.svg"}


def test_a_missing_library_is_named():
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("SALib"):
            raise ImportError("No module named 'SALib'")
        return real(name, *rest, **more)

    with mock.patch.object(builtins, "__import__", without):
        message = refused("plan", "examples/planning.yaml", "--sensitivity")
    assert message.startswith("--sensitivity needs the extra 'plan': pip install -c constraints.txt -e '.[plan]' (No ")


def test_everything_certain_is_refused():
    bands = dict.fromkeys(("uplink", "downlink", "latency", "speed", "payload", "aggregation"), 0)
    arguments = [f"--set=uncertainty.{name}={share}" for name, share in bands.items()]
    assert "everything is certain" in refused("plan", "examples/paper.yaml", "--sensitivity", *arguments)
