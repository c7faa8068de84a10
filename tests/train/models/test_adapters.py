from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    FalconH1Config,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MixtralConfig,
    Qwen3MoeConfig,
    ViTConfig,
)

from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import from_config
from parasim_core.sim.workload.blocks import lora_parameters
from parasim_core.train.models.adapters import SCALING, A, Adapter, AdapterError, B
from parasim_core.train.models.architecture import counted
from parasim_core.train.models.blocks import install
from parasim_core.train.models.building import random_model
from parasim_core.train.update.local import LocalSettings, train_locally
from tests.train.tiny import snapshot

LLAMA = LlamaConfig(
    vocab_size=32,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
)
GPT2 = GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2, n_positions=8)
VIT = ViTConfig(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    image_size=8,
    patch_size=4,
    num_channels=1,
)
DECODER = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
EXPERTS = {
    "mixtral": MixtralConfig(**DECODER, num_key_value_heads=1, intermediate_size=24, num_local_experts=4),
    "qwen3_moe": Qwen3MoeConfig(
        **DECODER, num_key_value_heads=1, head_dim=8, moe_intermediate_size=8, num_experts=4, num_experts_per_tok=2
    ),
    # Its stacks are (experts, inputs, outputs), and peft adapts them by name alone.
    "gpt_oss": GptOssConfig(**DECODER, num_key_value_heads=1, head_dim=8, intermediate_size=24, num_local_experts=4),
}
STACKS = [
    ("mixtral", "all-linear"),
    ("mixtral", ("w1", "w3")),
    ("mixtral", ("q_proj", "w2", "gate")),
    ("mixtral", ("gate_up_proj", "gate.weight")),
    ("qwen3_moe", "all-linear"),
    ("gpt_oss", ("q_proj", "gate_up_proj", "down_proj")),
]
TOKENS = torch.randint(0, 32, (2, 6), generator=torch.Generator().manual_seed(1))
SMALL = Lora(rank=3)


def random_state(adapter: Adapter, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(value.shape, generator=generator) for name, value in adapter.part.items()}


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS).logits


@pytest.mark.parametrize("config", [LLAMA, GPT2, VIT], ids=lambda config: config.model_type)
def test_adapters_have_the_size_that_the_simulator_sends(config):
    adapter = Adapter(random_model(config, seed=0), Lora(rank=3, targets="all-linear"), seed=0)
    sizes = [sum(value.numel() for name, value in adapter.part.items() if name.endswith(matrix)) for matrix in (A, B)]
    assert tuple(sizes) == lora_parameters(from_config(config.to_dict(), "tiny"), 3, "all-linear")
    assert sum(value.numel() for value in adapter.b_part.values()) == sizes[1]


@pytest.mark.parametrize(("family", "targets"), STACKS)
def test_adapters_on_experts_have_the_size_that_the_simulator_sends(family, targets):
    architecture = counted(family, EXPERTS[family].to_dict())
    adapter = Adapter(random_model(EXPERTS[family], seed=0), Lora(rank=3, targets=targets), seed=0)
    sizes = [sum(value.numel() for name, value in adapter.part.items() if name.endswith(matrix)) for matrix in (A, B)]
    assert tuple(sizes) == lora_parameters(architecture, 3, targets)


@pytest.mark.parametrize(("family", "targets"), STACKS)
def test_adapters_on_experts_are_merged_saved_and_removed(family, targets, tmp_path):
    from peft import PeftModel

    model = random_model(EXPERTS[family], seed=0).eval()
    bare, names = logits(model), set(model.state_dict())
    adapter = Adapter(model, Lora(rank=3, targets=targets), seed=0)
    assert torch.equal(logits(model), bare)
    install(adapter.part, {name: 0.1 * value for name, value in random_state(adapter, 1).items()})
    adapted = logits(model)
    assert not torch.allclose(adapted, bare, atol=1e-4)
    adapter.save(tmp_path)
    loaded = PeftModel.from_pretrained(random_model(EXPERTS[family], seed=0), str(tmp_path)).eval()
    torch.testing.assert_close(logits(loaded), adapted)
    adapter.merge(snapshot(adapter.part))
    adapter.remove()
    assert set(model.state_dict()) == names
    torch.testing.assert_close(logits(model), adapted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "targets"), STACKS)
def test_flora_merges_the_weighted_sum_for_every_expert(family, targets):
    # As below: W after - W before = (1 x what the first client alone would merge + 3 x the second) / 4.
    adapter = Adapter(random_model(EXPERTS[family], seed=0), Lora(rank=3, targets=targets), seed=0)
    before = snapshot(adapter.bases)
    states = [random_state(adapter, client) for client in range(2)]
    changes = []
    for merged in (*states, adapter.stack(states, [1, 3])):
        install(adapter.bases, before)
        adapter.merge(merged)
        changes.append({name: value.detach() - before[name] for name, value in adapter.bases.items()})
    for name in before:
        assert changes[2][name].any()
        torch.testing.assert_close(
            changes[2][name], (changes[0][name] + 3 * changes[1][name]) / 4, rtol=1e-4, atol=1e-5
        )


def test_half_of_a_fused_matrix_is_refused():
    model = random_model(EXPERTS["mixtral"], seed=0)
    with pytest.raises(AdapterError, match="'w1' without 'w3'"):
        Adapter(model, Lora(targets=("w1",)), seed=0)


def test_what_peft_refuses_is_said_in_a_line():
    sizes = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 4}
    mamba = FalconH1Config(**DECODER, intermediate_size=24, num_key_value_heads=1, **sizes)
    with pytest.raises(AdapterError) as error:
        Adapter(random_model(mamba, seed=0), Lora(targets=("out_proj",)), seed=0)
    assert "\n" not in str(error.value)


def test_named_targets_alone_are_adapted():
    adapter = Adapter(random_model(LLAMA, seed=0), SMALL, seed=0)
    modules = [
        f"model.layers.{layer}.self_attn.{target}_proj.{matrix}"
        for layer in (0, 1)
        for target in "qv"
        for matrix in (A, B)
    ]
    assert list(adapter.part) == modules


def test_fresh_adapter_is_seeded_and_changes_nothing():
    model = random_model(LLAMA, seed=0)
    bare = logits(model)
    torch.manual_seed(3)
    adapter = Adapter(model, SMALL, seed=1)
    assert torch.equal(logits(model), bare)
    first = snapshot(adapter.part)
    # Kaiming uniform with a = sqrt 5: |A| <= 1/sqrt(inputs) = 1/4, and B = 0.
    a = torch.cat([value.flatten() for name, value in first.items() if name.endswith(A)])
    assert 0.2 < a.abs().max() <= 0.25
    assert not any(value.any() for name, value in first.items() if name.endswith(B))
    install(adapter.part, random_state(adapter, 0))
    adapter.reset(2)
    assert any(not torch.equal(first[name], value) for name, value in adapter.part.items())
    adapter.reset(1)
    assert all(torch.equal(first[name], value) for name, value in adapter.part.items())


def test_ffa_lora_trains_b_and_leaves_a():
    model = random_model(LLAMA, seed=0)
    adapter = Adapter(model, SMALL, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    update = train_locally(
        model,
        adapter.b_part,
        [{"input_ids": TOKENS, "labels": TOKENS}] * 2,
        lambda model, batch: model(**batch).loss,
        LocalSettings(1e-2, 2),
    )
    assert all(value.any() for value in update.delta.values())
    install(adapter.b_part, {name: value.detach() + update.delta[name] for name, value in adapter.b_part.items()})
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == set(adapter.b_part)


@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=lambda config: config.model_type)
def test_merged_model_answers_as_the_adapted_one(config):
    model = random_model(config, seed=0)
    names = set(model.state_dict())
    adapter = Adapter(model, Lora(rank=3, targets="all-linear"), seed=0)
    state = {name: 0.05 * value for name, value in random_state(adapter, 1).items()}
    install(adapter.part, state)
    model.eval()
    adapted = logits(model)
    adapter.merge(snapshot(adapter.part))
    adapter.remove()
    assert set(model.state_dict()) == names
    torch.testing.assert_close(logits(model), adapted, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=5), st.integers(0, 99))
def test_flora_merges_the_weighted_sum_of_the_clients_products(samples, seed):
    # W after - W before = scaling * sum_i (n_i / sum n) B_i A_i, taken in double precision from the clients' own
    # matrices. The sums of N*r = 15 or fewer float32 products differ by no more than 1e-5 of their size.
    model = random_model(LLAMA, seed=0)
    adapter = Adapter(model, SMALL, seed=0)
    weights = {name: value.double() for name, value in model.state_dict().items()}
    states = [random_state(adapter, seed + client) for client in range(len(samples))]
    stacked = adapter.stack(states, samples)
    for name, value in stacked.items():
        assert value.shape[0 if name.endswith(A) else 1] == 3 * len(samples)
    adapter.merge(stacked)
    for name, after in model.state_dict().items():
        expected = weights[name]
        if name.endswith("base_layer.weight"):
            module = name.removesuffix("base_layer.weight")
            products = [
                count / sum(samples) * state[module + B].double() @ state[module + A].double()
                for count, state in zip(samples, states, strict=True)
            ]
            expected = expected + SCALING * sum(products)
        torch.testing.assert_close(after.double(), expected, rtol=1e-5, atol=1e-5)


def test_one_client_stacked_is_its_own_adapter():
    adapter = Adapter(random_model(LLAMA, seed=0), SMALL, seed=0)
    state = random_state(adapter, 0)
    stacked = adapter.stack([state], [17])
    assert all(torch.equal(stacked[name], state[name]) for name in state)


def test_merge_rounds_to_bfloat16_once():
    # W + scaling B A in float32, rounded at the end.
    model = random_model(LLAMA, seed=0).to(torch.bfloat16)
    adapter = Adapter(model, SMALL, seed=0)
    state = random_state(adapter, 0)
    module = "model.layers.0.self_attn.q_proj"
    before = model.get_submodule(module).base_layer.weight.detach().float()
    adapter.merge(state)
    expected = before + SCALING * (state[f"{module}.{B}"] @ state[f"{module}.{A}"])
    assert torch.equal(model.get_submodule(module).base_layer.weight, expected.to(torch.bfloat16))


def test_saved_adapter_is_read_by_peft(tmp_path):
    from peft import PeftModel

    model = random_model(LLAMA, seed=0)
    adapter = Adapter(model, Lora(rank=3, targets="all-linear"), seed=0)
    install(adapter.part, random_state(adapter, 1))
    adapter.save(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(random_model(LLAMA, seed=0), str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(loaded), logits(model.eval()))
    assert not [path for path in (tmp_path / "adapter").iterdir() if path.suffix in {".bin", ".pt", ".pkl"}]


def test_a_saved_adapter_is_the_same_file_in_every_process(tmp_path):
    # Sets of strings come in another order in every process; ten targets are hardly ever sorted by chance.
    adapter = Adapter(random_model(LLAMA, seed=0), Lora(rank=3, targets="all-linear"), seed=0)
    adapter.save(tmp_path)
    targets = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(targets) >= 10
    assert targets == sorted(targets)


def test_unknown_targets_are_refused():
    model = random_model(LLAMA, seed=0)
    with pytest.raises(AdapterError, match=r"'q_porj', which .* does not have: did you mean 'q_proj'"):
        Adapter(model, Lora(targets=("q_porj",)), seed=0)
    # The head is linear, but in no layer: it stays frozen.
    with pytest.raises(AdapterError, match=r"'lm_head', which .* does not have"):
        Adapter(model, Lora(targets=("lm_head",)), seed=0)
