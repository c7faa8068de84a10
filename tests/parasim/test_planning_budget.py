"""`paraSim plan --budget`: bills that add up, a front that nothing beats, and devices that were never measured."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parasim
from parasim.planning.answer import Plan
from parasim.planning.cost.bill import HOUR, MONTH, Bill, bill
from parasim.planning.cost.choices import Candidate, Given, Outcome
from parasim.planning.cost.speeds import reference_step, relative_speed
from parasim.planning.questions.budget import pareto_front
from parasim.sentences import rounded
from parasim_core.calibration.devices.catalogue import device
from parasim_core.calibration.devices.prediction import SCALING_BAND, scale
from parasim_core.sim.errors import CostError, ScenarioError
from tests.parasim.command_line import refused, run

# FedBCD, 2 rounds, 2 clients: 2 x 1800 s of computing, 2 uploads and a download of 100 s: 3900 s.
PLAIN: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "compute": {"seconds": 1800},
    "payload": {"upload": "10GB"},
    "fleet": [{"count": 2, "uplink": "100MB/s"}],
    "prices": {
        "gpu_hour": "3USD",
        "upload": "1USD/TB",
        "download": "0.1USD/GB",
        "link_month": "730USD",
        "kilowatt_hour": "0.5USD",
    },
    "power": {"compute": "500W", "idle": "100W"},
    "choices": {"devices": [], "links": [], "layers": []},
}
FAST = {"name": "fast", "speed": 2, "gpu_hour": "5USD", "power": {"compute": "1kW", "idle": "0W"}}
FIBRE = {"name": "fibre", "uplink": "1GB/s", "month": "7300USD", "download": "0.2USD/GB"}


def budget(source: Any, overrides: list[str], methods: list[str], limit: float, jobs: int) -> Plan:
    return parasim.plan(source, overrides, method=methods, budget=f"{limit}USD", jobs=jobs)


def of(*options: dict[str, Any], **fields: Any) -> Any:
    data = PLAIN | fields | {"choices": {"devices": [o for o in options if "gpu_hour" in o], "links": [], "layers": []}}
    data["choices"]["links"] = [option for option in options if "uplink" in option]
    return data


def test_a_bill_by_hand():
    plan = budget(PLAIN, [], ["fedbcd"], 100.0, jobs=1)
    (answer,) = plan.answers
    # 2 devices x 3900 s at 3 USD/h; links 2 x 730 USD per 2629800 s; 2 x 2 x 10 GB up, 2 x 10 GB down.
    # Energy: 2 x (3600 s x 500 W + 300 s x 100 W) = 3.66 MJ = 1.01667 kWh at 0.5 USD.
    cost = answer.more["cost_usd"]
    assert cost["gpus"] == pytest.approx(2 * 3900 / 3600 * 3)
    assert cost["links"] == pytest.approx(2 * 3900 / 2629800 * 730)
    assert cost["upload"] == pytest.approx(0.04)
    assert cost["download"] == pytest.approx(2.0)
    assert cost["electricity"] == pytest.approx(3.66 / 3.6 * 0.5)
    assert answer.more["energy_j"] == pytest.approx(3.66e6)
    assert answer.value == pytest.approx(sum(cost.values()))
    assert answer.wall_clock_s == 3900


@pytest.mark.parametrize(
    ("billed", "hours"),
    # Each client computes 1800 s in its own round, and is there for 1800 s and its messages: one hour, not two.
    [("wall-clock", 2 * 2), ("presence", 2 * 1), ("compute", 2 * 1)],
)
def test_started_hours(billed: str, hours: int):
    prices = {"gpu_hour": "1USD", "billed": billed, "hours": "started"}
    result = parasim.simulate(PLAIN | {"participation": {"rounds": [[0], [1]]}, "prices": prices})
    assert 3600 < result.wall_clock < 7200
    assert bill(result, {}).gpus == hours


def test_whole_months_of_a_line_for_each_site_and_what_sets_it_up():
    # Five clients of two on a line: three lines, each a month of 7300 USD and 500 USD once; without them, as before.
    site = {"clients": 2, "uplink": "50MB/s", "downlink": "50MB/s"}
    fleet = [{"name": "a", "count": 5, "uplink": "1GB/s", "site": site}]
    prices = {"link_month": "100USD", "months": "started", "gpu_hour": "0USD", "download": "0USD/GB"}
    data = of(FIBRE | {"once": "500USD", "download": "0USD/GB"}, fleet=fleet, prices=prices)
    own, fibre = sorted(budget(data, [], ["fedbcd"], 1e6, jobs=1).answers, key=lambda answer: answer.value or 0.0)
    assert own.value == pytest.approx(3 * 100)
    assert fibre.value == pytest.approx(3 * (7300 + 500))
    # Two messages of 10 GB share a line: 100 MB/s instead of 1 GB/s, so that the line is what holds them up.
    assert own.wall_clock_s == pytest.approx(2 * 1800 + 3 * 2 * 10e9 / 50e6)
    assert fibre.wall_clock_s == pytest.approx(2 * 1800 + 3 * 2 * 10e9 / 1e9)
    assert fibre.more["groups"] == {"a": {"device": "as it is", "links": "fibre"}}


def test_one_group_alone_gets_what_it_alone_lacks():
    # The slow group is waited for: faster links for it alone cost half of what they cost for both, and save as much.
    fleet = [{"name": "near", "count": 2, "uplink": "1GB/s"}, {"name": "far", "count": 2, "uplink": "100MB/s"}]
    plan = budget(of(FIBRE, fleet=fleet), [], ["fedbcd"], 1e6, jobs=1)
    fastest = plan.answers[-1]
    assert fastest.row[2] == "fibre for far"
    assert fastest.more["groups"] == {
        "near": {"device": "as it is", "links": "1GB/s"},
        "far": {"device": "as it is", "links": "fibre"},
    }
    # 2 x 1800 s of computing, and three messages of 10 GB at 1 GB/s.
    assert fastest.wall_clock_s == pytest.approx(3630)
    assert fastest.more["cost_usd"]["links"] == pytest.approx(2 * 3630 / MONTH * (730 + 7300))


def test_groups_may_be_left_out_or_take_part_more_seldom():
    fleet = [{"name": "near", "count": 2, "uplink": "1GB/s"}, {"name": "far", "count": 1, "uplink": "10MB/s"}]
    data = of(fleet=fleet, rounds=4, prices=PLAIN["prices"] | {"billed": "presence"})
    data["choices"] |= {"leave_out": ["far"], "every": [1, 2], "groups": ["far"]}
    plan = budget(data, [], ["fedbcd"], 1e6, jobs=1)
    # Everyone takes longest and costs most; in every second round the far one uploads twice instead of four times.
    assert [answer.row[3] for answer in plan.answers] == ["without far"]
    plan = budget(data | {"choices": data["choices"] | {"leave_out": []}}, [], ["fedbcd"], 1e6, jobs=1)
    seldom = plan.answers[0]
    assert seldom.row[3] == "far in one of 2 rounds"
    listed = [[0, 1, 2], [0, 1], [0, 1, 2], [0, 1]]
    own = {key: value for key, value in data.items() if key != "choices"}
    assert seldom.wall_clock_s == parasim.simulate(own | {"participation": {"rounds": listed}}).wall_clock


def test_choices_that_no_fleet_can_have_are_named():
    data = of(fleet=[{"name": "a", "count": 2}], participation={"rounds": [[0], [1]]})
    data["choices"] |= {"leave_out": ["a"], "every": [2]}
    notes = budget(data, [], ["fedbcd"], 1e6, jobs=1).notes
    assert sum("left out of fedbcd: " in note for note in notes) == 2
    with pytest.raises(ScenarioError, match=r"choices\.leave_out: no group 'b'"):
        budget(data | {"choices": {"leave_out": ["b"]}}, [], ["fedbcd"], 1e6, jobs=1)


@pytest.mark.parametrize("billed", ["wall-clock", "presence", "compute"])
def test_what_is_billed(billed: str):
    # Clients take turns: each computes for one round, and is offline in the other.
    data = PLAIN | {"participation": {"rounds": [[0], [1]]}, "prices": {"gpu_hour": "1USD", "billed": billed}}
    result = parasim.simulate(data)
    bills = bill(result, {})
    present = sum(result.wall_clock - account.offline for account in result.accounts.values())
    expected = {"wall-clock": 2 * result.wall_clock, "presence": present, "compute": 2 * 1800.0}[billed]
    assert bills.gpus == pytest.approx(expected / HOUR)
    assert 2 * 1800 < present < 2 * result.wall_clock


def test_devices_and_links_are_tried_with_their_own_prices():
    plan = budget(of(FAST, FIBRE), [], ["fedbcd"], 1000.0, jobs=1)
    fastest = plan.answers[-1]
    # 2 x 900 s of computing and 3 x 10 s of sending.
    assert fastest.wall_clock_s == 1830
    cost = fastest.more["cost_usd"]
    assert cost["gpus"] == pytest.approx(2 * 1830 / HOUR * 5)
    assert cost["links"] == pytest.approx(2 * 1830 / MONTH * 7300)
    assert (cost["upload"], cost["download"]) == (pytest.approx(0.04), pytest.approx(4.0))


def test_some_groups_alone_may_get_them():
    fleet = [{"name": "a", "uplink": "100MB/s"}, {"name": "b", "uplink": "100MB/s", "gpu_hour": "0USD"}]
    data = of(FAST, fleet=fleet)
    data["choices"]["groups"] = ["b"]
    plan = budget(data, [], ["fedbcd"], 1000.0, jobs=1)
    # a remains as slow, so that the faster b saves nothing and costs more: only the fleet as it is remains.
    assert [answer.more["device"] for answer in plan.answers] == ["as it is"]
    data["choices"]["groups"] = ["c"]
    with pytest.raises(ScenarioError, match=r"choices\.groups: no group 'c'"):
        budget(data, [], ["fedbcd"], 1000.0, jobs=1)


def test_that_nothing_is_affordable_is_an_answer():
    plan = budget(PLAIN, [], ["fedbcd"], 1.0, jobs=1)
    (answer,) = plan.answers
    assert (answer.feasible, answer.value, answer.wall_clock_s) == (False, None, None)
    assert [check.holds for check in answer.checked] == [False]
    assert answer.method == "none"
    assert answer.row == ("-", "-", "-", "-", "at least 11.2 USD", "-")
    assert answer.more["cheapest"]["method"] == "fedbcd"


def test_large_amounts_have_no_exponent():
    assert rounded(25_100.4, "kWh") == "25,100 kWh"
    assert rounded(1.663, "kWh") == "1.66 kWh"


def outcome(cost: float, wall_clock: float) -> Outcome:
    candidate = Candidate(parasim.load(PLAIN), None, Given(""), Given(""))
    return Outcome(candidate, wall_clock, Bill(cost, 0.0, 0.0, 0.0, 0.0, 1.0))


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=30))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]):
    front = [(one.cost, one.wall_clock) for one in pareto_front([outcome(*point) for point in points])]
    for cost, time in front:
        assert not any((other[0] <= cost and other[1] <= time and other != (cost, time)) for other in points), (
            "a run of the front is beaten"
        )
    for cost, time in points:
        assert any(other[0] <= cost and other[1] <= time for other in front), "a run is neither beaten nor on the front"
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(front))


def test_the_papers_setting_as_it_is(tmp_path: Path):
    outcome = run(
        "plan",
        "examples/paper.yaml",
        "--method",
        "all",
        "--budget",
        "500USD",
        "--format",
        "json",
        "--out",
        tmp_path,
        "--jobs",
        1,
    )
    data = json.loads(outcome.out)
    assert all(answer["feasible"] and answer["value"] <= 500 for answer in data["answers"])
    costs, times = zip(*((a["value"], a["wall_clock_s"]) for a in data["answers"]), strict=True)
    assert list(costs) == sorted(costs)
    assert list(times) == sorted(times, reverse=True)
    assert data["provenance"]["prices"].startswith("assumed: gpu_hour 2USD")
    assert "extrapolated" in data["provenance"]["speeds"]
    # Full fine-tuning fits into none of the devices.
    assert any("full-ft" in note and "161 GB" in note for note in data["notes"])
    guessed = next(a["more"]["device_speed"] for a in data["answers"] if a["more"]["device"] == "h100")
    assert guessed["low"] < guessed["value"] < guessed["high"]
    assert guessed["wall_clock_s"] == sorted(guessed["wall_clock_s"])
    assert {path.name for path in tmp_path.iterdir()} >= {"plan.json", "plan.csv", "pareto.png", "pareto.svg"}


def test_workers_change_nothing():
    plans = [budget("examples/paper.yaml", [], ["parablock", "fedit"], 20.0, jobs=jobs) for jobs in (1, 2)]
    assert plans[0].summary() == plans[1].summary()


def test_devices_without_a_speed_need_one_to_compare_with():
    unmeasured = [FAST | {"name": name, "speed": None} for name in ("h100", "l40s")]
    plan = budget(of(*unmeasured), [], ["fedbcd", "fedit"], 100.0, jobs=1)
    notes = [note for note in plan.notes if "h100" in note or "l40s" in note]
    assert len(notes) == 1
    assert "h100, l40s" in notes[0]


def test_a_misspelt_device_is_refused():
    with pytest.raises(ScenarioError, match=r"no device 'h101' in the catalogue; did you mean 'h100'\?"):
        budget(of(FAST | {"name": "h101", "speed": None}), [], ["fedbcd"], 100.0, jobs=1)


def test_speeds_are_ratios_of_predictions():
    # An A100 is as fast as itself; an H100 at least as much faster as its bandwidth, at most as its rate is larger.
    assert relative_speed("a100", "a100").seconds == 1.0
    h100, a100 = device("h100"), device("a100")
    guess = relative_speed("h100", "a100")
    least = h100.bandwidth / a100.bandwidth
    most = h100.operations_per_second["bfloat16"] / a100.operations_per_second["bfloat16"]
    assert least < guess.seconds < most
    assert (guess.low, guess.high) == (guess.seconds / SCALING_BAND, guess.seconds * SCALING_BAND)
    # Twice the time of a step is half the speed.
    slower = scale(1.0, (reference_step(), h100), (reference_step(), a100)).seconds
    assert guess.seconds == pytest.approx(slower, rel=1e-12)
    assert relative_speed("a100", "h100").seconds == pytest.approx(1 / guess.seconds, rel=1e-12)
    with pytest.raises(CostError, match="cpu-core computes in float32"):
        relative_speed("cpu-core", "a100")


def test_the_step_that_comes_along_is_the_traced_one():
    shapes = pytest.importorskip("parasim_core.calibration.memory.shapes")
    from parasim_core.calibration.devices.operators import one_step
    from parasim_core.sim.workload.blocks import partition
    from parasim_core.sim.workload.methods import Trains

    model = shapes.ShapeModel("llama-3-8b")
    blocks = partition(model.architecture, 2)
    traced = one_step(model.trace(shapes.TracedStep(Trains.BLOCK, blocks[7], 4, 512)).operators)
    for name in ("a100", "h100", "l40s"):
        ratio = scale(1.0, (reference_step(), device(name)), (traced, device(name))).seconds
        assert ratio == pytest.approx(1.0, rel=0.01)


def test_budgets_that_are_none():
    for amount in ("500", "500EUR", "0USD", "-3USD", "much"):
        assert refused("plan", "examples/paper.yaml", "--budget", amount)


def test_what_is_left_out_is_said_in_a_sentence():
    # The shipped profile was measured with blocks of at most 2 layers.
    data = {
        "model": "demo",
        "method": "fedbcd",
        "compute": {"profile": "demo-cpu"},
        "choices": {"devices": [], "links": [], "layers": [4]},
        "local": {"batch_size": 4, "sequence_length": 32},
        "blocks": {"layers": 2},
    }
    plan = parasim.plan(data, budget="5USD", method="fedbcd")
    (said,) = [note for note in plan.notes if note.startswith("left out")]
    who, _, why = said.partition(", because ")
    assert who == "left out on the fleet's own devices: fedbcd, 4 layers"
    assert why.startswith("profile demo-cpu does not cover block of 4 layers")


@pytest.mark.parametrize(("field", "one"), [("devices", FAST), ("links", FIBRE)])
def test_choices_are_told_apart_by_their_names(field: str, one: dict[str, Any]):
    alike = {"choices": {field: [one | {"name": "first"}, one, one]}}
    with pytest.raises(ScenarioError, match=rf"{field}: '{one['name']}' stands there twice"):
        parasim.load(PLAIN | alike)
    parasim.load(PLAIN | {"choices": {field: [one | {"name": "first"}, one]}})
