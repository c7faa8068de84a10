"""Counts equal those of the models that transformers really builds, by half, by layer and in total."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, AutoModelForImageClassification

from parasim_core.sim.errors import ArchitectureError
from parasim_core.sim.workload.architecture import (
    MODEL_TYPES,
    Architecture,
    UnknownModelTypeError,
    architecture,
    catalogue_names,
    from_config,
)
from parasim_core.sim.workload.architecture.decoders import DECODERS
from parasim_core.sim.workload.blocks import partition
from parasim_core.train.models.architecture import architecture_from_transformers

DECODER = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 50,
    "pad_token_id": 0,
}
GPT2 = {"model_type": "gpt2", "n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 32, "vocab_size": 50}
NEOX = {key: DECODER[key] for key in DECODER if key != "num_key_value_heads"} | {"model_type": "gpt_neox"}
OPT = {
    "model_type": "opt",
    "hidden_size": 24,
    "ffn_dim": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "vocab_size": 50,
}
VIT = {
    "model_type": "vit",
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}


def decoder(model_type: str, **fields: Any) -> dict[str, Any]:
    return {"model_type": model_type} | DECODER | fields


SMALL = {
    "llama": decoder("llama"),
    "llama-tied": decoder("llama", tie_word_embeddings=True),
    "llama-biases": decoder("llama", attention_bias=True, mlp_bias=True),
    "llama-one-key-value-head": decoder("llama", num_key_value_heads=1),
    "llama-null-key-value-heads": decoder("llama", num_key_value_heads=None),
    "llama-head-dim": decoder("llama", head_dim=10),
    "mistral": decoder("mistral"),
    "mistral-head-dim-tied": decoder("mistral", head_dim=10, tie_word_embeddings=True),
    "qwen2": decoder("qwen2"),
    "qwen2-tied": decoder("qwen2", tie_word_embeddings=True),
    "qwen3": decoder("qwen3"),
    "qwen3-head-dim-bias": decoder("qwen3", head_dim=10, attention_bias=True),
    "gemma": decoder("gemma"),
    "gemma-head-dim-untied": decoder("gemma", head_dim=10, tie_word_embeddings=False),
    "gemma2": decoder("gemma2"),
    "gemma2-head-dim-bias": decoder("gemma2", head_dim=10, attention_bias=True),
    "gemma3_text": decoder("gemma3_text", head_dim=8, sliding_window=4),
    "gemma3_text-bias": decoder("gemma3_text", head_dim=10, attention_bias=True),
    "olmo2": decoder("olmo2"),
    "olmo2-head-dim-tied": decoder("olmo2", head_dim=6, tie_word_embeddings=True, attention_bias=True),
    "smollm3": decoder("smollm3"),
    "smollm3-biases-untied": decoder("smollm3", attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "mixtral": decoder("mixtral", num_local_experts=4, num_experts_per_tok=2),
    "mixtral-head-dim-tied": decoder(
        "mixtral", num_local_experts=3, num_experts_per_tok=1, head_dim=10, tie_word_embeddings=True
    ),
    "qwen3_moe": decoder("qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=10),
    "qwen3_moe-head-dim-bias": decoder(
        "qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=10, head_dim=10, attention_bias=True
    ),
    "phi3": decoder("phi3"),
    "phi3-tied": decoder("phi3", tie_word_embeddings=True),
    "gpt2": GPT2,
    "gpt2-inner-untied": GPT2 | {"n_inner": 40, "tie_word_embeddings": False},
    "gpt2-common-names": {
        "model_type": "gpt2",
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 32,
        "vocab_size": 50,
    },
    "gpt_neox": NEOX,
    "gpt_neox-tied-unbiased": NEOX | {"tie_word_embeddings": True, "attention_bias": False},
    "opt": OPT,
    "opt-projected": OPT | {"word_embed_proj_dim": 10},
    "opt-post-norm": OPT | {"do_layer_norm_before": False, "word_embed_proj_dim": 10},
    "opt-plain": OPT | {"enable_bias": False, "layer_norm_elementwise_affine": False},
    "opt-untied": OPT | {"tie_word_embeddings": False, "_remove_final_layer_norm": True},
    "vit": VIT,
    "vit-labels": VIT | {"id2label": {str(label): str(label) for label in range(7)}, "num_channels": 1},
    "vit-oblong-unbiased": VIT | {"image_size": [40, 24], "patch_size": [8, 4], "qkv_bias": False},
}

# Files that leave out what has a default: 32 query heads, which every family's default divides evenly.
SMALL |= {
    f"{model_type}-defaults": {
        key: value
        for key, value in decoder(model_type, hidden_size=64, num_attention_heads=32).items()
        if key != "num_key_value_heads"
    }
    for model_type in DECODERS
    if DECODERS[model_type].experts is None
}

# The modules of a layer that make its attention half, spelled out per family rather than found by a rule.
ATTENTION = re.compile(
    r"self_attn\.|self_attn_layer_norm\.|attn\.|attention\.|input_layernorm\.|ln_1\.|layernorm_before\."
)
AFTER_ATTENTION = re.compile(r"self_attn\.|input_layernorm\.|post_attention_layernorm\.")
"""Of families that norm a half's output."""


def build(config: dict[str, Any]) -> torch.nn.Module:
    """Build a model from a configuration as a user of transformers would."""
    fields = dict(config)
    model_type = fields.pop("model_type")
    loader = AutoModelForImageClassification if model_type == "vit" else AutoModelForCausalLM
    return loader.from_config(AutoConfig.for_model(model_type, **fields))


def check(counted: Architecture, model: torch.nn.Module) -> None:
    """Compare every half of every layer, and everything outside them, with the model's own tensors."""
    attention = AFTER_ATTENTION if counted.model_type in ("gemma2", "gemma3_text", "olmo2") else ATTENTION
    halves: Counter[tuple[int, str]] = Counter()
    outside = 0
    for name, parameter in model.named_parameters():
        if inside := re.search(r"\.(?:layers|h|layer)\.(\d+)\.(.*)", name):
            half = "attention" if attention.match(inside[2]) else "mlp"
            halves[int(inside[1]), half] += parameter.numel()
        else:
            outside += parameter.numel()
    expected = {
        (index, half.name): half.parameters for index, layer in enumerate(counted.layers) for half in layer.halves
    }
    assert expected == dict(halves)
    assert counted.parameters - counted.layer_parameters == outside
    assert counted.parameters == sum(parameter.numel() for parameter in model.parameters())


def saved(folder: Path, config: dict[str, Any]) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def without_name(counted: Architecture) -> Architecture:
    return dataclasses.replace(counted, name="")


def test_every_family_has_a_small_variant():
    assert {config["model_type"] for config in SMALL.values()} == set(MODEL_TYPES)


@pytest.mark.parametrize("variant", SMALL)
def test_small_variants_have_the_parameters_of_real_models(variant: str):
    check(from_config(SMALL[variant], variant), build(SMALL[variant]))


@pytest.mark.parametrize("name", catalogue_names())
def test_the_catalogue_has_the_parameters_of_models_on_the_meta_device(name: str):
    text = resources.files("parasim_core.sim.workload.architecture").joinpath("catalogue.json").read_text()
    with torch.device("meta"):
        model = build(json.loads(text)[name]["config"])
    check(architecture(name), model)


@settings(max_examples=30, deadline=None)
@given(
    model_type=st.sampled_from([name for name in DECODERS if DECODERS[name].experts is None]),
    key_value_heads=st.integers(1, 3),
    sharing=st.integers(1, 3),
    head_dimension=st.integers(1, 6).map(lambda half: 2 * half),
    intermediate=st.integers(1, 50),
    layers=st.integers(1, 3),
    tied=st.booleans(),
    bias=st.booleans(),
)
def test_random_decoders_have_the_parameters_of_real_models(
    model_type: str,
    key_value_heads: int,
    sharing: int,
    head_dimension: int,
    intermediate: int,
    layers: int,
    tied: bool,
    bias: bool,
):
    heads = key_value_heads * sharing
    config = decoder(
        model_type,
        hidden_size=heads * 6,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        head_dim=head_dimension,
        tie_word_embeddings=tied,
        attention_bias=bias,
    )
    with torch.device("meta"):
        model = build(config)
    check(from_config(config, "random"), model)


@pytest.mark.parametrize("variant", SMALL)
def test_counting_the_built_model_gives_the_same_as_counting_the_configuration(variant: str, tmp_path: Path):
    # Everything must agree: halves, names and shapes of the linear modules, what lies outside the layers.
    built = architecture_from_transformers(saved(tmp_path, SMALL[variant]))
    assert without_name(built) == without_name(from_config(SMALL[variant], variant))


@pytest.mark.parametrize(
    ("config", "attention", "mlp"),
    [
        # Falcon: query, key and value of one shared head, h x (h + 2 h/4) and h x h; MLP of 2 x 4 h^2;
        # one norm (weight and bias) before both, which counts with the attention.
        (
            {
                "model_type": "falcon",
                "hidden_size": 16,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "vocab_size": 50,
            },
            16 * (16 + 8) + 16 * 16 + 32,
            2 * 16 * 64,
        ),
        # Bloom: h x 3 h and h x h, MLP of 2 x 4 h^2, biases everywhere, a norm in each half.
        (
            {"model_type": "bloom", "hidden_size": 16, "n_layer": 3, "n_head": 4, "vocab_size": 50},
            16 * 48 + 48 + 16 * 16 + 16 + 32,
            2 * 16 * 64 + 64 + 16 + 32,
        ),
        # StableLM: Llama's matrices, norms with a bias.
        (decoder("stablelm"), 2 * 24 * 24 + 2 * 24 * 12 + 48, 3 * 24 * 40 + 48),
        # Cohere: Llama's matrices, one norm without bias before both halves.
        (decoder("cohere"), 2 * 24 * 24 + 2 * 24 * 12 + 24, 3 * 24 * 40),
        # OLMo: Llama's matrices, norms without weights.
        (decoder("olmo"), 2 * 24 * 24 + 2 * 24 * 12, 3 * 24 * 40),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_families_that_sim_does_not_know(config: dict[str, Any], attention: int, mlp: int, tmp_path: Path):
    with pytest.raises(UnknownModelTypeError):
        architecture(saved(tmp_path, config))
    counted = architecture_from_transformers(tmp_path / "config.json")
    assert [(layer.attention.parameters, layer.mlp.parameters) for layer in counted.layers] == 3 * [(attention, mlp)]
    assert counted.parameters == sum(parameter.numel() for parameter in build(config).parameters())
    assert (counted.model_type, counted.vocabulary_size) == (config["model_type"], 50)
    assert len(partition(counted, 0.5)) == 6


def test_experts_in_some_layers_alone_are_counted_by_building(tmp_path: Path):
    config = SMALL["qwen3_moe"] | {"mlp_only_layers": [0]}
    with pytest.raises(UnknownModelTypeError, match="not all of its layers have experts"):
        from_config(config, "mixed")
    counted = architecture_from_transformers(saved(tmp_path, config))
    # The first layer's MLP is dense, 3 x 24 x 40; the others have 4 experts of 3 x 24 x 10 and a router of 24 x 4.
    assert [layer.mlp.parameters - 24 for layer in counted.layers] == [2880, 2976, 2976]
    # Of these 4 experts a token passes 2.
    assert counted.active_parameters == counted.parameters - 2 * 2 * 720


def test_layers_of_different_sizes_are_counted_one_by_one(tmp_path: Path):
    # DeepSeek's first layer has a dense MLP, 3 x h x i; the others route among experts.
    config = decoder(
        "deepseek_v3",
        num_key_value_heads=4,
        moe_intermediate_size=8,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
        q_lora_rank=8,
        kv_lora_rank=8,
    )
    layers = architecture_from_transformers(saved(tmp_path, config)).layers
    model = build(config)
    assert [layer.parameters for layer in layers] == [
        sum(parameter.numel() for parameter in layer.parameters()) for layer in model.model.layers
    ]
    assert layers[0].mlp.parameters == 3 * 24 * 40 + 24
    assert layers[0].mlp != layers[1].mlp


@pytest.mark.parametrize("model_type", ["gemma4_text", "embedding_gemma2_text", "dots3_note_text"])
def test_fields_that_differ_between_layers(model_type: str, tmp_path: Path):
    # transformers raises where such a field is asked of the whole model. What most layers have stands for all of them.
    counted = architecture_from_transformers(saved(tmp_path, {"model_type": model_type}))
    config = CONFIG_MAPPING[model_type]()
    layers = [(layer.num_attention_heads, layer.head_dim) for layer in config.per_layer_config]
    assert len({heads for heads, _ in layers}) > 1 or len({width for _, width in layers}) > 1
    assert len(counted.layers) == len(layers)
    for place, found in enumerate((counted.attention_heads, counted.head_dimension)):
        having = Counter(layer[place] for layer in layers)
        assert having[found] == max(having.values())


def test_a_bare_model_without_a_head_is_counted_as_before(tmp_path: Path):
    # A model of images and text without a head: the longest stack of layers is cut, wherever it lies.
    config = {
        "model_type": "clip",
        "text_config": {"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16},
        "vision_config": {"num_hidden_layers": 3, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16},
    }
    assert len(architecture_from_transformers(saved(tmp_path, config)).layers) == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (decoder("lama"), "knows no model type 'lama', did you mean 'llama'"),
        ({}, "has no field model_type"),
        ({"model_type": ["llama"]}, "knows no model type"),
        (decoder("llama", hidden_size="wide"), "transformers rejects this configuration"),
        (decoder("bloom", num_attention_heads=5), "transformers cannot build this model"),
        (decoder("bloom", num_hidden_layers=10**9), "more than 10000 layers"),
        (decoder("bloom", num_hidden_layers=0), "'num_hidden_layers' is '0', expected a positive whole number"),
        ({"model_type": "t5"}, "encoder-decoder"),
        ({"model_type": "mamba", "num_hidden_layers": 2}, "found no attention in MambaBlock"),
        (
            {"model_type": "jamba", "num_hidden_layers": 8, "num_experts": 2},
            "found no attention in JambaMamba",
        ),
    ],
)
def test_what_cannot_be_counted_is_an_error(config: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(ArchitectureError, match=message) as raised:
        architecture_from_transformers(saved(tmp_path, config))
    assert str(tmp_path) in str(raised.value)


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(ArchitectureError, match=r"holds no config\.json"):
        architecture_from_transformers(tmp_path)


def test_code_of_the_models_authors_is_never_run(tmp_path: Path):
    # The file names a module beside it; running it would raise SystemExit.
    (tmp_path / "evil.py").write_text("raise SystemExit")
    remote = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    with pytest.raises(ArchitectureError, match="knows no model type"):
        architecture_from_transformers(saved(tmp_path, decoder("evil", auto_map=remote)))
    known = architecture_from_transformers(saved(tmp_path, decoder("llama", auto_map=remote)))
    assert without_name(known) == without_name(from_config(SMALL["llama"], "llama"))
