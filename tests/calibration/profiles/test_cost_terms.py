"""Amounts of work, by hand for one Llama of 8 layers, hidden size 16."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.calibration.profiles.cost_terms import full_pass_work, work
from parasim_core.calibration.profiles.points import StepPoint, block_at, first_layer_of, join_targets, split_targets
from parasim_core.sim.workload.architecture import architecture
from parasim_core.sim.workload.blocks import partition
from parasim_core.sim.workload.methods import Trains
from tests.calibration.synthetic import ARCHITECTURE

# One layer: q and o 16 x 16, k and v 16 x 8, three MLP matrices 16 x 24, two norms of 16.
ATTENTION = 2 * 16 * 16 + 2 * 16 * 8 + 16
LAYER = ATTENTION + 3 * 16 * 24 + 16


def block(first: float, layers: float, batch_size: int = 2, length: int = 8) -> StepPoint:
    return StepPoint(
        trains=Trains.BLOCK, batch_size=batch_size, sequence_length=length, first_layer=first, layers=layers
    )


def test_a_block_of_two_layers_in_the_middle():
    amounts = work(ARCHITECTURE, block(5, 2))
    tokens = 2 * 8
    assert amounts["forward"] == pytest.approx(2 * 8 * LAYER * tokens * 1e-12)
    # Layers 5, 6 and 7 are passed backward.
    assert amounts["above"] == pytest.approx(2 * 3 * LAYER * tokens * 1e-12)
    assert amounts["layers_above"] == pytest.approx(3)
    assert amounts["gradients"] == pytest.approx(2 * 2 * LAYER * tokens * 1e-12)
    assert amounts["weights"] == pytest.approx(2 * LAYER * 1e-9)
    assert amounts["head"] == pytest.approx(2 * 96 * 16 * tokens * 1e-12)
    # Scores and their product with the values: 2 x 2 operations, 2 sequences, 8 x 8 pairs, 16 wide, 8 layers.
    assert amounts["attention"] == pytest.approx(4 * 2 * 64 * 16 * 8 * 1e-12)
    assert amounts["attention_above"] == pytest.approx(amounts["attention"] * 3 / 8)
    assert amounts["modules"] == amounts["adapter"] == amounts["adapter_values"] == 0


def test_half_a_layer():
    amounts = work(ARCHITECTURE, block(7.5, 0.5))
    assert amounts["weights"] == pytest.approx((LAYER - ATTENTION) * 1e-9)
    assert amounts["above"] == pytest.approx(2 * (LAYER - ATTENTION) * 16 * 1e-12)


@pytest.mark.parametrize(("trains", "trained"), [(Trains.LORA, 8 * 4 * (32 + 24)), (Trains.LORA_B, 8 * 4 * (16 + 8))])
def test_adapters_pass_all_layers_and_train_little(trains: Trains, trained: int):
    # Rank 4 on q (16 to 16) and v (16 to 8) of 8 layers: A has 4 x 16 weights each, B 4 x 16 and 4 x 8.
    point = StepPoint(trains=trains, batch_size=2, sequence_length=8, rank=4, targets="q_proj+v_proj")
    amounts = work(ARCHITECTURE, point)
    assert amounts["weights"] == pytest.approx(trained * 1e-9)
    assert amounts["gradients"] == 0
    assert amounts["layers_above"] == pytest.approx(8)
    assert amounts["modules"] == 16
    assert amounts["adapter"] == pytest.approx(2 * 8 * 4 * (32 + 24) * 16 * 1e-12)
    assert amounts["adapter_values"] == pytest.approx(8 * (32 + 24) * 16 * 1e-9)


def test_everything_trains_everything():
    amounts = work(ARCHITECTURE, StepPoint(trains=Trains.EVERYTHING, batch_size=2, sequence_length=8))
    assert amounts["weights"] == pytest.approx(ARCHITECTURE.parameters * 1e-9)
    # A look-up's gradient is no product of matrices, the head's is.
    assert amounts["gradients"] == pytest.approx(2 * (8 * LAYER + 96 * 16) * 16 * 1e-12)


def test_a_full_pass_is_a_block_of_all_layers():
    assert full_pass_work(ARCHITECTURE, 2, 8) == work(ARCHITECTURE, block(0, 8))


@given(st.sampled_from([0.5, 1, 2, 3]), st.integers(0, 100))
def test_a_block_has_the_place_it_was_cut_at(width: float, pick: int):
    blocks = partition(ARCHITECTURE, width)
    cut = blocks[pick % len(blocks)]
    again = block_at(ARCHITECTURE, first_layer_of(cut), cut.layers)
    assert (again.halves, again.parameters) == (cut.halves, cut.parameters)


def test_targets_are_one_word_in_one_order():
    assert join_targets(("v_proj", "q_proj")) == "q_proj+v_proj"
    assert split_targets("q_proj+v_proj") == ("q_proj", "v_proj")
    assert split_targets(join_targets("all-linear")) == "all-linear"


def test_a_token_passes_its_experts_alone():
    # Mixtral: 2 of 8 experts a token; 46,702,792,704 parameters in all, of which 12,879,925,248 are active, and
    # 46,440,644,608 of them in layers.
    model = architecture("mixtral-8x7b")
    passed = 46_440_644_608 - (46_702_792_704 - 12_879_925_248)
    whole = work(model, block(0, 32))
    assert whole["forward"] == whole["above"] == pytest.approx(2 * passed * 16 * 1e-12)
    assert work(model, block(16, 8))["gradients"] == pytest.approx(2 * passed / 4 * 16 * 1e-12)
    # What is trained is all of them.
    assert whole["weights"] == pytest.approx(46.440644608)
