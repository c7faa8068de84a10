"""Deep models continued from shallow ones: the same operators, and so the same seconds, as the whole model's trace."""

from __future__ import annotations

from typing import Any

import pytest

from parasim_core.calibration.devices.catalogue import device
from parasim_core.calibration.devices.operators import Operator, Phase
from parasim_core.calibration.devices.prediction import step_seconds
from parasim_core.calibration.memory.alike_layers import continued_operators, trace_step
from parasim_core.calibration.memory.recipe import Recipe
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.blocks import partition
from parasim_core.sim.workload.methods import Trains
from tests.train.tiny import CONFIG

DEEP = CONFIG | {"num_hidden_layers": 12}
# Five layers that attend to a window before one that attends to all: two kinds, alike in their sizes.
WINDOWS = DEEP | {
    "model_type": "gemma3_text",
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 2,
    "sliding_window": 4,
    "query_pre_attn_scalar": 8,
    "head_dim": 8,
}
# What a model with towers beside its text layers says of these stands in a part of its configuration.
WITHIN = {"model_type": "gemma3", "text_config": WINDOWS}


def both(config: dict[str, Any], step: TracedStep) -> tuple[float, float]:
    """Seconds of a step by shallow models and by the whole one, where every operator counts."""
    shallow = trace_step("tiny", config, "bfloat16", step, granularity=512)
    whole = ShapeModel("tiny", config=config).trace(step, granularity=512)
    on = device("t4")
    return step_seconds(shallow.operators, on), step_seconds(whole.operators, on)


@pytest.mark.parametrize(
    ("config", "width"),
    [(DEEP, 2), (WINDOWS, 0.5), (WINDOWS, 1), (WINDOWS, 4), (WITHIN, 1)],
    ids=["alike-2", "windows-0.5", "windows-1", "windows-4", "within-1"],
)
def test_blocks_anywhere_take_as_long_as_in_the_whole_model(config: dict[str, Any], width: float) -> None:
    blocks = partition(ShapeModel("tiny", config=config).architecture, width)
    for block in (blocks[0], blocks[len(blocks) // 2], blocks[-1]):
        continued, whole = both(config, TracedStep(Trains.BLOCK, block, 2, 8))
        assert continued == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("trains", [Trains.EVERYTHING, Trains.LORA, Trains.LORA_B])
@pytest.mark.parametrize("config", [DEEP, WINDOWS], ids=["alike", "windows"])
def test_adapters_and_everything_take_as_long_as_in_the_whole_model(config: dict[str, Any], trains: Trains) -> None:
    continued, whole = both(config, TracedStep(trains, None, 2, 8, lora=Lora(rank=2)))
    assert continued == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize(
    "said", [{"checkpointing": True}, {"accumulation": 2}, {"recipe": Recipe(master=False, kernels="compiled")}]
)
def test_however_a_block_is_trained(said: dict[str, Any]) -> None:
    block = partition(ShapeModel("tiny", config=DEEP).architecture, 2)[2]
    continued, whole = both(DEEP, TracedStep(Trains.BLOCK, block, 2, 8, **said))
    assert continued == pytest.approx(whole, rel=1e-9)


def test_layers_that_differ_in_what_is_not_listed_are_traced_whole() -> None:
    # The first layer is dense, the others have experts; no list of the configuration says so.
    dense_first = CONFIG | {
        "model_type": "glm4_moe",
        "num_hidden_layers": 6,
        "first_k_dense_replace": 1,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 8,
        "head_dim": 8,
    }
    block = partition(ShapeModel("tiny", config=dense_first).architecture, 2)[1]
    continued, whole = both(dense_first, TracedStep(Trains.BLOCK, block, 2, 8))
    assert continued == whole


def test_calls_are_continued_by_operator_and_by_traffic_where_one_call_is_of_all_layers() -> None:
    def operator(traffic: int, name: str = "aten.add") -> Operator:
        return Operator(name, Phase.OPTIMIZER, "float32", 0, traffic)

    # Two layers call a small and a large addition once each, four layers twice; AdamW is one call, of 100 B for two
    # layers and of 180 B for four. Ten layers: 1 + (10 - 2) / 2 = 5 of each, and AdamW of 100 + 4 x 80 = 420 B.
    few = {operator(10): 1, operator(1000): 1, operator(100, "adamw"): 1}
    more = {operator(10): 2, operator(1000): 2, operator(180, "adamw"): 1}
    assert continued_operators(few, [(more, 4.0)]) == {operator(10): 5, operator(1000): 5, operator(420, "adamw"): 1}
