"""What GPUs hold and send that train one model together, counted by hand on Llama 3-8B."""

from __future__ import annotations

import pytest

from parasim_core.calibration.devices.operators import Phase
from parasim_core.calibration.memory.allocations import Category, Footprint
from parasim_core.calibration.memory.recipe import Recipe
from parasim_core.calibration.memory.together import Together, together
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import architecture
from parasim_core.sim.workload.blocks import partition
from parasim_core.sim.workload.methods import Trains

MODEL = architecture("llama-3-8b")
LAYER = 2 * 4096 * 4096 + 2 * 1024 * 4096 + 3 * 14336 * 4096 + 2 * 4096
"""Queries and outputs, keys and values, the MLP's three matrices, and two norms."""
OUTSIDE = 2 * 128256 * 4096 + 4096
"""Embeddings, head and the last norm."""
ALL = 32 * LAYER + OUTSIDE
FSDP = Recipe(gpus=8, sharded=True)


def alone(phase: Phase) -> Footprint:
    return Footprint(dict.fromkeys(Category, 800), phase)


def test_whole_while_they_compute_are_two_layers_one_gradient_and_what_is_outside():
    block = partition(MODEL, 2)[3]
    own = together(MODEL, FSDP, Trains.BLOCK, block)
    assert own.weights == 2 * (2 * LAYER + OUTSIDE)
    # A layer's gradient in bfloat16, and its copy that is reduced in float32; nothing is trained outside of layers.
    assert own.gradients == (2 + 4) * LAYER
    everything = together(MODEL, FSDP, Trains.EVERYTHING)
    assert (everything.weights, everything.gradients) == (own.weights, 6 * LAYER + 2 * OUTSIDE)
    # In float32 nothing is copied before it is reduced.
    wide = together(MODEL, Recipe(weights="float32", gpus=8, sharded=True), Trains.EVERYTHING)
    assert (wide.weights, wide.gradients) == (4 * (2 * LAYER + OUTSIDE), 4 * LAYER + 4 * OUTSIDE)


def test_half_a_layer_has_half_a_gradient():
    attention = partition(MODEL, 0.5)[6]
    assert together(MODEL, FSDP, Trains.BLOCK, attention).gradients == 6 * (2 * 4096 * 4096 + 2 * 1024 * 4096 + 4096)


def test_adapters_are_gathered_and_reduced_beside_frozen_weights():
    # Rank 2 on queries (4096 to 4096) and values (4096 to 1024): A has 2 x 4096 values for each, B 2 x their outputs.
    lora, a, b = Lora(rank=2, targets=("q_proj", "v_proj")), 2 * 2 * 4096, 2 * (4096 + 1024)
    recipe = Recipe(adapters="float32", gpus=8, sharded=True)
    own = together(MODEL, recipe, Trains.LORA, lora=lora)
    assert own.weights == 2 * OUTSIDE + 2 * (2 * LAYER + 4 * (a + b))
    assert own.gradients == 4 * (a + b)
    assert own.reduced == 32 * 4 * (a + b)
    assert together(MODEL, recipe, Trains.LORA_B, lora=lora).reduced == 32 * 4 * b


def test_four_bits_are_gathered_as_four_bits():
    recipe = Recipe(weights="nf4", master=False, gpus=8, sharded=True)
    own = together(MODEL, recipe, Trains.LORA, lora=Lora(rank=2, targets=("q_proj",)))
    # 0.5 B, a byte for every 64 weights, and 4 B for every 256 of these; norms, adapters and the outside have 2 B.
    matrices, adapter = LAYER - 2 * 4096, 2 * (4096 + 4096)
    of_a_layer = matrices * (0.5 + 1 / 64 + 4 / 64 / 256) + 2 * (2 * 4096 + adapter)
    assert own.gathered == pytest.approx(32 * of_a_layer + 2 * OUTSIDE, rel=1e-6)


def test_what_is_shared_out_is_sent_for_every_batch_and_gradients_of_whole_models_once():
    # Seven eighths of everything. Gathered twice in bfloat16 and reduced once in float32, for each of three batches.
    assert together(MODEL, FSDP, Trains.EVERYTHING).sent(3) == 3 * (2 * 2 + 4) * ALL * 7 / 8
    # Gradients in bfloat16 are added up on each GPU, then reduced and gathered.
    assert together(MODEL, Recipe(gpus=8), Trains.EVERYTHING).sent(3) == 2 * 2 * ALL * 7 / 8
    assert together(MODEL, Recipe(), Trains.EVERYTHING).sent() == 0


def test_only_what_is_trained_is_reduced_between_whole_models():
    lora, values = Lora(rank=2, targets=("q_proj",)), 32 * 2 * (4096 + 4096)
    assert together(MODEL, Recipe(gpus=4), Trains.LORA, lora=lora).reduced == 2 * values
    wide = Recipe(adapters="float32", gpus=4)
    assert together(MODEL, wide, Trains.LORA, lora=lora).reduced == 4 * values


def test_each_holds_its_share_and_what_is_whole_meanwhile():
    shared = Together(4, sharded=True, weights=70, gradients=30)
    # Of 800 B a quarter each; activations, logits and temporaries are a GPU's own.
    expected = {phase: dict.fromkeys(Category, 800) for phase in Phase}
    for phase, held in expected.items():
        held |= dict.fromkeys(("weights", "working-copy", "master", "gradients", "moments"), 200)
        assert shared.on_each(alone(phase)).by_category == {
            **held,
            Category.WEIGHTS: 270 if phase in (Phase.FORWARD, Phase.BACKWARD) else 200,
            Category.GRADIENTS: 230 if phase is Phase.BACKWARD else 200,
        }


def test_whole_models_have_their_gradients_once_more_in_buckets():
    for phase in Phase:
        held = Together(4, gradients=30).on_each(alone(phase)).by_category
        assert held == {**dict.fromkeys(Category, 800), Category.GRADIENTS: 830}
    assert Together().on_each(alone(Phase.BACKWARD)) == alone(Phase.BACKWARD)
