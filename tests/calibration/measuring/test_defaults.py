"""What is measured by default fits the model: its depth, width, modules and positions."""

from __future__ import annotations

from typing import Any

import pytest

from parasim_core.calibration.measuring.configuration import longest_sequence
from parasim_core.calibration.measuring.defaults import default_levels, default_targets
from parasim_core.calibration.measuring.plan import MeasuringPlan, check_enough, planned_points
from parasim_core.sim.errors import ArchitectureError
from parasim_core.sim.workload.architecture import from_config
from tests.calibration.synthetic import ARCHITECTURE, CONFIG

GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 96,
    "n_embd": 16,
    "n_layer": 3,
    "n_head": 2,
    "n_positions": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
OPT: dict[str, Any] = {
    "model_type": "opt",
    "vocab_size": 96,
    "hidden_size": 16,
    "ffn_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "word_embed_proj_dim": 16,
}


def test_only_learned_positions_limit_a_sequence():
    assert longest_sequence(GPT2) == 64
    # Its table has two entries more, which stand for no position.
    assert longest_sequence(OPT) == 64
    assert longest_sequence(CONFIG) is None


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
@pytest.mark.parametrize(("config", "layers"), [(GPT2, 3), (OPT, 2), (CONFIG, 8), (CONFIG, 3), (CONFIG, 1)])
def test_the_defaults_can_be_planned(config: dict[str, Any], layers: int, kind: str):
    depth = "n_layer" if config is GPT2 else "num_hidden_layers"
    model = from_config(config | {depth: layers}, "small")
    longest = longest_sequence(config)
    levels = default_levels(kind, model, longest)
    assert max(levels["layers"]) <= layers
    # The model is 16 wide.
    assert levels["ranks"] == (16,)
    # A length in the middle is left to be held out.
    assert len(levels["sequence_lengths"]) >= 3
    planned = planned_points(MeasuringPlan.model_validate(levels), model, longest=longest)
    check_enough(planned.values(), "are planned")


def test_the_usual_modules_of_each_family():
    assert default_targets(ARCHITECTURE) == ("q_proj", "v_proj")
    assert default_targets(from_config(GPT2, "small")) == ("c_attn",)


def test_long_sequences_are_left_out():
    model = from_config(GPT2, "small")
    assert default_levels("cuda", model, None)["sequence_lengths"] == (256, 512, 1024, 2048)
    assert default_levels("cuda", model, 1024)["sequence_lengths"] == (256, 512, 1024)
    assert default_levels("cuda", model, 64)["sequence_lengths"] == (16, 32, 64)


def test_a_configuration_that_transformers_refuses():
    with pytest.raises(ArchitectureError, match="multiple"):
        longest_sequence(CONFIG | {"hidden_size": 18, "num_attention_heads": 4, "head_dim": 4})
