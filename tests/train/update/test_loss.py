"""Losses that are trained on: the same as the model's own, computed otherwise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM

from parasim_core.train.data.evaluate import IGNORED, model_loss
from parasim_core.train.models.building import ModelError
from parasim_core.train.update import loss as losses
from parasim_core.train.update.loss import check_chunked, chunked_loss, training_loss
from tests.train.tiny import CONFIG, tiny_model


def batch() -> dict[str, Tensor]:
    """Two rows of eight tokens, the second one padded, with a prompt each."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(CONFIG["vocab_size"], (2, 8), generator=generator)
    mask = torch.ones_like(tokens)
    mask[1, 6:] = 0
    labels = tokens.masked_fill(mask == 0, IGNORED)
    labels[:, :3] = IGNORED
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def gradients(loss: Any, model: nn.Module, scale: float = 1.0) -> tuple[float, dict[str, Tensor]]:
    """Loss, and gradients of all parameters, of which the head is one."""
    model.zero_grad()
    value = loss(model, batch())
    (scale * value).backward()
    return value.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("chunk", [1, 5, 1024])
def test_a_chunked_head_has_the_loss_and_the_gradients_of_a_whole_one(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    # Rows that predict nothing, a chunk that ends amid a row, and a loss that is weighted, as accumulated ones are.
    monkeypatch.setattr(losses, "CHUNK", chunk)
    model = tiny_model()
    (whole, expected), (chunked, found) = (gradients(loss, model, 0.25) for loss in (model_loss, chunked_loss))
    assert chunked == pytest.approx(whole, rel=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7, msg=name)


def test_a_frozen_head_needs_no_gradient() -> None:
    model = tiny_model()
    model.get_output_embeddings().requires_grad_(False)  # type: ignore[operator]
    chunked_loss(model, batch()).backward()  # type: ignore[no-untyped-call]
    assert model.get_output_embeddings().weight.grad is None  # type: ignore[operator]


def test_a_chunked_head_works_on_narrow_weights_and_in_mixed_precision() -> None:
    # bfloat16 has 8 bits: two ways to sum products of a hundred differ by a per cent or so.
    for model, mixed in ((tiny_model(), True), (tiny_model().to(torch.bfloat16), False)):
        found = [gradients(training_loss(chunked=chunked, mixed=mixed), model) for chunked in (False, True)]
        assert found[1][0] == pytest.approx(found[0][0], rel=0.02)
        for name, gradient in found[0][1].items():
            assert found[1][1][name].dtype == gradient.dtype
            torch.testing.assert_close(found[1][1][name], gradient, rtol=0.1, atol=0.02, msg=name)


def test_mixed_precision_multiplies_in_bfloat16_and_keeps_float32_gradients() -> None:
    model, seen = tiny_model(), []
    layer = model.get_submodule("model.layers.0.mlp.gate_proj")
    layer.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    training_loss(mixed=True)(model, batch()).backward()  # type: ignore[no-untyped-call]
    assert seen == [torch.bfloat16]
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}  # type: ignore[union-attr]


def test_a_model_that_does_more_to_its_logits_keeps_its_own_head() -> None:
    check_chunked(tiny_model())
    fields = {key: value for key, value in CONFIG.items() if key != "model_type"}
    bounded = Gemma2ForCausalLM(Gemma2Config(**fields, head_dim=8, final_logit_softcapping=30.0))
    with pytest.raises(ModelError, match="chunked is not possible with Gemma2ForCausalLM, allowed is full"):
        check_chunked(bounded)
