"""`paraSim plan --confidence` where clients fail: known distributions, runs that never end, and any number of cores."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.planning.answer import Answer
from tests.parasim.command_line import run

# One client, FedBCD, one round, an upload of 0 bytes: the wall-clock is that of 100 s of computing on what fails.
ALONE: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 1,
    "compute": {"seconds": 100},
    "payload": {"upload": "0B"},
}
DEVICE = {"every": "100s", "repair": "30s"}


def asked(group: dict[str, Any], confidence: float, **more: Any) -> Answer:
    source = ALONE | {"fleet": [group]} | more.pop("scenario", {})
    return parasim.plan(source, confidence=confidence, jobs=more.pop("jobs", 1), **more).answers[0]


def test_the_interval_covers_the_probability_that_nothing_fails():
    # Done in 100 s if no failure begins within them: exp(-100 / 100). What is begun anew takes more.
    covered = 0
    for seed in range(5):
        answer = asked({"failures": DEVICE}, 0.5, within=101.0, scenario={"seed": seed})
        low, high = answer.more["interval"]
        covered += low <= math.exp(-1) <= high
        assert answer.more["no_failures_s"] == 100
    # With 95 % each, fewer than 3 of 5 would happen once in 800 times.
    assert covered >= 3


def test_the_deadline_is_that_of_the_known_distribution():
    # 100 s of work that goes on after repairs of 30 s, as many as a Poisson distribution of mean 1 draws: at most 2 in
    # 0.920 of all runs, at most 1 in 0.736.
    answer = asked({"failures": DEVICE | {"resume": True}}, 0.9)
    assert answer.value == pytest.approx(160)
    assert answer.more["quantiles_s"]["0.5"] == pytest.approx(130)
    assert "later than without failures" in answer.because


def test_runs_that_end_early_are_never_done():
    # Half of the clients vanish, and with the only one the run ends in an error.
    group = {"dropout": {"rate": 0.5}}
    never, soon = asked(group, 0.9), asked(group, 0.3)
    assert (never.feasible, never.value, never.wall_clock_s) == (False, None, None)
    assert never.more["ended_early"] / never.more["runs"] == pytest.approx(0.5, abs=0.1)
    assert never.more["quantiles_s"]["0.99"] is None
    assert (soon.feasible, soon.value) == (True, 100)
    json.dumps([never.more, soon.more], allow_nan=False)


def test_runs_that_end_early_miss_every_deadline():
    (answer,) = parasim.plan(
        ALONE | {"fleet": [{"dropout": {"rate": 0.5}}]}, confidence=0.9, within=1e6, jobs=1
    ).answers
    assert not answer.feasible
    assert answer.value == pytest.approx(0.5, abs=0.1)


def test_failures_and_jitter_together():
    answer = asked({"failures": DEVICE, "speed_jitter": {"sigma": 0.1}}, 0.9)
    assert answer.more["no_jitter_or_failures_s"] == 100
    # Later than with either alone.
    assert answer.value > asked({"speed_jitter": {"sigma": 0.1}}, 0.9).value


def test_jitter_reaches_clients_that_did_not_take_part_in_the_first_run():
    # Two of twelve at a time, who comes and goes: others than in the run that was recorded take part in most runs.
    group = {"count": 12, "available": {"share": 0.5, "session": "60s"}, "speed_jitter": {"sigma": 0.1}}
    told = {"rounds": 2, "participation": {"fraction": 0.15, "short": "wait"}}
    assert asked(group, 0.9, scenario=told).value > 200


def test_workers_change_nothing():
    group = {"count": 3, "failures": DEVICE, "dropout": {"rate": 0.2}}
    one, two = (asked(group, 0.8, jobs=jobs, scenario={"rounds": 2}) for jobs in (1, 2))
    assert one == two


def test_recorded_sessions_are_nothing_random(tmp_path: Path):
    sessions = tmp_path / "sessions.json"
    sessions.write_text("[[[0, 1000]]]")
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps(ALONE | {"fleet": [{"available": {"file": str(sessions)}}]}))
    outcome = run("plan", scenario, "--confidence", "0.9")
    assert outcome.status == 2
    assert "nothing varies" in outcome.err


def test_the_picture_of_runs_that_are_never_done(tmp_path: Path):
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps(ALONE | {"fleet": [{"dropout": {"rate": 0.5}}]}))
    outcome = run("plan", scenario, "--confidence", "0.9", "--out", tmp_path / "plan")
    assert outcome.status == 0
    assert "never" in outcome.out
    assert (tmp_path / "plan" / "confidence.png").stat().st_size > 0
