from __future__ import annotations

import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import Gemma2Config, GPT2Config, GPTNeoXConfig, LlamaConfig, OPTConfig, Qwen3Config, ViTConfig

from parasim_core.sim.workload.architecture import from_config
from parasim_core.sim.workload.blocks import Block, partition
from parasim_core.train.models.blocks import (
    activate,
    block_parameters,
    checkpoint_activations,
    flatten,
    halves_of,
    install,
    layer_list,
    unflatten,
)
from parasim_core.train.models.building import ModelError, random_model
from tests.train.tiny import snapshot

LLAMA = LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2)
DECODER = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
FAMILIES = {
    "llama": LLAMA,
    "qwen3": Qwen3Config(**DECODER, num_key_value_heads=1, intermediate_size=24, head_dim=8),
    "gemma2": Gemma2Config(**DECODER, num_key_value_heads=1, intermediate_size=24, head_dim=8),
    "gpt2": GPT2Config(vocab_size=32, n_embd=16, n_layer=4, n_head=2, n_positions=16),
    "gpt_neox": GPTNeoXConfig(**DECODER, intermediate_size=24),
    "opt": OPTConfig(**DECODER, ffn_dim=24, word_embed_proj_dim=16, max_position_embeddings=16),
    "vit": ViTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=8,
        patch_size=4,
        num_channels=1,
    ),
}


def blocks_of(config: object, layers: float) -> tuple[Block, ...]:
    return partition(from_config(config.to_dict(), "tiny"), layers)


def batch_of(model: nn.Module) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    if model.main_input_name == "pixel_values":
        return {"pixel_values": torch.rand(2, 1, 8, 8, generator=generator), "labels": torch.tensor([0, 1])}
    tokens = torch.randint(0, 32, (2, 6), generator=generator)
    return {"input_ids": tokens, "labels": tokens}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [0.5, 1, 3])
def test_blocks_cover_the_layers_of_every_family_once(family, layers):
    # `block_parameters` itself refuses a block whose size differs from its architecture's, so the names alone
    # are left to check: disjoint, and together all that the layers hold.
    model = random_model(FAMILIES[family], seed=0)
    named = [name for block in blocks_of(FAMILIES[family], layers) for name in block_parameters(model, block)]
    prefix, stack = layer_list(model)
    assert sorted(named) == sorted(f"{prefix}.{name}" for name, _ in stack.named_parameters())
    assert prefix in {"model.layers", "transformer.h", "gpt_neox.layers", "model.decoder.layers", "vit.layers"}


@pytest.mark.parametrize(
    ("family", "attention_norms"),
    [
        ("llama", {"input_layernorm.weight"}),
        ("gemma2", {"input_layernorm.weight", "post_attention_layernorm.weight"}),
        ("gpt2", {"ln_1.weight", "ln_1.bias"}),
        ("opt", {"self_attn_layer_norm.weight", "self_attn_layer_norm.bias"}),
        ("vit", {"layernorm_before.weight", "layernorm_before.bias"}),
    ],
)
def test_norms_stand_with_the_half_that_they_serve(family, attention_norms):
    layer = layer_list(random_model(FAMILIES[family], seed=0))[1][0]
    halves = halves_of(layer)
    own = {name for name in halves["attention"] if not name.startswith(("self_attn.", "attn.", "attention."))}
    assert own == attention_norms
    assert not any("attn." in name or "attention." in name for name in halves["mlp"])


def test_longer_lists_within_a_layer_are_not_the_layers():
    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(2, 2) for _ in range(8))

    model = nn.Sequential()
    model.layers = nn.ModuleList(Mixture() for _ in range(3))
    assert layer_list(model) == ("layers", model.layers)


def test_blocks_that_do_not_fit_are_refused():
    model = random_model(LLAMA, seed=0)
    with pytest.raises(ModelError, match="ends in layer 4, the model has 4 layers"):
        block_parameters(model, Block(4, ((4, "attention"), (4, "mlp")), 100))
    # 4 h^2 + h = 4*256 + 16 = 1040 attention parameters.
    with pytest.raises(ModelError, match="1040 parameters in the model, 7 in its architecture"):
        block_parameters(model, Block(0, ((0, "attention"),), 7))
    with pytest.raises(ModelError, match="no list of repeated layers"):
        layer_list(nn.Linear(2, 2))


@pytest.mark.parametrize("family", ["llama", "gpt2", "vit"])
@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("checkpointed", [False, True])
def test_nothing_is_saved_below_the_trained_block(family, index, checkpointed):
    # Autograd packs every tensor that it saves for the backward pass. Of those packed before the forward pass
    # has reached the block's own layer, none may be alive after it (a checkpoint saves its layer's input before
    # it knows that nobody will ask for it), and the layers below must hand on tensors without a graph.
    config = FAMILIES[family]
    model = random_model(config, seed=0).train()
    part = block_parameters(model, blocks_of(config, 1)[index])
    if checkpointed:
        checkpoint_activations(model)
    activate(model, part)
    reached, saved, with_graph = [-1], [], set()
    for position, layer in enumerate(layer_list(model)[1]):
        layer.register_forward_pre_hook(lambda *_, position=position: reached.__setitem__(0, position))
        layer.register_forward_hook(
            lambda module, given, output, position=position: (
                with_graph.add(position) if (output[0] if isinstance(output, tuple) else output).requires_grad else None
            )
        )

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()  # lives only as long as autograd holds it
        saved.append((reached[0], weakref.ref(copy)))
        return copy

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(**batch_of(model)).loss
    assert min(position for position, tensor in saved if tensor() is not None) >= index
    assert with_graph == set(range(index, 4))
    loss.backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == set(part)


def test_checkpointing_saves_less_and_changes_no_gradient():
    model = random_model(LLAMA, seed=0).train()
    part = block_parameters(model, blocks_of(LLAMA, 1)[0])
    activate(model, part)

    def run() -> tuple[int, torch.Tensor]:
        kept: set[int] = set()
        saved: list[torch.Tensor] = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.data_ptr() not in kept:
                kept.add(tensor.data_ptr())
                saved.append(tensor)  # held, so that its address is not given away again
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(**batch_of(model)).loss
        loss.backward()
        gradients = flatten({name: parameter.grad for name, parameter in part.items()})
        model.zero_grad()
        return sum(tensor.numel() for tensor in saved), gradients

    plain_size, plain = run()
    checkpoint_activations(model)
    small_size, recomputed = run()
    checkpoint_activations(model, False)
    again_size, _ = run()
    assert torch.equal(plain, recomputed)
    assert small_size < plain_size == again_size


def test_activation_replaces_the_part_before_it():
    model = random_model(LLAMA, seed=0)
    first, second = (block_parameters(model, block) for block in blocks_of(LLAMA, 2))
    activate(model, first)
    activate(model, second)
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == set(second)


def test_install_gives_back_the_snapshot():
    model = random_model(LLAMA, seed=0)
    part = block_parameters(model, blocks_of(LLAMA, 2)[1])
    before = snapshot(part)
    install(part, {name: value + 1 for name, value in before.items()})
    assert all(torch.equal(part[name], before[name] + 1) for name in part)
    install(part, before)
    assert all(torch.equal(part[name], before[name]) for name in part)


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=5))
def test_unflatten_undoes_flatten(shapes):
    values = {str(index): torch.randn(shape) for index, shape in enumerate(shapes)}
    flat = flatten(values)
    assert flat.shape == (sum(value.numel() for value in values.values()),)
    back = unflatten(flat, values)
    assert list(back) == list(values)
    assert all(torch.equal(back[name], values[name]) for name in values)


def test_layers_are_those_of_the_decoder_that_the_head_reads():
    class Tower(nn.Module):
        base_model_prefix = "model"

        def __init__(self, layers: int) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(layers))

    class Seeing(nn.Module):
        def __init__(self, head: nn.Module | None) -> None:
            super().__init__()
            self.vision, self.text, self.head = Tower(5), Tower(3), head

        def get_decoder(self) -> nn.Module:
            return self.text

        def get_output_embeddings(self) -> nn.Module | None:
            return self.head

    writing = Seeing(nn.Linear(2, 7))
    assert layer_list(writing) == ("text.layers", writing.text.layers)
    # Without a head no tower is the one that it reads.
    silent = Seeing(None)
    assert layer_list(silent) == ("vision.layers", silent.vision.layers)
    # A decoder may hold its tower itself.
    writing.text.eyes = Tower(9)
    assert layer_list(writing) == ("text.layers", writing.text.layers)
    # Some families call their head's matrix a decoder: then the model is its own.
    writing.text, writing.vision = Tower(3).layers, nn.Identity()
    writing.get_decoder = lambda: writing.head
    assert layer_list(writing) == ("text", writing.text)
