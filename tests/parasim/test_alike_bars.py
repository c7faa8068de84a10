"""Sweeps whose bars would be alike because nothing tells their runs apart are refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

import parasim
from parasim_core.sim.errors import ScenarioError

GIVEN = {"model": "llama-3-8b", "rounds": 2, "fleet": [{"count": 2}], "compute": {"seconds": 3}}
SIZED = GIVEN | {"payload": {"upload": "3MB"}}
BY_PROFILE = {"model": "llama-3-8b", "rounds": 2, "compute": {"profile": "paper-a100"}}


def seconds(given: Any) -> dict[str, Any]:
    return GIVEN | {"compute": {"seconds": given}}


@pytest.mark.parametrize(
    ("fields", "swept", "said"),
    [
        (GIVEN, {"batch_size": [2, 4]}, "batch_size 2 and 4: .*give it by batch size"),
        (GIVEN, {"vary": {"local.steps": [2, 4]}}, "local.steps 2 and 4: .*compute.seconds"),
        (GIVEN, {"vary": {"train.accumulation": [1, 2]}}, "train.accumulation 1 and 2: .*compute.seconds"),
        (GIVEN, {"vary": {"train.attention": ["fused", "eager"]}}, "train.attention fused and eager: .*seconds"),
        (SIZED | {"method": "fedit"}, {"vary": {"lora.rank": [2, 4]}}, "lora.rank 2 and 4: .*compute.seconds"),
        # Messages that are given take with them what else could tell models and methods apart.
        (SIZED, {"model": ["llama-3-8b", "llama-3.2-3b"]}, "model .*: .*give it by model"),
        (SIZED, {"method": ["fedit", "ffa-lora"]}, "method fedit and ffa-lora: .*give it by method"),
        (SIZED, {"method": ["parablock", "fedbcd", "full-ft"]}, "method fedbcd and full-ft"),
        (SIZED, {"vary": {"blocks.layers": [1, 2]}}, "blocks.layers 1 and 2"),
        # Given seconds are those of any device.
        (GIVEN, {"vary": {"fleet.0.device": ["a100", "h100"]}}, "fleet.0.device a100 and h100: .*speed"),
        (GIVEN, {"vary": {"fleet.*.device": ["a100", "null"]}}, "fleet.*.device a100 and null: .*speed"),
        # One value of many is enough, and one method of several.
        (seconds({"2": 3, "default": 3}), {"batch_size": [2, 4, 8]}, "batch_size 4 and 8"),
        (
            seconds({"parablock": {"2": 3, "4": 5}, "fedbcd": 2}),
            {"batch_size": [2, 4], "method": ["parablock", "fedbcd"]},
            "batch_size 2 and 4",
        ),
        # Whatever the costs are from.
        (BY_PROFILE, {"vary": {"prices.gpu_hour": ["1USD", "2USD"]}}, "prices.gpu_hour 1USD and 2USD"),
        (BY_PROFILE, {"vary": {"train.learning_rate": [1, 2]}}, "does not look at"),
        (
            GIVEN,
            {"vary": {"fleet.*.speed_jitter": ["{sigma: 0.1}", "null"]}},
            "their bars would be alike",
        ),
    ],
)
def test_a_sweep_of_what_changes_nothing_is_refused(fields: dict[str, Any], swept: dict[str, Any], said: str):
    with pytest.raises(ScenarioError, match=said) as raised:
        parasim.sweep(fields, **swept)
    assert "\n" not in str(raised.value)


def wall_clocks(fields: dict[str, Any], **swept: Any) -> list[float]:
    return [float(row["wall_clock_s"]) for row in parasim.sweep(fields, **swept).rows]


def test_seconds_that_are_told_apart_may_be_swept():
    two, four = wall_clocks(seconds({2: 3, 4: 5}) | {"method": "fedbcd"}, batch_size=[2, 4])
    assert four - two == pytest.approx(2 * (5 - 3))
    # Whoever says that they are equal may have it so.
    assert len(set(wall_clocks(seconds({2: 3, 4: 3}), batch_size=[2, 4]))) == 1


@pytest.mark.parametrize(
    "swept",
    [
        {"method": ["parablock", "fedbcd"]},
        {"bandwidth": ["1GB/s", "10MB/s"]},
        {"vary": {"blocks.layers": [1, 2]}},
        {"vary": {"compute.seconds": [1, 2]}},
        {"vary": {"fleet.0.speed": [1, 2]}},
        {"vary": {"fleet": ["[{device: a100, speed: 1}]", "[{device: h100, speed: 2}]"]}},
        # The same link, written in two ways.
        {"bandwidth": ["1MB/s", "8Mbit/s"]},
        # Blocks have no rank.
        {"vary": {"lora.rank": [2, 4]}},
        # The rank matters to the second method, and to none but it.
        {"vary": {"lora.rank": [2, 4]}, "method": ["parablock", "fedit"]},
        # That a wide link makes no difference is a result.
        {"vary": {"server.ingress": ["1000TB/s", "2000TB/s"]}},
        {"vary": {"seed": [1, 2]}},
    ],
)
def test_what_may_be_swept_with_given_seconds(swept: dict[str, Any]):
    assert len(parasim.sweep(GIVEN, **swept).rows) >= 2


def test_seconds_that_several_models_or_methods_share_are_said():
    for swept, what in (
        ({"model": ["llama-3-8b", "llama-3.2-3b"]}, "model"),
        ({"method": ["fedbcd", "fedit"]}, "method"),
        ({"vary": {"blocks.layers": [1, 2]}}, "blocks.layers"),
        ({"method": ["fedit"], "vary": {"lora.rank": [8, 16]}}, "lora.rank"),
    ):
        (note,) = parasim.sweep(GIVEN, **swept).notes
        assert f"the same for more than one {what}" in note
    # Blocks have no rank, and all that is trained has no width.
    assert parasim.sweep(GIVEN, vary={"lora.rank": [8, 16]}).notes == []
    assert parasim.sweep(GIVEN, method=["full-ft"], vary={"blocks.layers": [1, 2]}).notes == []
    # Both train the same blocks: their updates do take equally long.
    assert parasim.sweep(GIVEN, method=["parablock", "fedbcd"]).notes == []
    assert parasim.sweep(seconds({"fedbcd": 3, "fedit": 2}), method=["fedbcd", "fedit"]).notes == []


@pytest.mark.parametrize(
    ("fields", "asked", "shared"),
    [
        (GIVEN, {"within": "1h", "solve_for": "block-width"}, "several block widths"),
        (GIVEN, {"within": "1h", "solve_for": "bandwidth"}, ""),
        (GIVEN, {"break_even": ["parablock", "fedit"]}, "several methods"),
        (GIVEN, {"break_even": ["parablock", "fedbcd"]}, ""),
        (GIVEN, {"budget": "500USD", "method": ["fedbcd", "fedit"]}, "several methods and block widths"),
        (GIVEN, {"budget": "500USD", "method": ["fedit"]}, ""),
        (seconds({"parablock": 3, "fedit": 2}), {"break_even": ["parablock", "fedit"]}, ""),
        (BY_PROFILE, {"within": "1h", "solve_for": "block-width"}, ""),
    ],
)
def test_a_plan_says_what_it_compares_by_the_same_seconds(fields: dict[str, Any], asked: dict[str, Any], shared: str):
    said = [note for note in parasim.plan(fields, **asked).notes if "compute.seconds is the same" in note]
    assert len(said) == bool(shared)
    assert all(f"for {shared}:" in note for note in said)
