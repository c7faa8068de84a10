"""`paraSim plan --within D --solve-for quorum`, `over_selection`, `deadline`: by hand, and held against fresh runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.planning.answer import Answer
from parasim.planning.search.waiting import WAITING
from parasim_core.sim.scenario.scenario import Scenario
from tests.parasim.command_line import refused, run

# Four clients that take 10, 20, 30 and 40 s, and 1 s up: a round of FedBCD with k of them takes 10 k + 1 s.
UNEVEN: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 1,
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "fleet": [{"uplink": "100MB/s", "speed": 1 / slowness} for slowness in (1, 2, 3, 4)],
}


def asked(source: Any, solve_for: str, within: float, **more: Any) -> Answer:
    return parasim.plan(source, solve_for=solve_for, within=within, jobs=1, **more).answers[0]


def test_the_largest_quorum_of_clients_that_do_not_fail():
    # 3 of 4 are in at 31 s, and 4 at 41: simulated once each, as nothing is random.
    answer = asked(UNEVEN, "quorum", 35.0)
    assert (answer.value, answer.wall_clock_s) == (0.75, 31)
    assert [(check.value, check.wall_clock_s, check.holds) for check in answer.checked] == [
        (0.75, 31, True),
        (1.0, 41, False),
    ]
    assert answer.more["runs_of_a_value"] == answer.more["fresh_runs"] == 1
    # On the dot, and at the end of the scale.
    assert asked(UNEVEN, "quorum", 41.0).value == 1.0
    assert not asked(UNEVEN, "quorum", 5.0).feasible


def test_the_largest_deadline_of_a_round():
    # Two rounds: whatever is in by the deadline d. Of steps of 2 %, 1.02^162 = 24.7 and 1.02^163 = 25.2 s: 2 x 24.7 is
    # early enough, and 2 x 25.2 is not.
    source = UNEVEN | {"rounds": 2}
    answer = asked(source, "deadline", 49.9)
    assert answer.unit == "s"
    assert answer.wall_clock_s == pytest.approx(49.4)
    assert [(check.value, check.holds) for check in answer.checked] == [(24.7, True), (25.2, False)]


def test_the_least_over_selection():
    # Ten alike, of which three are slow; ten are there, five wanted, and one round with these: see below.
    fleet = [{"count": 7, "uplink": "100MB/s"}, {"count": 3, "uplink": "100MB/s", "speed": 0.1}]
    source = UNEVEN | {"fleet": fleet, "participation": {"fraction": 0.5}}
    answer = asked(source, "over_selection", 20.0)
    # With 8 of 10 selected at most 3 are slow, so that five fast ones are in at 11 s; with fewer, it hangs on the seed.
    assert answer.value is not None
    assert 1 <= answer.value <= 1.6
    assert answer.wall_clock_s == 11
    assert answer.checked[0].holds
    assert not any(check.holds for check in answer.checked[1:])


def test_over_selection_needs_a_fraction(tmp_path: Path):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(UNEVEN))
    said = refused("plan", path, "--within", "20s", "--solve-for", "over_selection")
    assert "participation.fraction" in said


@pytest.mark.parametrize("question", ["quorum", "deadline"])
def test_methods_whose_rounds_wait_for_nobody_in_particular_are_refused(tmp_path: Path, question: str):
    # As a scenario with that field is (docs/explanation/failures.md).
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(UNEVEN))
    for method, why in (("fedcybgd", "take turns"), ("fedbuff", "begin again by themselves")):
        said = refused("plan", path, "--method", method, "--within", "20s", "--solve-for", question)
        assert f"--solve-for {question}: participation.{question}: clients of {method} {why}" in said


FAILING = UNEVEN | {"fleet": [{"count": 4, "uplink": "100MB/s", "failures": {"every": "50s", "repair": "30s"}}]}


def done_in_11_s(quorum: int) -> float:
    """Probability that so many of four devices compute 10 s and send for 1 s before they fail: exp(-11 / 50) each."""
    p = math.exp(-11 / 50)
    return sum(math.comb(4, k) * p**k * (1 - p) ** (4 - k) for k in range(quorum, 5))


def test_a_quorum_under_failures_is_borne_out_by_fresh_runs():
    # All four are in at 11 s in 41 % of all runs, three of them in 82 %, two in 97 %.
    assert [round(done_in_11_s(k), 2) for k in (4, 3, 2)] == [0.41, 0.82, 0.97]
    answer = asked(FAILING, "quorum", 12.0)
    assert answer.value == 0.5
    low, high = answer.more["interval"]
    assert low <= done_in_11_s(2) <= high
    assert answer.more["fresh_runs"] == 100
    assert answer.more["met_beside"] < 0.9
    # Three of four, if 70 % are enough; the other way round, if 99 % have to be.
    assert asked(FAILING, "quorum", 12.0, confidence=0.7).value == 0.75
    assert asked(FAILING, "quorum", 12.0, confidence=0.99).value in (0.25, 0.5)


def test_workers_change_nothing():
    one, two = (parasim.plan(FAILING, solve_for="quorum", within=12.0, jobs=jobs).summary() for jobs in (1, 2))
    assert one == two


def test_runs_that_end_early_meet_nothing(tmp_path: Path):
    source = UNEVEN | {"fleet": [{"dropout": {"rate": 1.0}}]}
    answer = asked(source, "quorum", 100.0)
    assert (answer.feasible, answer.value) == (False, None)
    assert "end early" in answer.because
    json.dumps(parasim.plan(source, solve_for="quorum", within=100.0, jobs=1).summary(), allow_nan=False)


def test_what_is_simulated_how_often_is_said(tmp_path: Path):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(FAILING))
    outcome = run("plan", path, "--within", "12s", "--solve-for", "quorum", "--out", tmp_path / "plan")
    assert outcome.status == 0
    assert "with which 0.9 of all runs end within 12 s" in outcome.out
    assert "in 20 runs with the same seeds of failures" in outcome.out
    assert "held against 100 runs" in outcome.out
    assert {"plan.json", "plan.csv", "deadline.png"} <= {file.name for file in (tmp_path / "plan").iterdir()}


def test_confidence_goes_with_these_alone(tmp_path: Path):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(UNEVEN))
    said = refused("plan", path, "--within", "20s", "--solve-for", "rounds", "--confidence", "0.9")
    assert "quorum, over_selection, deadline" in said
    said = refused("plan", path, "--within", "20s", "--solve-for", "quorums")
    assert "quorum" in said


@pytest.mark.parametrize("field", WAITING)
def test_values_are_ones_that_a_scenario_can_have(field: str):
    scenario = Scenario.parse(UNEVEN | {"fleet": [{"count": 37}], "participation": {"fraction": 0.3}})
    waiting = WAITING[field]
    values = waiting.values(scenario, 5432.1)
    assert list(values) == sorted(values)
    for value in (values[0], values[len(values) // 2], values[-1]):
        written = f"{value}s" if field == "deadline" else value
        told = {"fraction": 0.3, field: written}
        parsed = Scenario.parse(UNEVEN | {"fleet": [{"count": 37}], "participation": told})
        assert parsed.participation == waiting.change(scenario, value).participation
