"""A shape that wrongly declares its causes fixed: simulations contradict its replays, and plans believe those."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import parasim
from parasim.planning.answer import Plan
from sim.protocols.buffered import Buffered
from sim.replay.conditions import Variants
from sim.replay.replay import record
from tests.sim.runs import prepared

# Buffers of two: with other speeds or links, others meet in them.
BASE: dict[str, Any] = {
    "method": {"name": "fedbuff", "buffer": 2},
    "compute": {"seconds": [10, 13, 17, 23]},
    "payload": {"upload": "100MB"},
    "rounds": 6,
    "fleet": [
        {"uplink": f"{rate}MB/s", "speed_jitter": {"distribution": "uniform", "low": 0.3, "high": 3}}
        for rate in (100, 50, 25, 12.5)
    ],
    "uncertainty": {"speed": 0.5, "uplink": 0.9, "downlink": 0.9},
}


def declare_falsely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Buffered, "traits", replace(Buffered.traits, causes_fixed=True))


def believed(plan: Plan) -> list[Any]:
    """What a plan answers, all of it simulated."""
    assert "replays differ from what their events take" in " ".join(plan.notes)
    return [(answer.value, answer.wall_clock_s, dict(answer.more)) for answer in plan.answers]


def test_the_false_declaration_makes_wrong_replays(monkeypatch: pytest.MonkeyPatch):
    declare_falsely(monkeypatch)
    recording = record(*prepared(**BASE))
    assert not recording.not_replayable
    faster = Variants(uplink=recording.conditions.uplink * [[1, 1, 8, 8]])
    replayed = recording.replay(faster)
    assert replayed.replayed.all()
    assert recording.held_against([recording.simulate(faster).wall_clock], *replayed).not_replayable
    assert recording.held_against(replayed.wall_clock, *replayed) is recording


QUESTIONS: dict[str, dict[str, Any]] = {
    "within": {"within": "90s", "solve_for": "bandwidth"},
    "break-even": {"break_even": "fedbuff,fedit"},
    "confidence": {"confidence": 0.5},
    "sensitivity": {"sensitivity": True},
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_its_plans_are_those_of_a_shape_that_declares_nothing(question: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("parasim.planning.questions.sensitivity._MOST_SIMULATED", 512)
    honest = parasim.plan(BASE, **QUESTIONS[question], jobs=1)
    declare_falsely(monkeypatch)
    found = believed(parasim.plan(BASE, **QUESTIONS[question], jobs=1))
    assert found == [(answer.value, answer.wall_clock_s, dict(answer.more)) for answer in honest.answers]
