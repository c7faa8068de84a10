"""`paraSim plan --confidence`: quantiles that cover the truth, errors that are stated, and any number of cores."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

import parasim
from parasim.planning.answer import Plan
from parasim.planning.risk.random_runs import CERTAINTY
from parasim_core.sim.errors import ScenarioError
from tests.parasim.command_line import refused, run

# One client, FedBCD, one round: computing C / factor, and an upload of 0 bytes: the wall-clock is the jitter's own.
ALONE: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 1,
    "compute": {"seconds": 100},
    "payload": {"upload": "0B"},
    "fleet": [{"speed_jitter": {"sigma": 0.1}}],
}
JITTER = ("fleet.*.speed_jitter.sigma=0.1", "fleet.*.uplink_jitter.sigma=0.3")


def confidence(source: Any, overrides: Any, methods: list[str], probability: float = 0.9, **more: Any) -> Plan:
    return parasim.plan(source, overrides, method=methods or None, confidence=probability, **more)


def truth(probability: float) -> float:
    """Quantile of 100 s over a lognormal factor, which is lognormal, too."""
    return 100 * math.exp(0.1 * NormalDist().inv_cdf(probability))


def test_the_interval_covers_a_known_quantile():
    # 40 seeds: with 95 % each, fewer than 33 would happen once in 10,000 times.
    covered = 0
    for seed in range(40):
        (answer,) = confidence(ALONE | {"seed": seed}, [], [], 0.9, jobs=1).answers
        low, high = answer.more["interval"]
        covered += low <= truth(0.9) <= high
        assert answer.more["precise"]
        assert (high - low) / 2 <= 0.01 * answer.value
    assert covered >= 33


def test_the_interval_covers_a_known_probability():
    covered = 0
    for seed in range(20):
        (answer,) = confidence(ALONE | {"seed": seed}, [], [], 0.5, within=105.0, jobs=1).answers
        low, high = answer.more["interval"]
        # 100 / factor <= 105: ln(1.05) / 0.1 deviations.
        covered += low <= NormalDist().cdf(math.log(1.05) / 0.1) <= high
        assert (high - low) / 2 <= 0.01
    assert covered >= 15


def test_the_answer_is_checked_at_it_and_just_beside():
    (answer,) = confidence("examples/paper.yaml", JITTER, [], 0.9, jobs=1).answers
    at, beside = answer.checked
    assert at.wall_clock_s == pytest.approx(answer.value, rel=1e-9)
    assert (at.holds, beside.holds) == (True, False)
    assert beside.wall_clock_s > answer.value
    assert answer.more["quantiles_s"]["0.5"] < answer.value < answer.more["quantiles_s"]["0.99"]


def test_more_confidence_takes_no_less_time():
    values = [confidence(ALONE, [], [], p, jobs=1).answers[0].value for p in (0.1, 0.5, 0.9, 0.99)]
    assert values == sorted(values)


@pytest.mark.parametrize(
    "more",
    [(), ("server.egress=300MB/s",), ("fleet.*.speed_jitter.per=round", "rounds=3")],
    ids=["replayed", "contended", "by round"],
)
def test_workers_change_nothing(more: tuple[str, ...]):
    overrides = [*JITTER, "rounds=4", *more]
    plans = [confidence("examples/paper.yaml", overrides, ["fedbcd"], 0.8, jobs=jobs).summary() for jobs in (1, 2)]
    assert plans[0] == plans[1]
    replayed = plans[0]["answers"][0]["more"]["replayed"]
    assert replayed == 1.0 if not more else replayed < 1.0


def test_speeds_that_change_by_the_round_average_out():
    by_run, by_round = (
        confidence(ALONE | {"rounds": 16}, [f"fleet.0.speed_jitter.per={per}"], [], 0.9, jobs=1).answers[0]
        for per in ("run", "round")
    )
    # The deviation of a mean of 16 is a quarter: the deadline is later by a quarter as much, nearly.
    later = [answer.value / answer.more["no_jitter_s"] - 1 for answer in (by_run, by_round)]
    assert later[1] == pytest.approx(later[0] / 4, rel=0.25)


def test_what_is_not_known_is_said():
    (answer,) = confidence(ALONE, ["server.ingress=1GB/s"], [], 0.9999, jobs=1).answers
    assert answer.more["interval"][1] is None
    assert not answer.more["precise"]


def test_a_probability_that_is_not_known_is_said():
    # Simulated runs are 1,024 at most. Half the interval about 0.5 is 2.5 deviations of sqrt(0.25 / 1024), 4 points.
    contended = ("server.ingress=1GB/s", "fleet.0.uplink=2GB/s", "fleet.0.speed_jitter.per=round")
    (answer,) = confidence(ALONE, contended, [], 0.9, within=100.0, jobs=1).answers
    low, high = answer.more["interval"]
    assert not answer.more["precise"]
    assert answer.more["runs"] == 1024
    reached = f"not known to 1 but to {50 * (high - low):.2g} percentage points, more runs were too many"
    assert answer.because == f"less than 0.9; without jitter it meets it; {reached}"


def test_runs_are_counted():
    told: list[tuple[str, int, int]] = []
    (answer,) = confidence(ALONE, [], [], 0.9, jobs=1, report=lambda *told_of: told.append(told_of)).answers
    runs = answer.more["runs"]
    assert told[0] == ("fedbcd: runs, at most", 0, 65536)
    assert told[-1] == ("fedbcd: runs, at most", runs, runs)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_deadline_that_is_met_often_enough_is_feasible():
    plan = confidence(ALONE, [], [], 0.9, within=truth(0.99), jobs=1)
    assert plan.answers[0].feasible
    assert "meets" in plan.answers[0].because
    (rarely,) = confidence(ALONE, [], [], 0.9, within=90.0, jobs=1).answers
    assert not rarely.feasible
    assert "misses" in rarely.because


def test_a_scenario_without_jitter_is_refused():
    with pytest.raises(ScenarioError, match="nothing varies"):
        confidence("examples/paper.yaml", [], [], 0.9)


@pytest.mark.parametrize("per", ["run", "round"])
def test_a_group_that_draws_together_may_be_huge(per: str):
    # All clients are as fast, and send nothing: a million of them take as long as one.
    jitter = (f"fleet.0.speed_jitter.per={per}", "fleet.0.speed_jitter.each=group")
    one, million = (confidence(ALONE, [*jitter, f"fleet.0.count={n}"], [], jobs=1).answers[0] for n in (1, 1_000_000))
    assert (one.value, one.more["interval"]) == (million.value, million.more["interval"])


def test_too_many_clients_that_draw_for_themselves_are_refused():
    with pytest.raises(ScenarioError, match="20,001"):
        confidence(ALONE, ["fleet.0.count=20001"], [], 0.9, jobs=1)


def test_the_command(tmp_path: Path):
    arguments = ["plan", "examples/planning.yaml", "--confidence", "0.9", "--jobs", 1]
    data = json.loads(run(*arguments, "--format", "json", "--out", tmp_path).out)
    assert data["answers"][0]["unit"] == "s"
    assert data["answers"][0]["more"]["interval_certainty"] == CERTAINTY
    assert {path.name for path in tmp_path.iterdir()} >= {"confidence.png", "confidence.svg"}
    assert "seed 7" in data["provenance"]["jitter"]
    for wrong in ("0", "1", "2", "nan", "x"):
        assert refused("plan", "examples/planning.yaml", "--confidence", wrong)


@pytest.mark.parametrize("within", [(), ("--within", "1s")])
@pytest.mark.parametrize("per", ["run", "round"])
def test_a_run_that_takes_no_time_is_answered(within: tuple[str, ...], per: str, tmp_path: Path):
    # 0 s of computing times any factor, and messages of 0 B: every run takes 0 s, and meets any deadline.
    fleet = [{"count": 2, "speed_jitter": {"sigma": 0.1, "per": per}}]
    nothing = {"rounds": 2, "compute": {"seconds": 0}, "payload": {"upload": "0B"}, "fleet": fleet}
    (tmp_path / "nothing.json").write_text(json.dumps(nothing))
    arguments = ("plan", tmp_path / "nothing.json", "--confidence", "0.9", *within, "--jobs", "1", "--format", "json")
    outcome = run(*arguments)
    assert outcome.status == 0, outcome.err
    [answer] = json.loads(outcome.out)["answers"]
    assert (answer["value"], answer["feasible"]) == (1.0 if within else 0.0, True)


def test_who_takes_part_is_drawn_anew():
    # One of three clients takes part in the only round, and takes 100, 200 or 300 s: each in a third of all runs.
    third = {
        "method": "fedbcd",
        "rounds": 1,
        "compute": {"seconds": [100, 200, 300]},
        "payload": {"upload": "0B"},
        "fleet": [{"count": 3}],
        "participation": {"fraction": 0.34},
    }
    covered, met = 0, set()
    for seed in range(12):
        (answer,) = confidence(third | {"seed": seed}, [], [], 0.5, within=250.0, jobs=1).answers
        low, high = answer.more["interval"]
        covered += low <= 2 / 3 <= high
        met |= {answer.more["quantiles_s"][share] for share in ("0.01", "0.5", "0.99")}
    # With 95 % each, fewer than 9 would happen once in 350 times.
    assert covered >= 9
    assert met == {100.0, 200.0, 300.0}
    plan = confidence(third, [], [], 0.5, jobs=1)
    assert plan.answers[0].value == pytest.approx(200)
    assert any("drawn anew" in note for note in plan.notes)


def test_jitter_is_the_same_client_s_whoever_takes_part():
    # All of the group draw the same factor once a run, whoever of two takes part: the jitter's own quantile.
    shared = ALONE | {
        "fleet": [{"count": 2, "speed_jitter": {"sigma": 0.1, "each": "group"}}],
        "participation": {"fraction": 0.5},
    }
    (answer,) = confidence(shared, [], [], 0.9, jobs=1).answers
    low, high = answer.more["interval"]
    assert low <= truth(0.9) <= high
