"""Where no replay of a method holds, plans simulate, and say so: a replay's figures are used for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import parasim
from parasim.planning.answer import Plan
from parasim_core.sim.protocols.overlapped import Overlapped
from parasim_core.sim.protocols.synchronous import Synchronous

REASON = "does not declare that who waits for whom is the same however long things take"
# FedBCD: 40 s + 700 MB / bandwidth; ParaBlock, hidden from 20 MB/s on, 40 s + 100 MB / bandwidth.
BASE: dict[str, Any] = {
    "method": "fedbcd",
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "rounds": 4,
    "fleet": [{"count": 2, "uplink": "10MB/s", "speed_jitter": {"sigma": 0.1}}],
    "uncertainty": {"downlink": 0, "payload": 0},
}


@pytest.fixture(autouse=True)
def _no_replay_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in (Synchronous, Overlapped):
        monkeypatch.setattr(shape, "traits", replace(shape.traits, causes_fixed=False))


def said(plan: Plan) -> str:
    text = " ".join(plan.summary()["notes"])
    assert REASON in text
    assert "exact replay" not in text
    assert "estimate from" not in text
    return text


def test_a_deadline():
    plan = parasim.plan(BASE, within="70s", solve_for="bandwidth", jobs=1)
    [answer] = plan.answers
    assert (answer.value, [check.holds for check in answer.checked]) == (23.34e6, [True, False])
    assert said(plan).startswith("Found by simulating events; a replay would not be exact")


def test_a_break_even():
    plan = parasim.plan(BASE, ["rounds=1", "fleet.0.speed=4"], break_even="parablock,fedbcd", jobs=1)
    [answer] = plan.answers
    assert answer.more["faster"] == ""
    said(plan)


def test_a_confidence():
    plan = parasim.plan(BASE, confidence=0.5, jobs=1)
    [answer] = plan.answers
    assert answer.more["replayed"] == 0
    assert answer.value == pytest.approx(110, rel=0.05)
    assert all(check.wall_clock_s < 1e6 for check in answer.checked)
    said(plan)


def test_a_sensitivity():
    plan = parasim.plan(BASE, sensitivity=True, jobs=1)
    answers = {answer.more["input"]: answer for answer in plan.answers}
    # 40 (1/0.9 - 1/1.1) of computing; 40 (1/0.8 - 1/1.2) of uploading.
    assert answers["computing speed"].value == pytest.approx(40 / 0.9 - 40 / 1.1)
    assert answers["uplink"].value == pytest.approx(40 / 0.8 - 40 / 1.2)
    assert answers["uplink"].more["total"] > answers["computing speed"].more["total"]
    assert "replay or estimate" not in said(plan)


@pytest.mark.parametrize(
    "question", [{"within": "70s", "solve_for": "bandwidth"}, {"break_even": "flora,fedbuff"}, {"confidence": 0.5}]
)
def test_methods_are_named_where_only_some_are_replayed(question: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Synchronous, "traits", replace(Synchronous.traits, causes_fixed=True))
    methods = None if "break_even" in question else "flora,fedbuff"
    plan = parasim.plan(BASE, ["model=smollm2-135m"], method=methods, **question, jobs=1)
    [sentence] = [note for note in plan.notes if REASON in note]
    assert "for fedbuff" in sentence
    # Nor do their rounds compare.
    assert sum("fedbuff" in note and "aggregations" in note for note in plan.notes) == 1
