"""Recipes of a step, each against the same training written out plainly, and against what it must not change."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parasim_core.train.data.evaluate import model_loss
from parasim_core.train.models.adapters import Adapter
from parasim_core.train.models.blocks import checkpoint_activations
from parasim_core.train.update.local import LocalSettings, LocalUpdate, train_locally
from parasim_core.train.update.loss import training_loss
from tests.oracles.plain_training import EPSILON
from tests.train.tiny import CONFIG, LORA, tiny_model

PLAN = LocalSettings(1e-2, steps=3, accumulation=2)


def batches() -> list[dict[str, Tensor]]:
    """Six batches of two sequences of eight tokens."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(CONFIG["vocab_size"], (6, 2, 8), generator=generator)
    return [{"input_ids": one, "labels": one} for one in tokens]


def plainly(model: nn.Module, trained: Iterable[nn.Parameter], *, mixed: bool = False) -> None:
    """Three steps of AdamW over two batches each, on the parameters themselves."""
    model.requires_grad_(False).train()
    trained = [parameter.requires_grad_() for parameter in trained]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0, fused=True)
    every = batches()
    for pair in zip(every[::2], every[1::2], strict=True):
        for batch in pair:
            with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
                loss = model(**batch).loss
            (loss * torch.tensor(0.5)).backward()
        optimizer.step()
        optimizer.zero_grad()


def learned(model: nn.Module, part: Any = None, plan: LocalSettings = PLAN, **options: Any) -> LocalUpdate:
    return train_locally(model, part or dict(model.named_parameters()), batches(), model_loss, plan, **options)


def test_pure_bfloat16_is_adamw_on_the_weights_themselves() -> None:
    model, plain = (tiny_model().to(torch.bfloat16) for _ in range(2))
    before = {name: parameter.detach().float() for name, parameter in plain.named_parameters()}
    plainly(plain, plain.parameters())
    update = learned(model, plan=replace(PLAN, master=False))
    for name, parameter in plain.named_parameters():
        assert torch.equal(update.delta[name], parameter.detach().float() - before[name]), name
    assert max(delta.abs().max() for delta in update.delta.values()) > 0


def test_what_a_start_loses_in_rounding_is_no_change() -> None:
    # Steps of 1e-12 of weights near 0.02 change no bfloat16, and the server's digits beyond it are none of theirs.
    model = tiny_model().to(torch.bfloat16)
    start = {name: parameter.detach().float() * 1.001 for name, parameter in model.named_parameters()}
    update = learned(model, plan=replace(PLAN, learning_rate=1e-12, master=False), start=start)
    assert not any(delta.any() for name, delta in update.delta.items() if "norm" not in name)
    # A float32 master would have changed.
    kept = learned(model, plan=replace(PLAN, learning_rate=1e-5), start=start)
    assert any(delta.any() for delta in kept.delta.values())


def test_without_a_master_float32_weights_learn_the_same() -> None:
    one, other = (learned(tiny_model(), plan=replace(PLAN, master=master)) for master in (True, False))
    assert all(torch.equal(delta, other.delta[name]) for name, delta in one.delta.items())


def test_mixed_precision_is_autocast_on_float32_weights() -> None:
    model, plain = tiny_model(), tiny_model()
    plainly(plain, plain.parameters(), mixed=True)
    update = train_locally(model, dict(model.named_parameters()), batches(), training_loss(mixed=True), PLAN)
    for name, parameter in plain.named_parameters():
        assert torch.equal(update.delta[name], parameter.detach() - model.get_parameter(name)), name


def test_float32_adapters_beside_bfloat16_weights() -> None:
    wide: Any = {"precision": torch.float32}
    model, plain = (tiny_model().to(torch.bfloat16) for _ in range(2))
    adapter, other = (Adapter(one, LORA, 0, **wide) for one in (model, plain))
    # Drawn in float32, and not rounded since.
    narrow = Adapter(tiny_model().to(torch.bfloat16), LORA, 0)
    assert all(torch.equal(narrow.part[name], value.bfloat16()) for name, value in adapter.part.items())
    assert not all(torch.equal(narrow.part[name].float(), value) for name, value in adapter.part.items())
    plainly(plain, other.part.values(), mixed=True)
    update = train_locally(model, adapter.part, batches(), training_loss(mixed=True), PLAN)
    for name, parameter in other.part.items():
        assert torch.equal(update.delta[name], parameter.detach() - adapter.part[name].detach()), name


@pytest.mark.parametrize("how", [True, "selective"])
def test_recomputed_activations_change_nothing(how: Any) -> None:
    model, plain = tiny_model(), tiny_model()
    checkpoint_activations(model, how)
    found, expected = learned(model), learned(plain)
    assert all(torch.equal(delta, found.delta[name]) for name, delta in expected.delta.items())


def test_selective_checkpoints_run_half_of_the_products_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a layer's seven linear modules, every other one is kept: q, v, gate and down, or k, o, up; attention is.
    from torch.utils.flop_counter import FlopCounterMode

    counted = {}
    for how in (False, True, "selective"):
        model = tiny_model().train()
        checkpoint_activations(model, how)  # type: ignore[arg-type]
        loss = model_loss(model, batches()[0])
        with FlopCounterMode(display=False) as counter:
            loss.backward()  # type: ignore[no-untyped-call]
        counted[how] = counter.get_total_flops()
    assert counted[False] < counted["selective"] < counted[True]


def test_eager_attention_learns_the_same_to_rounding() -> None:
    model: Any = tiny_model()
    model.set_attn_implementation("eager")
    # So that AdamW does not blow rounding up where a gradient is next to zero.
    plan = replace(PLAN, epsilon=EPSILON)
    found, expected = learned(model, plan=plan), learned(tiny_model(), plan=plan)
    for name, delta in expected.delta.items():
        torch.testing.assert_close(found.delta[name], delta, rtol=1e-4, atol=1e-6, msg=name)
