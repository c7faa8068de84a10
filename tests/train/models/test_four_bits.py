"""Base weights in 4 bits, where bitsandbytes is installed: it computes on a CPU too, however slowly."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from parasim_core.calibration.memory.recipe import NF4_BYTES
from parasim_core.train.data.evaluate import model_loss
from parasim_core.train.models.adapters import Adapter
from parasim_core.train.models.building import random_model
from parasim_core.train.models.four_bits import dequantize, linear_layers, quantize
from parasim_core.train.models.packing import pack, unpack
from parasim_core.train.update.local import LocalSettings, train_locally
from tests.train.tiny import CONFIG, LORA

pytest.importorskip("bitsandbytes")
CPU = torch.device("cpu")
BATCH = {"input_ids": torch.arange(8)[None], "labels": torch.arange(8)[None]}
PLAN = LocalSettings(1e-2, steps=2)


def model() -> Any:
    """The tiny Llama, four times as wide: 4 bits are counted in blocks of 64 weights."""
    from transformers import LlamaConfig

    wide = {**CONFIG, "hidden_size": 64, "intermediate_size": 96}
    return random_model(LlamaConfig(**wide), seed=0).to(torch.bfloat16)


def alike(one: torch.Tensor, other: torch.Tensor) -> float:
    """Cosine of the angle between two tensors."""
    return torch.nn.functional.cosine_similarity(one.flatten().float(), other.flatten().float(), dim=0).item()


def test_adapters_are_trained_beside_4_bits_and_merged_into_16() -> None:
    whole = model()
    narrow = copy.deepcopy(whole)
    quantize(narrow, CPU)
    # What a process is sent, and what a copy has, is the same model.
    losses = {model_loss(one, BATCH).item() for one in (narrow, copy.deepcopy(narrow), unpack(pack(narrow)))}
    assert len(losses) == 1
    adapter = Adapter(narrow, LORA, 0, precision=torch.float32)
    before = {name: value.detach().clone() for name, value in narrow.named_parameters() if "lora" not in name}
    update = train_locally(narrow, adapter.part, [BATCH] * 2, model_loss, PLAN)
    assert all(torch.equal(value, narrow.get_parameter(name)) for name, value in before.items())
    assert any(delta.any() for delta in update.delta.values())
    expected = model_loss(narrow, BATCH)
    dequantize(narrow)
    assert torch.allclose(model_loss(narrow, BATCH), expected, rtol=0.02)
    adapter.merge({name: value.detach() for name, value in adapter.part.items()})
    adapter.remove()
    for name, linear in linear_layers(narrow).items():
        assert type(linear) is torch.nn.Linear
        # Sixteen levels, close together where normal weights are.
        assert alike(linear.weight, whole.get_submodule(name).weight) > 0.95


def test_4_bit_weights_are_as_small_as_they_are_priced() -> None:
    narrow = model()
    weights = sum(linear.weight.numel() for linear in linear_layers(narrow).values())
    quantize(narrow, CPU)
    held = 0.0
    for linear in linear_layers(narrow).values():
        state = linear.weight.quant_state  # type: ignore[attr-defined]
        held += linear.weight.numel() + state.absmax.numel() + 4 * state.state2.absmax.numel()
    # A block of 256 scales is begun by less than that in every one of these small matrices.
    assert held == pytest.approx(NF4_BYTES * weights, rel=0.03)


@pytest.mark.parametrize("optimizer", ["adamw-8bit", "paged-adamw-8bit"])
def test_moments_of_8_bits_learn_nearly_what_long_ones_do(monkeypatch: pytest.MonkeyPatch, optimizer: Any) -> None:
    import bitsandbytes

    made = []
    for kind in ("AdamW8bit", "PagedAdamW8bit"):
        own = getattr(bitsandbytes.optim, kind)
        monkeypatch.setattr(bitsandbytes.optim, kind, lambda *a, own=own, **k: made.append(own(*a, **k)) or made[-1])
    wide = model().float()
    part = {name: value for name, value in wide.named_parameters() if "layers.1." in name}
    plan = replace(PLAN, optimizer=optimizer, master=False)
    long, short = (train_locally(wide, part, [BATCH] * 2, model_loss, how) for how in (PLAN, plan))
    assert len(made) == 1
    assert type(made[0]).__name__.startswith("Paged") == (optimizer == "paged-adamw-8bit")
    for name, delta in long.delta.items():
        assert alike(short.delta[name], delta) > 0.9
