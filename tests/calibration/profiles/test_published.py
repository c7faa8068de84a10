"""What the published profile covers, and that everything else is an error that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

import parasim
from parasim_core.calibration.paper.cells import paper_setting
from parasim_core.sim.errors import CostError


def setting(**fields: Any) -> dict[str, Any]:
    return paper_setting("llama-3-8b") | fields


def compute_of(data: dict[str, Any]) -> dict[str, Any]:
    compute = parasim.simulate(data).provenance["compute"]
    assert isinstance(compute, dict)
    return compute


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": "qwen2.5-7b"}, "llama-3-8b and llama-3.2-3b"),
        ({"local": {"batch_size": 16}}, "2 to 8"),
        ({"local": {"batch_size": 1}}, "2 to 8"),
        ({"local": {"sequence_length": 1024}}, "sequence length 1024"),
        ({"fleet": [{"device": "h101"}]}, "did you mean 'h100'"),
        ({"compute": {"profile": "paper-a100", "dataset": "alpaca"}}, "did you mean 'alpaca-gpt4'"),
        ({"method": "fedit", "lora": {"rank": 8}}, "rank 32 on q_proj and v_proj"),
        ({"method": "flora", "lora": {"targets": "all-linear"}}, "rank 32 on q_proj and v_proj"),
        ({"compute": {"profile": "paper-a1000"}}, "did you mean 'paper-a100'"),
    ],
)
def test_what_is_not_covered_is_an_error(fields: dict[str, Any], named: str):
    with pytest.raises(CostError, match=named) as raised:
        parasim.simulate(setting(**fields))
    assert "calibrate" in str(raised.value)


def test_fitted_predicted_and_extrapolated_are_told_apart():
    assert compute_of(setting())["origin"] == "fitted"
    assert compute_of(setting(blocks={"layers": 4}))["origin"] == "predicted"
    assert compute_of(setting(local={"batch_size": 3}))["origin"] == "predicted"
    beyond = compute_of(setting(local={"batch_size": 8}))
    assert beyond["origin"] == "extrapolated"
    assert any("batch size 8" in note for note in beyond["notes"])
    assert compute_of(setting(local={"steps": 80}))["origin"] == "extrapolated"


def test_what_training_adds_to_a_step_is_priced_or_said():
    # Two batches a step: twice the passes; the optimizer's share of a step is not published.
    once, twice = (parasim.simulate(setting(rounds=1, train={"accumulation": batches})) for batches in (1, 2))
    assert twice.mean("compute") == pytest.approx(2 * once.mean("compute"))
    for train in ({"accumulation": 2}, {"activation_checkpointing": True}, {"optimizer": "adamw-8bit"}):
        compute = compute_of(setting(train=train))
        assert compute["origin"] == "extrapolated"
        assert any(f"train.{field}" in note for note in compute["notes"] for field in train)


def test_batch_sizes_lie_on_the_line_through_the_two_published_ones():
    # 21.897 s at 2 and 39.449 s at 4: 39.449 + 2 x 17.551 = 74.551 at 8.
    seconds = {
        batch: parasim.simulate(setting(local={"batch_size": batch}, rounds=1)).mean("compute") for batch in (2, 4, 8)
    }
    assert seconds[8] == pytest.approx(seconds[4] + 2 * (seconds[4] - seconds[2]))


def test_a_faster_client_takes_less_time():
    once = parasim.simulate(setting(rounds=1)).mean("compute")
    assert parasim.simulate(setting(rounds=1, fleet=[{"speed": 2.0}])).mean("compute") == pytest.approx(once / 2)


def test_wider_blocks_cost_more_and_narrower_ones_less():
    # 6.1207 s per 1e9 weights: one layer of 218.112 M more or less than two is 1.335 s.
    two = parasim.simulate(setting(rounds=1)).mean("compute")
    one = parasim.simulate(setting(rounds=1, blocks={"layers": 1})).mean("compute")
    four = parasim.simulate(setting(rounds=1, blocks={"layers": 4})).mean("compute")
    assert two - one == pytest.approx(1.335, abs=1e-3)
    assert four - two == pytest.approx(2.670, abs=1e-3)


def test_the_gradient_pass_is_one_step_of_full_fine_tuning():
    # 39.449 s x 1.3264 / 40 steps, before 32 rounds of 39.449 s.
    data = setting(blocks={"layers": 2, "schedule": "gradient"})
    extra = parasim.simulate(data).mean("compute") - parasim.simulate(setting()).mean("compute")
    assert extra == pytest.approx(39.44868 * 1.326397 / 40, rel=1e-4)
