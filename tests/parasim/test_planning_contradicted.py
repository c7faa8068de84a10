"""A shape that wrongly declares its causes fixed: simulations contradict its replays, and plans believe those."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import parasim
from parasim.planning.answer import Plan
from parasim.reporting.whatif import what_ifs
from parasim_core.sim.engine.shape import Traits
from parasim_core.sim.protocols.buffered import Buffered
from parasim_core.sim.replay.conditions import Variants
from parasim_core.sim.replay.replay import record
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import METHODS
from tests.sim.runs import prepared
from tests.sim.users.own_fedbuff import OWN_FEDBUFF, OwnFedBuff

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


def test_a_report_draws_no_bars_of_replays_that_a_simulation_contradicts(monkeypatch: pytest.MonkeyPatch):
    declare_falsely(monkeypatch)
    bars, notes = what_ifs(Scenario.parse(BASE))
    assert bars is None
    assert "replays differ from what their events take" in notes[0]


def test_that_nothing_is_early_enough_is_held_against_a_simulation_too(monkeypatch: pytest.MonkeyPatch):
    # A FedBuff whose clients never wait: by replay nothing is early enough, by events links of some 2.5 MB/s are.
    monkeypatch.setitem(METHODS, OWN_FEDBUFF.name, OWN_FEDBUFF)
    data = {
        "method": OWN_FEDBUFF.name,
        "rounds": 3,
        "compute": {"seconds": 10},
        "payload": {"upload": "10MB"},
        "fleet": [{"uplink": "10MB/s", "speed": 0.7}, {"count": 3, "uplink": "2MB/s", "speed": 1.3}],
    }
    honest = parasim.plan(data, within="38.8s", solve_for="bandwidth", jobs=1)
    monkeypatch.setattr(OwnFedBuff, "traits", Traits(causes_fixed=True))
    found = believed(parasim.plan(data, within="38.8s", solve_for="bandwidth", jobs=1))
    assert found == [(answer.value, answer.wall_clock_s, dict(answer.more)) for answer in honest.answers]
    assert found[0][0] is not None
