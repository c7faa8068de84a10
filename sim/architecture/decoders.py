"""Decoders of the Llama kind: RMS norms, grouped key/value heads, a gated MLP.

Per layer, with hidden size h, intermediate size i, query width q and key/value width kv, the plain case
has h q + 2 h kv + q h weights of attention, 3 h i of MLP and 2 h of norms; the families differ in biases,
in extra norms and in which of these matrices are fused.
"""

from __future__ import annotations

from sim.architecture.configuration import Configuration
from sim.architecture.model import Architecture, Half, Layer, Linear


def llama(config: Configuration) -> Architecture:
    """Count a Llama model (also SmolLM2); `attention_bias` and `mlp_bias` are all or nothing."""
    bias = config.switch("attention_bias", default=False)
    return _decoder(
        config, "llama", query_bias=bias, output_bias=bias, mlp_bias=config.switch("mlp_bias", default=False)
    )


def mistral(config: Configuration) -> Architecture:
    """Count a Mistral model: Llama without biases, 8 key/value heads unless said otherwise."""
    return _decoder(config, "mistral", key_value_heads=8)


def qwen2(config: Configuration) -> Architecture:
    """Count a Qwen2 or Qwen2.5 model: biases on query, key and value, never on the output."""
    return _decoder(config, "qwen2", query_bias=True, key_value_heads=32)


def qwen3(config: Configuration) -> Architecture:
    """Count a Qwen3 model: heads of 128, and a norm over the head for queries and for keys."""
    bias = config.switch("attention_bias", default=False)
    return _decoder(
        config,
        "qwen3",
        query_bias=bias,
        output_bias=bias,
        query_key_norms=True,
        key_value_heads=32,
        head_dimension=128,
    )


def gemma(config: Configuration) -> Architecture:
    """Count a Gemma model: heads of 256, tied embeddings."""
    bias = config.switch("attention_bias", default=False)
    return _decoder(
        config, "gemma", query_bias=bias, output_bias=bias, key_value_heads=16, head_dimension=256, tied=True
    )


def gemma2(config: Configuration) -> Architecture:
    """Count a Gemma 2 model: Gemma with a second norm in each half, on what the half puts out."""
    bias = config.switch("attention_bias", default=False)
    return _decoder(
        config,
        "gemma2",
        query_bias=bias,
        output_bias=bias,
        key_value_heads=4,
        head_dimension=256,
        tied=True,
        norms_per_half=2,
    )


def phi3(config: Configuration) -> Architecture:
    """Count a Phi-3 model: Llama with query, key and value in one matrix, gate and up in another."""
    return _decoder(config, "phi3", fused=True)


def _decoder(
    config: Configuration,
    model_type: str,
    *,
    query_bias: bool = False,
    output_bias: bool = False,
    mlp_bias: bool = False,
    query_key_norms: bool = False,
    key_value_heads: int | None = None,
    head_dimension: int | None = None,
    tied: bool = False,
    norms_per_half: int = 1,
    fused: bool = False,
) -> Architecture:
    """Count a decoder; the arguments are the family's own choices and transformers' defaults for it."""
    hidden = config.size("hidden_size")
    intermediate = config.size("intermediate_size")
    vocabulary = config.size("vocab_size")
    heads = config.size("num_attention_heads")
    width = config.head_dimension(hidden, heads, default=head_dimension)
    queries, keys = heads * width, config.key_value_heads(heads, default=key_value_heads) * width

    attention: tuple[Linear, ...] = (
        Linear("q_proj", hidden, queries, query_bias),
        Linear("k_proj", hidden, keys, query_bias),
        Linear("v_proj", hidden, keys, query_bias),
        Linear("o_proj", queries, hidden, output_bias),
    )
    mlp: tuple[Linear, ...] = (
        Linear("gate_proj", hidden, intermediate, mlp_bias),
        Linear("up_proj", hidden, intermediate, mlp_bias),
        Linear("down_proj", intermediate, hidden, mlp_bias),
    )
    if fused:
        query, key, value, output = attention
        attention = (output, _fused("qkv_proj", query, key, value))
        gate, up, down = mlp
        mlp = (_fused("gate_up_proj", gate, up), down)
    norms = norms_per_half * hidden
    layer = Layer(
        Half.of("attention", attention, norms + (2 * width if query_key_norms else 0)),
        Half.of("mlp", mlp, norms),
    )
    return Architecture(
        name=config.name,
        model_type=model_type,
        hidden_size=hidden,
        vocabulary_size=vocabulary,
        attention_heads=heads,
        head_dimension=width,
        layers=(layer,) * config.layer_count("num_hidden_layers"),
        embedding_parameters=vocabulary * hidden,
        head_parameters=0 if config.switch("tie_word_embeddings", default=tied) else vocabulary * hidden,
        other_parameters=hidden,
    )


def _fused(name: str, *linears: Linear) -> Linear:
    """Stack linear modules of the same input into one."""
    return Linear(name, linears[0].inputs, sum(linear.outputs for linear in linears), linears[0].bias)
