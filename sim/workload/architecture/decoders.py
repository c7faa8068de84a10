"""Decoders of the Llama kind: RMS norms, grouped key/value heads, a gated MLP.

Per layer, with hidden size h, intermediate size i, query width q and key/value width kv, the plain case
has h q + 2 h kv + q h weights of attention, 3 h i of MLP and 2 h of norms; the families differ in biases,
in extra norms and in which of these matrices are fused.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.workload.architecture.configuration import Configuration, repeated
from sim.workload.architecture.model import Architecture, Linear


@dataclass(frozen=True)
class DecoderFamily:
    """What a family of decoders has of its own, and transformers' defaults for it.

    Attributes
    ----------
    key_value_heads : int or None
        Where the configuration names none; None for as many as query heads.
    head_dimension : int or None
        Likewise; None for the hidden size divided among the heads.
    tied : bool
        Whether the head shares the embeddings' weights, where the configuration does not say.
    biases : tuple of str
        Switches of the configuration (`attention_bias`, `mlp_bias`) that the family looks at.
    query_key_value_bias : bool
        Biases on query, key and value whatever the configuration says, never on the output.
    query_key_norms : bool
        A norm over the head for queries and one for keys.
    norms_per_half : int
        2 where a half's output is normed as well as its input.
    fused : bool
        Query, key and value in one matrix, gate and up in another.
    """

    key_value_heads: int | None = None
    head_dimension: int | None = None
    tied: bool = False
    biases: tuple[str, ...] = ("attention_bias",)
    query_key_value_bias: bool = False
    query_key_norms: bool = False
    norms_per_half: int = 1
    fused: bool = False


DECODERS = {
    "gemma": DecoderFamily(key_value_heads=16, head_dimension=256, tied=True),
    "gemma2": DecoderFamily(key_value_heads=4, head_dimension=256, tied=True, norms_per_half=2),
    "llama": DecoderFamily(biases=("attention_bias", "mlp_bias")),
    "mistral": DecoderFamily(key_value_heads=8, biases=()),
    "phi3": DecoderFamily(biases=(), fused=True),
    "qwen2": DecoderFamily(key_value_heads=32, biases=(), query_key_value_bias=True),
    "qwen3": DecoderFamily(key_value_heads=32, head_dimension=128, query_key_norms=True),
}
"""The families by `model_type`; SmolLM2 is a Llama, Qwen2.5 a Qwen2."""


def decoder(config: Configuration) -> Architecture:
    """Count a model of one of the `DECODERS`.

    Raises
    ------
    ArchitectureError
        If a size is missing, out of range or no whole number.
    """
    family = DECODERS[config.model_type]
    hidden, intermediate = config.hidden, config.size("intermediate_size")
    width = config.head_dimension(family.head_dimension)
    queries, keys = config.heads * width, config.key_value_heads(family.key_value_heads) * width

    bias, mlp_bias = (
        key in family.biases and config.switch(key, default=False) for key in ("attention_bias", "mlp_bias")
    )
    query_bias = bias or family.query_key_value_bias
    attention = [
        Linear("q_proj", hidden, queries, query_bias),
        Linear("k_proj", hidden, keys, query_bias),
        Linear("v_proj", hidden, keys, query_bias),
        Linear("o_proj", queries, hidden, bias),
    ]
    mlp = [
        Linear("gate_proj", hidden, intermediate, mlp_bias),
        Linear("up_proj", hidden, intermediate, mlp_bias),
        Linear("down_proj", intermediate, hidden, mlp_bias),
    ]
    if family.fused:
        attention = [attention[-1], Linear("qkv_proj", hidden, queries + 2 * keys)]
        mlp = [Linear("gate_up_proj", hidden, 2 * intermediate), mlp[-1]]
    norms = family.norms_per_half * hidden
    return repeated(
        config,
        head_dimension=width,
        attention=attention,
        mlp=mlp,
        norms=(norms + (2 * width if family.query_key_norms else 0), norms),
        vocabulary=config.size("vocab_size"),
        tied=family.tied,
        other=hidden,
    )
