"""What a recipe changes about a step, counted by hand on a Llama of four small layers."""

from __future__ import annotations

from typing import Any

import pytest

from parasim_core.calibration.devices.operators import Operators, Phase, one_step
from parasim_core.calibration.memory.alike_layers import trace_step
from parasim_core.calibration.memory.allocations import Category
from parasim_core.calibration.memory.recipe import NF4_BYTES, Recipe, recipe_of
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
from parasim_core.calibration.memory.trace import StepTrace
from parasim_core.sim.errors import CostError, ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.methods import Trains
from tests.train.tiny import CONFIG

TINY = "tiny"
EVERYTHING = Trains.EVERYTHING
PLAIN: Any = {"master": False, "delta": False}
"""Of a step as most scripts write it."""


def traced(
    trains: Trains = EVERYTHING, *, config: Any = CONFIG, checkpointing: Any = False, **recipe: Any
) -> StepTrace:
    step = TracedStep(
        trains,
        None,
        2,
        8,
        lora=Lora(rank=2, targets="all-linear"),
        checkpointing=checkpointing,
        recipe=Recipe(**recipe),
    )
    return ShapeModel(TINY, config=config).trace(step)


def flops(operators: Operators) -> float:
    return sum(operator.flops * calls for operator, calls in operators.items())


def traffic(operators: Operators) -> float:
    return sum(operator.traffic * calls for operator, calls in one_step(operators).items() if not operator.flops)


@pytest.fixture(scope="module")
def parameters() -> list[int]:
    """Sizes of the model's tensors."""
    return [parameter.numel() for parameter in ShapeModel(TINY, config=CONFIG)._model.parameters()]


@pytest.fixture(scope="module")
def plain() -> StepTrace:
    return traced(**PLAIN)


def test_pure_bfloat16_has_no_master_and_short_moments(plain: StepTrace, parameters: list[int]) -> None:
    # Two moments of 2 bytes a parameter, and a float32 step counter for every tensor; AdamW works on the weights.
    held = plain.peak.by_category
    assert held[Category.MASTER] == held[Category.WORKING_COPY] == 0
    assert held[Category.MOMENTS] == 4 * sum(parameters) + 4 * len(parameters)


def test_eight_bit_moments_take_a_byte_and_a_scale() -> None:
    # Each tensor's two moments: of 4,096 values or more, a byte a value and 4 bytes for every 256; of fewer, float32.
    wide = {**CONFIG, "hidden_size": 64, "intermediate_size": 96}
    # A layer of width 64, whose one key and value head is 32 wide: q, o of 4,096 values, k, v of 2,048, three of 6,144.
    large, small = 4 * (2 * 4096 + 3 * 6144), 4 * (2 * 2048 + 2 * 64) + 64 + 2 * 24 * 64
    counters = 4 * (4 * 9 + 3)
    for how in ({"delta": False}, {}):
        held = traced(config=wide, master=False, optimizer="adamw-8bit", **how).peak.by_category
        assert held[Category.MOMENTS] == 2 * (large * 260 // 256 + small * 4) + counters


def test_a_client_without_a_master_holds_the_weights_twice(parameters: list[int]) -> None:
    # Of P parameters in bfloat16: 2 P of weights, 2 P that are trained, 4 P of moments, and either 2 P of gradients, in
    # AdamW's step, or 4 P of differences in float32 in the moments' place; with a master, 4 P more and all but the
    # weights in float32.
    count, tensors = sum(parameters), len(parameters)
    pure, usual = traced(master=False), traced()
    sizes = [pure.peak.by_category[kind] for kind in (Category.WEIGHTS, Category.WORKING_COPY, Category.MASTER)]
    buffers = sizes[0] - 2 * count
    assert sizes[1:] == [2 * count, 0]
    assert buffers == usual.peak.by_category[Category.WEIGHTS] - 2 * count < 0.05 * count
    update = next(peak for peak in pure.peaks if peak.by_category[Category.GRADIENTS] == 2 * count)
    assert update.by_category[Category.MOMENTS] == 4 * count + 4 * tensors
    longest = usual.peak.by_category
    assert longest[Category.MASTER] == 4 * count
    assert longest[Category.MOMENTS] == 8 * count + 4 * tensors
    # The last gradient, of 24 x 16 embeddings, is still there in bfloat16 when it is in float32 too.
    assert max(peak.by_category[Category.GRADIENTS] for peak in usual.peaks) == 4 * count + 2 * 24 * 16
    # Nothing of the optimizer is left where the differences are made.
    assert pure.peak.total < usual.peak.total - 6 * count


def test_a_second_batch_runs_beside_the_gradients_of_the_first(parameters: list[int]) -> None:
    # In a second backward pass, all gradients are there when the activations are: one batch has them only one by one.
    one, two = (
        ShapeModel(TINY, config=CONFIG).trace(
            TracedStep(EVERYTHING, None, 2, 8, accumulation=batches, recipe=Recipe(master=False))
        )
        for batches in (1, 2)
    )
    both = [
        max(peak.by_category[Category.GRADIENTS] for peak in trace.peaks if peak.by_category[Category.ACTIVATIONS])
        for trace in (one, two)
    ]
    assert both[0] < both[1] == 2 * sum(parameters)


def test_a_scenario_says_how_it_is_trained() -> None:
    fields = {"model": "llama-3-8b", "method": "fedit"}

    def recipe(precision: str = "bfloat16", **train: Any) -> Recipe:
        return recipe_of(Scenario.parse(fields | {"train": train}), precision)

    assert recipe_of(Scenario.parse(fields)) == recipe(learning_rate=1) == Recipe()
    assert recipe("float32") == Recipe(weights="float32")
    # What a device would choose is not asked where the scenario says it.
    assert recipe("float32", weights="bfloat16", master_weights=False) == Recipe(master=False)
    assert recipe(optimizer="adamw-8bit") == Recipe(master=False, optimizer="adamw-8bit")
    qlora = Recipe(weights="nf4", master=False, optimizer="paged-adamw-8bit", adapters="float32")
    assert recipe(weights="nf4", optimizer="paged-adamw-8bit", adapters="float32") == qlora
    assert qlora.mixed
    assert qlora.traced_in == "bfloat16"
    said = recipe(loss="chunked", attention="eager", kernels="compiled")
    assert said == Recipe(loss="chunked", attention="eager", kernels="compiled")
    # Of what has no adapters, nothing is float32 and nothing multiplied otherwise.
    assert recipe_of(Scenario.parse(fields | {"method": "fedbcd", "train": {"adapters": "float32"}})) == Recipe()
    with pytest.raises(ScenarioError, match=r"train\.weights: is nf4 with method fedbcd"):
        recipe_of(Scenario.parse(fields | {"method": "fedbcd", "train": {"weights": "nf4"}}))


def test_a_recipe_in_words_names_what_is_priced() -> None:
    qlora = Recipe(weights="nf4", master=False, optimizer="paged-adamw-8bit", adapters="float32")
    assert qlora.words == (
        "weights in 4 bits (nf4), float32 adapters, paged 8-bit AdamW on the trained weights themselves, fused "
        "attention, eager kernels, logits of all tokens at once"
    )
    assert [text.partition(" (")[0] for text in qlora.inexact] == ["4-bit weights", "paged-adamw-8bit"]
    assert Recipe().inexact == ()


def test_nothing_is_counted_of_an_update_that_a_recipe_leaves_out(plain: StepTrace) -> None:
    without = traced(**PLAIN, optimizer="none")
    assert not any("adamw" in operator.name for operator in without.operators)
    assert flops(without.operators) == flops(plain.operators)


def test_moments_filled_with_zeros_belong_to_no_later_step(plain: StepTrace) -> None:
    # The step's update is one fused call of AdamW, and nothing that fills.
    names = {operator.name for operator in one_step(plain.operators) if operator.phase is Phase.OPTIMIZER}
    assert "aten._fused_adamw_" in names
    assert not names & {"aten.zeros_like", "aten.zeros", "aten.fill_"}


def test_four_bit_weights_are_small_and_brought_back_for_every_product() -> None:
    # Linear weights of four layers: 4 x (2 h^2 + 2 h kv + 3 h mlp); each is unpacked in the forward pass, and again for
    # the gradient of what goes into it, which the lowest layer's q, k and v need for the adapters alone.
    whole, packed = traced(Trains.LORA, **PLAIN), traced(Trains.LORA, **PLAIN, weights="nf4")
    layer = 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 24
    saved = whole.peak.by_category[Category.WEIGHTS] - packed.peak.by_category[Category.WEIGHTS]
    assert saved == pytest.approx(4 * layer * (2 - NF4_BYTES), abs=4 * 7)
    unpacked = sum(calls for operator, calls in packed.operators.items() if operator.name == "dequantize")
    assert 4 * 7 < unpacked <= 2 * 4 * 7
    assert flops(packed.operators) == flops(whole.operators)


def test_float32_adapters_hold_twice_as_much(parameters: list[int]) -> None:
    narrow, wide = traced(Trains.LORA, **PLAIN), traced(Trains.LORA, **PLAIN, adapters="float32")
    counters = 4 * 2 * 4 * 7
    moments = [trace.peak.by_category[Category.MOMENTS] - counters for trace in (narrow, wide)]
    assert moments[1] == 2 * moments[0] > 0
    # In mixed precision they are multiplied in bfloat16 all the same.
    assert {operator.precision for operator in wide.operators if operator.shape} == {"bfloat16"}


def test_eager_attention_multiplies_what_the_fused_kernel_need_not(plain: StepTrace) -> None:
    # Fused, under a causal mask, 8 queries see 4.5 keys on average; eager, all 8: 16/9 times as many products forward.
    eager = traced(**PLAIN, attention="eager").operators
    fused = sum(o.flops * n for o, n in plain.operators.items() if "dot_product" in o.name and o.phase is Phase.FORWARD)
    products = sum(o.flops * n for o, n in eager.items() if o.name == "aten.bmm" and o.phase is Phase.FORWARD)
    rotary = sum(o.flops * n for o, n in plain.operators.items() if o.name == "aten.bmm" and o.phase is Phase.FORWARD)
    assert not any("dot_product" in operator.name for operator in eager)
    assert (products - rotary) * 9 == fused * 16


def test_dropout_does_not_undo_fused_attention() -> None:
    dropping = traced(config={**CONFIG, "attention_dropout": 0.1}, **PLAIN)
    assert any("dot_product" in operator.name for operator in dropping.operators)


def test_a_chunked_head_computes_the_same_and_holds_no_logits(plain: StepTrace) -> None:
    # The last token of each row predicts nothing: 14 of 16 go through the head, forward and twice backward.
    chunked = traced(**PLAIN, loss="chunked")
    assert flops(plain.operators) - flops(chunked.operators) == 3 * 2 * (16 - 14) * 24 * 16
    assert chunked.peak.by_category[Category.LOGITS] == 0


@pytest.mark.parametrize("kernels", ["fused", "compiled"])
def test_fused_kernels_move_less_and_compute_the_same(plain: StepTrace, kernels: str) -> None:
    fused = traced(**PLAIN, kernels=kernels)
    assert flops(fused.operators) == flops(plain.operators)
    assert traffic(fused.operators) < 0.8 * traffic(plain.operators)
    assert fused.peak.total < plain.peak.total


def test_selective_checkpointing_lies_between_none_and_all(plain: StepTrace) -> None:
    part, whole = (traced(**PLAIN, checkpointing=how) for how in ("selective", True))
    assert flops(plain.operators) < flops(part.operators) < flops(whole.operators)


@pytest.mark.parametrize("recipe", [{}, {**PLAIN}, {**PLAIN, "kernels": "compiled"}])
@pytest.mark.parametrize("trains", [Trains.EVERYTHING, Trains.LORA])
def test_a_deep_model_is_two_shallow_ones_continued(recipe: Any, trains: Trains) -> None:
    deep = {**CONFIG, "num_hidden_layers": 10}
    step = TracedStep(trains, None, 2, 8, lora=Lora(rank=2, targets="all-linear"), recipe=Recipe(**recipe))
    whole = ShapeModel(TINY, config=deep).trace(step)
    continued = trace_step(TINY, deep, "bfloat16", step, granularity=1)
    assert continued.peak.total == whole.peak.total
    assert flops(continued.operators) == flops(whole.operators)
    assert traffic(continued.operators) == pytest.approx(traffic(whole.operators), rel=1e-3)
    calls = [sum(one_step(trace.operators).values()) for trace in (continued, whole)]
    assert calls[0] == calls[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights": "int3"}, "weights is 'int3', allowed are bfloat16, float32"),
        ({"gpus": 0}, "gpus is 0, allowed are whole numbers from 1 on"),
        ({"sharded": True}, "allowed with sharded are whole numbers from 2 on"),
        ({"sharded": 1}, "sharded is 1, allowed are true and false"),
        ({"weights": "nf4"}, "4-bit weights are not trained"),
        ({"optimizer": "adamw-8bit"}, "allowed with master is adamw"),
    ],
)
def test_what_no_recipe_can_say(fields: Any, words: str) -> None:
    with pytest.raises(CostError) as error:
        Recipe(**fields)
    assert words in str(error.value)
