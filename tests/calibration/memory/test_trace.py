"""Traces of a Llama small enough to count by hand, and their sums and bounds on random steps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from parasim_core.calibration.devices.operators import Operators, Phase, one_step
from parasim_core.calibration.memory.allocations import Category, Ledger
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep, filled_batch
from parasim_core.sim.errors import ArchitectureError, CostError
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.blocks import lora_parameters, partition
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.blocks import activate, block_parameters
from parasim_core.train.models.building import random_model
from parasim_demonstration.models import demonstration_config
from tests.train.tiny import CONFIG, tiny_model

LAYERS, HIDDEN, MLP, VOCABULARY, WIDTH_OF_KEYS = 4, 16, 24, 24, 8
"""The tiny model: 2 heads of 8 for queries, 1 for keys and values."""
LAYER_WEIGHTS = 2 * HIDDEN**2 + 2 * HIDDEN * WIDTH_OF_KEYS + 3 * HIDDEN * MLP
MODEL_PARAMETERS = LAYERS * (LAYER_WEIGHTS + 2 * HIDDEN) + 2 * VOCABULARY * HIDDEN + HIDDEN
ADAPTER = Lora(rank=2, targets=("q_proj", "v_proj"))


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def shapes(request: Any, tmp_path_factory: Any) -> ShapeModel:
    return ShapeModel(str(config_file(tmp_path_factory.mktemp("model"))), request.param)


@pytest.fixture(scope="module")
def single(tmp_path_factory: Any) -> ShapeModel:
    return ShapeModel(str(config_file(tmp_path_factory.mktemp("model"))), "float32")


def config_file(folder: Path) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


def block(shapes: ShapeModel, index: int, layers: float = 1) -> TracedStep:
    return TracedStep(Trains.BLOCK, partition(shapes.architecture, layers)[index], 2, 8, lora=ADAPTER)


def total_flops(operators: Operators, phases: Iterable[Phase] = Phase) -> int:
    return sum(operator.flops * calls for operator, calls in operators.items() if operator.phase in phases)


def matrix_flops(step_of: Operators) -> int:
    return sum(operator.flops * calls for operator, calls in step_of.items() if "attention" not in operator.name)


@pytest.mark.parametrize("index", range(LAYERS))
def test_matrix_operations_of_a_block_by_hand(shapes: ShapeModel, index: int) -> None:
    # With n tokens: forward 2 n W for every layer and 2 n h V for the head. Backward: the head's input gradient, and
    # the input gradients of every layer above the block. The block itself: weight gradients 2 n W and input gradients
    # 2 n W, but nothing wants the gradient of its own input, so q, k and v (h (h + 2 kv) weights) have none.
    tokens = 2 * 8
    above = LAYERS - 1 - index
    head, layer, inputs = VOCABULARY * HIDDEN, LAYER_WEIGHTS, HIDDEN * (HIDDEN + 2 * WIDTH_OF_KEYS)
    expected = 2 * tokens * (2 * head + LAYERS * layer + above * layer + 2 * layer - inputs)
    # Below the block nothing is differentiated: its norm's weight alone needs the gradient of q, k and v's input.
    expected += 2 * tokens * inputs
    trace = shapes.trace(block(shapes, index))
    assert matrix_flops(trace.operators) == expected


def test_operations_are_what_torch_counts_in_a_real_step(single: ShapeModel) -> None:
    # The same forward and backward pass with real tensors under FlopCounterMode; it knows no formula for the CPU's
    # fused attention, so that is compared by hand: forward 4 b h s^2 d, backward 2.5 times as much, and of both what a
    # causal mask leaves, (s + 1) / 2s.
    step = block(single, 1)
    model: Any = tiny_model()
    assert step.block is not None
    activate(model, block_parameters(model, step.block))
    with FlopCounterMode(display=False) as counted:
        model(**filled_batch(single.config, step)).loss.backward()
    operators = single.trace(step).operators
    assert matrix_flops(operators) == counted.get_total_flops()
    attention = 4 * 2 * 2 * 8**2 * 8 * 9 // 16
    assert total_flops(operators) - matrix_flops(operators) == LAYERS * attention + 3 * attention * 5 // 2


def test_categories_of_a_block_by_hand(shapes: ShapeModel) -> None:
    # Weights p w bytes, and 4 rotary frequencies, twice, in float32 always; the block's working copy p_b w; in bfloat16
    # a master of 4 p_b; moments 8 p_b, and a step counter of 4 bytes for every tensor.
    step = block(shapes, 0)
    assert step.block is not None
    own, tensors = step.block.parameters, 9
    width = 2 if shapes.precision == "bfloat16" else 4
    found = shapes.trace(step).peak.by_category
    assert found[Category.WEIGHTS] == width * MODEL_PARAMETERS + 2 * 4 * 4
    assert found[Category.WORKING_COPY] == width * own
    assert found[Category.MASTER] == (4 * own if width == 2 else 0)
    assert found[Category.MOMENTS] == 8 * own + 4 * tensors


def test_a_block_holds_activations_of_the_layers_from_it_on(single: ShapeModel) -> None:
    # Every layer further down adds the same activations: the differences are equal, and a top block has least.
    kept = [activations(single, block(single, index)) for index in reversed(range(LAYERS))]
    steps = [after - before for before, after in pairwise(kept)]
    assert len(set(steps)) == 1
    assert steps[0] > 0


def activations(shapes: ShapeModel, step: TracedStep) -> int:
    return shapes.trace(step).peak.by_category[Category.ACTIVATIONS]


def test_checkpointing_keeps_less_and_computes_more(single: ShapeModel) -> None:
    # Only the inputs of the layers are kept, and every layer from the block on runs forward once more, up to the last
    # value that its backward pass needs: the product of the down projection is not.
    plain = block(single, 0)
    recomputed = TracedStep(Trains.BLOCK, plain.block, 2, 8, checkpointing=True)
    kept, again = single.trace(plain), single.trace(recomputed)
    assert again.peak.by_category[Category.ACTIVATIONS] < kept.peak.by_category[Category.ACTIVATIONS]
    layer = 2 * 2 * 8 * (LAYER_WEIGHTS - HIDDEN * MLP)
    assert matrix_flops(again.operators) - matrix_flops(kept.operators) == LAYERS * layer


def test_accumulation_keeps_the_sum_of_gradients_and_repeats_the_passes(single: ShapeModel) -> None:
    # The second forward pass runs beside the gradients of the first: 4 p_b bytes more; operations double.
    once = block(single, 0)
    assert once.block is not None
    twice = TracedStep(Trains.BLOCK, once.block, 2, 8, accumulation=2)
    first, second = single.trace(once), single.trace(twice)
    assert second.peak.by_category[Category.GRADIENTS] == 4 * once.block.parameters
    assert total_flops(second.operators) == 2 * total_flops(first.operators)


@pytest.mark.parametrize("trains", [Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA])
def test_adapters_by_hand(shapes: ShapeModel, trains: Trains) -> None:
    # The adapter adds A and B to the weights; moments are there for what is trained: both, or B alone.
    a, b = lora_parameters(shapes.architecture, ADAPTER.rank, ADAPTER.targets)
    trained = b if trains is Trains.LORA_B else a + b
    tensors = 2 * LAYERS * (1 if trains is Trains.LORA_B else 2)
    plain = shapes.trace(block(shapes, 0)).peak.by_category
    found = shapes.trace(TracedStep(trains, None, 2, 8, lora=ADAPTER)).peak.by_category
    width = 2 if shapes.precision == "bfloat16" else 4
    assert found[Category.WEIGHTS] - plain[Category.WEIGHTS] == width * (a + b)
    assert found[Category.MOMENTS] == 8 * trained + 4 * tensors


def test_everything_holds_gradients_and_moments_of_all_weights(single: ShapeModel) -> None:
    tensors = LAYERS * 9 + 3
    trace = single.trace(TracedStep(Trains.EVERYTHING, None, 2, 8))
    assert trace.peak.by_category[Category.MOMENTS] == 8 * MODEL_PARAMETERS + 4 * tensors
    # Weight gradients of every matrix: the backward pass costs twice the forward pass but for the embeddings, and the
    # input gradient of the first layer's matrices goes on to the embeddings.
    forward = total_flops(trace.operators, [Phase.FORWARD])
    attention = LAYERS * 4 * 2 * 2 * 8**2 * 8 * 9 // 16
    backward = total_flops(trace.operators, [Phase.BACKWARD])
    assert backward == 2 * (forward - attention) + attention * 5 // 2


def test_a_trace_leaves_the_model_as_it_was(single: ShapeModel) -> None:
    before = single.trace(block(single, 1))
    for step in (
        TracedStep(Trains.LORA, None, 2, 8, lora=ADAPTER),
        TracedStep(Trains.EVERYTHING, None, 1, 8, checkpointing=True),
    ):
        single.trace(step)
    after = single.trace(block(single, 1))
    assert after.peak == before.peak
    assert after.operators == before.operators


# Of 11 x 11 scores a causal mask leaves 66, a share that no float holds.
@example(0, 3, 11, False)
@settings(max_examples=5, deadline=None)
@given(st.integers(0, LAYERS - 1), st.integers(1, 4), st.integers(1, 16), st.booleans())
def test_operations_are_linear_in_the_batch_and_memory_grows_with_it(
    single: ShapeModel, index: int, batch_size: int, tokens: int, checkpointing: bool
) -> None:
    own = partition(single.architecture, 1)[index]
    small, large = (
        single.trace(TracedStep(Trains.BLOCK, own, size, tokens, checkpointing=checkpointing))
        for size in (batch_size, 2 * batch_size)
    )
    assert total_flops(large.operators) == 2 * total_flops(small.operators)
    assert large.peak.total >= small.peak.total
    # Neither the optimizer nor the delta multiplies matrices, and what is done once per update is none of a step.
    in_passes = total_flops(small.operators, [Phase.FORWARD, Phase.BACKWARD])
    assert in_passes == total_flops(small.operators) == total_flops(one_step(small.operators))


def test_padding_costs_masks_and_copies_of_grouped_keys(single: ShapeModel) -> None:
    plain = block(single, 0)
    padded = TracedStep(Trains.BLOCK, plain.block, 2, 8, padded=True)
    assert activations(single, padded) > activations(single, plain)


def test_the_ledger_plays_back_with_moments_from_the_start() -> None:
    # 100 B of weights; 60 B held and freed, then 50 B of moments: beside them the 60 B make 210 B, not 160 B.
    ledger = Ledger()
    ledger.allocate(100, Category.WEIGHTS)
    passing = ledger.allocate(60)
    ledger.free(passing)
    ledger.allocate(50, Category.MOMENTS)
    peak = ledger.peak()
    assert peak.total == 210
    assert peak.by_category[Category.TEMPORARIES] == 60


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.booleans()), max_size=30), st.sampled_from([1, 512, 4096]))
def test_the_ledgers_peak_is_the_highest_running_sum(events: list[tuple[int, bool]], granularity: int) -> None:
    ledger, level, highest, open_ones = Ledger(granularity), 0, 0, []
    for size, free_one in events:
        holding = ledger.allocate(size)
        assert holding.size % granularity == 0
        assert 0 <= holding.size - size < granularity
        open_ones.append(holding)
        level += holding.size
        highest = max(highest, level)
        if free_one:
            freed = open_ones.pop(0)
            ledger.free(freed)
            level -= freed.size
    assert ledger.peak().total == highest


@pytest.mark.parametrize(
    ("index", "teraflops"),
    [(0, 63.264868270080), (7, 50.757923504128), (15, 36.464272343040)],
)
def test_llama_3_8b_two_layer_blocks(llama: ShapeModel, index: int, teraflops: float) -> None:
    # Batch 4 x 512. Forward: 2 n (32 layers x 218.1 M + 4096 x 128256); bottom block: the same backward but for the
    # two layers' weight gradients on top, and so on up. Known: 63, 51 and 36 TFLOP for bottom, middle and top.
    trace = llama.trace(TracedStep(Trains.BLOCK, partition(llama.architecture, 2)[index], 4, 512))
    assert matrix_flops(trace.operators) / 1e12 == pytest.approx(teraflops, rel=1e-12)
    # 8.03 B weights of 2 B; a block of 436.2 M has 2 B of copy, 4 B of master and 8 B of moments each.
    found = trace.peak.by_category
    assert found[Category.WEIGHTS] == pytest.approx(2 * llama.architecture.parameters, rel=1e-6)
    assert found[Category.MOMENTS] == pytest.approx(8 * 436_224_000, rel=1e-6)


@pytest.fixture(scope="module")
def llama() -> ShapeModel:
    return ShapeModel("llama-3-8b")


@pytest.mark.parametrize("model", ["llama-3.2-3b", "qwen2.5-1.5b", "smollm2-135m", "gpt2", "vit-b16", "demo"])
def test_models_of_the_catalogue_are_traced(model: str) -> None:
    # A top block trains one layer: forward 2 n W at least, whatever the family.
    shapes = ShapeModel(model)
    step = TracedStep(Trains.BLOCK, partition(shapes.architecture, 1)[-1], 1, 8)
    tokens = 197 if model == "vit-b16" else 8
    matrices = sum(linear.inputs * linear.outputs for linear in shapes.architecture.linears())
    trace = shapes.trace(step)
    assert total_flops(trace.operators, [Phase.FORWARD]) >= 2 * tokens * matrices
    assert trace.peak.total > 2 * shapes.architecture.parameters


def test_the_demonstration_is_the_one_that_the_trainer_builds() -> None:
    built = random_model(demonstration_config(), seed=0)
    assert ShapeModel("demo").architecture.parameters == sum(parameter.numel() for parameter in built.parameters())


def test_what_cannot_be_traced_says_so(single: ShapeModel) -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'llama-3-8b'"):
        ShapeModel("llama-3-8")
    with pytest.raises(CostError, match="bfloat16 and float32"):
        ShapeModel("demo", "float16")
    with pytest.raises(CostError, match="needs a block"):
        TracedStep(Trains.BLOCK)
    for size in (0, 2.5, "2", True, None):
        with pytest.raises(CostError, match="batch_size"):
            TracedStep(Trains.EVERYTHING, batch_size=size)  # type: ignore[arg-type]
    with pytest.raises(CostError, match="1024"):
        ShapeModel("gpt2").trace(TracedStep(Trains.EVERYTHING, sequence_length=1025))
