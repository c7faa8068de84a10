"""Decoders of the Llama kind: RMS norms, grouped key/value heads, a gated MLP, or a mixture of them as experts.

Per layer, with hidden size h, intermediate size i, query width q and key/value width kv, the plain case
has h q + 2 h kv + q h weights of attention, 3 h i of MLP and 2 h of norms; the families differ in biases,
in extra norms and in which of these matrices are fused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parasim_core.sim.workload.architecture.configuration import Configuration, UnknownModelTypeError, repeated
from parasim_core.sim.workload.architecture.model import Architecture, Linear


@dataclass(frozen=True)
class Experts:
    """How a family writes its experts down.

    Attributes
    ----------
    count, width : str
        Fields of the configuration: experts in a layer, and width of one.
    gate, up, down : str
        What an expert's matrices were called before transformers 5 stacked them.
    router_first : bool
        Whether the router stands before the experts.
    """

    count: str
    width: str
    gate: str
    up: str
    down: str
    router_first: bool


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
    query_key_norms : {"", "head", "all"}
        A norm over the head for queries and one for keys, or one over all queries and one over all keys.
    norms_per_half : int
        2 where a half's output is normed as well as its input.
    fused : bool
        Query, key and value in one matrix, gate and up in another.
    experts : Experts or None
        What the MLP is a mixture of.
    """

    key_value_heads: int | None = None
    head_dimension: int | None = None
    tied: bool = False
    biases: tuple[str, ...] = ("attention_bias",)
    query_key_value_bias: bool = False
    query_key_norms: Literal["", "head", "all"] = ""
    norms_per_half: int = 1
    fused: bool = False
    experts: Experts | None = None


DECODERS = {
    "gemma": DecoderFamily(key_value_heads=16, head_dimension=256, tied=True),
    "gemma2": DecoderFamily(key_value_heads=4, head_dimension=256, tied=True, norms_per_half=2),
    "gemma3_text": DecoderFamily(
        key_value_heads=4, head_dimension=256, tied=True, norms_per_half=2, query_key_norms="head"
    ),
    "llama": DecoderFamily(biases=("attention_bias", "mlp_bias")),
    "mistral": DecoderFamily(key_value_heads=8, biases=()),
    "mixtral": DecoderFamily(
        key_value_heads=8,
        biases=(),
        experts=Experts("num_local_experts", "intermediate_size", "w1", "w3", "w2", router_first=True),
    ),
    "olmo2": DecoderFamily(query_key_norms="all"),
    "phi3": DecoderFamily(biases=(), fused=True),
    "qwen2": DecoderFamily(key_value_heads=32, biases=(), query_key_value_bias=True),
    "qwen3": DecoderFamily(key_value_heads=32, head_dimension=128, query_key_norms="head"),
    "qwen3_moe": DecoderFamily(
        key_value_heads=4,
        query_key_norms="head",
        experts=Experts(
            "num_experts", "moe_intermediate_size", "gate_proj", "up_proj", "down_proj", router_first=False
        ),
    ),
    "smollm3": DecoderFamily(key_value_heads=4, tied=True, biases=("attention_bias", "mlp_bias")),
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
    hidden = config.hidden
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
    if family.experts is None:
        mlp = gated(hidden, config.size("intermediate_size"), bias=mlp_bias, fused=family.fused)
    else:
        mlp = mixture(config, family.experts)
    if family.fused:
        attention = [attention[-1], Linear("qkv_proj", hidden, queries + 2 * keys)]
    norms = family.norms_per_half * hidden
    query_key_norms = {"": 0, "head": 2 * width, "all": queries + keys}[family.query_key_norms]
    return repeated(
        config,
        head_dimension=width,
        attention=attention,
        mlp=mlp,
        norms=(norms + query_key_norms, norms),
        vocabulary=config.size("vocab_size"),
        tied=family.tied,
        other=hidden,
        experts_per_token=None if family.experts is None else config.size("num_experts_per_tok"),
    )


def gated(hidden: int, intermediate: int, *, bias: bool, fused: bool) -> list[Linear]:
    """Linear modules of a gated MLP."""
    down = Linear("down_proj", intermediate, hidden, bias)
    if fused:
        return [Linear("gate_up_proj", hidden, 2 * intermediate), down]
    return [Linear("gate_proj", hidden, intermediate, bias), Linear("up_proj", hidden, intermediate, bias), down]


def mixture(config: Configuration, experts: Experts) -> list[Linear]:
    """Linear modules of an MLP that is a mixture of experts: their stacked matrices, and the router.

    Raises
    ------
    UnknownModelTypeError
        If only some layers have experts.
    ArchitectureError
        If a size is missing, out of range or no whole number.
    """
    hidden, count, width = config.hidden, config.size(experts.count), config.size(experts.width)
    if config.size("decoder_sparse_step", default=1) > 1 or config.named("mlp_only_layers"):
        raise UnknownModelTypeError(
            f"{config.name}: not all of its layers have experts, which takes more than formulas"
        )
    stacked = [
        Linear("gate_up_proj", hidden, 2 * width, experts=count, fuses=(experts.gate, experts.up)),
        Linear("down_proj", width, hidden, formerly=experts.down, experts=count),
    ]
    router = [Linear("gate.weight", hidden, count, formerly="gate")]
    return router + stacked if experts.router_first else stacked + router
