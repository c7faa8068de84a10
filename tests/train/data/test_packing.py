"""Packed sequences: who lies where, and that nobody knows of a neighbour."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MambaConfig, MambaForCausalLM

from parasim_core.train.data.encoding import TokenRow, collate, collate_packed
from parasim_core.train.data.evaluate import IGNORED, model_loss, predictions
from parasim_core.train.data.packing import check_packing, packed
from parasim_core.train.data.task import DataError
from parasim_core.train.models.building import keep_no_cache
from tests.train.tiny import CONFIG, tiny_model


def test_each_lies_where_the_least_room_is_left() -> None:
    # Rows of 10: the 7 opens one, the 6 another; the 4 fits into the second alone, the 3 fills the first, the 1 opens a
    # third, for both are full.
    assert packed([0, 1, 2, 3, 4], [4, 7, 3, 6, 1], 10) == [(1, 2), (3, 0), (4,)]


@given(st.lists(st.integers(1, 12), max_size=40))
def test_each_lies_in_one_sequence_that_it_fits(lengths: list[int]) -> None:
    packs = packed(range(len(lengths)), lengths, 12)
    assert sorted(number for pack in packs for number in pack) == list(range(len(lengths)))
    filled = [sum(lengths[number] for number in pack) for pack in packs]
    assert max(filled, default=0) <= 12
    # Any two together are more than one sequence: what one holds could not have gone into another.
    assert all(one + other > 12 for one, other in pairwise(filled))


ROWS = [TokenRow((3, 1, 4, 1, 5), 2), TokenRow((9, 2, 6), 1), TokenRow((5, 3, 5, 8), 2, ((3, 4),))]


def test_positions_begin_anew_and_nothing_predicts_a_beginning() -> None:
    batch = collate_packed([[ROWS[0], TokenRow((9, 2, 6), 0)], [ROWS[2]]], pad=0)
    assert batch["input_ids"].tolist() == [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8, 0, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2], [0, 1, 2, 3, 0, 1, 2, 3]]
    no = IGNORED
    assert batch["labels"].tolist() == [[no, no, 4, 1, 5, no, 2, 6], [no, no, 5, no, no, no, no, no]]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_examples_have_the_gradient_that_they_have_apart(attention: str) -> None:
    gradients = []
    for batch in (collate(ROWS, 0), collate_packed([ROWS[:2], ROWS[2:]], 0)):
        model: Any = tiny_model()
        keep_no_cache(model)
        model.set_attn_implementation(attention)
        loss = model_loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        # 3 + 2 + 1 tokens of answers, however they lie.
        assert predictions(batch) == 6
        gradients.append((loss.item(), {name: one.grad for name, one in model.named_parameters()}))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-6)
    for name, gradient in gradients[0][1].items():
        torch.testing.assert_close(gradients[1][1][name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_models_whose_examples_would_know_of_one_another_are_refused() -> None:
    model = tiny_model()
    keep_no_cache(model)
    check_packing(model)
    recurrent = MambaForCausalLM(MambaConfig(vocab_size=24, hidden_size=16, num_hidden_layers=2, use_cache=False))
    with pytest.raises(DataError, match=r"train\.packing: is not possible with MambaForCausalLM"):
        check_packing(recurrent)
    # Nor while it keeps a cache: transformers takes positions for those of one text then.
    with pytest.raises(DataError, match="packing"):
        check_packing(tiny_model())
    assert CONFIG["vocab_size"] > 4
