"""What a plan changes in a scenario is what a user would have written into it."""

from __future__ import annotations

from typing import Any

import pytest

import parasim
from parasim.planning import changes
from parasim.planning.search.quantities import QUANTITIES
from parasim_core.sim.errors import ScenarioError

BASE: dict[str, Any] = {
    "model": "llama-3-8b",
    "method": "fedbcd",
    "rounds": 4,
    "blocks": {"count": 8},
    "fleet": [{"name": "a", "count": 6, "speed": 0.5}, {"name": "b", "count": 2}],
    "compute": {"profile": "paper-a100", "dataset": "alpaca-gpt4"},
}


@pytest.mark.parametrize(
    ("quantity", "value", "overrides"),
    [
        ("bandwidth", 23.34e6, ["fleet.*.uplink=23.34MB/s", "fleet.*.downlink=23.34MB/s"]),
        ("device-speed", 1.5, ["fleet.a.speed=0.75", "fleet.b.speed=1.5"]),
        ("server-egress", 1e8, ["server.egress=100MB/s"]),
        ("server-ingress", 1e8, ["server.ingress=100MB/s"]),
        ("rounds", 7, ["rounds=7"]),
        ("batch-size", 6, ["local.batch_size=6"]),
        ("clients", 12, ["fleet.a.count=9", "fleet.b.count=3"]),
        ("block-width", 0.5, ["blocks.layers=0.5"]),
    ],
)
def test_a_change_is_what_overrides_would_do(quantity: str, value: float, overrides: list[str]):
    scenario = parasim.load(BASE)
    changed = QUANTITIES[quantity].change(scenario, value)
    assert changed.model_dump() == parasim.load(scenario, overrides).model_dump()
    # Nothing that was left out is said to have been given.
    assert changed.model_fields_set <= scenario.model_fields_set | {"server", "local", "blocks"}


@pytest.mark.parametrize(
    ("quantity", "fields"),
    [
        ("rounds", {"participation": {"rounds": [[0], [1], [0], [1]]}}),
        ("rounds", {"blocks": {"schedule": [0, 1, 2, 3]}}),
        ("clients", {"participation": {"rounds": [[7], [7], [7], [7]]}}),
        ("clients", {"compute": {"seconds": [1, 2, 3, 4, 5, 6, 7, 8]}}),
    ],
)
def test_what_a_scenario_lists_one_by_one_forbids_the_question(quantity: str, fields: dict[str, Any]):
    # The scenario itself is right: it is the question that cannot be asked about it.
    parasim.load(BASE | fields)
    with pytest.raises(ScenarioError, match=rf"^--solve-for {quantity}: ") as refusal:
        parasim.plan(BASE | fields, within="1h", solve_for=quantity, jobs=1)
    assert "scenario:" not in str(refusal.value)


def test_a_speed_that_no_scenario_can_have_is_refused():
    with pytest.raises(ScenarioError, match="speed"):
        changes.with_speedup(parasim.load(BASE), 1e7)
