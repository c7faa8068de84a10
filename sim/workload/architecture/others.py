"""Families of other kinds: GPT-2, GPT-NeoX (Pythia), OPT, and the vision transformer ViT.

All have layer norms with a weight and a bias, as many key/value heads as query heads, and an MLP of two
matrices.
"""

from __future__ import annotations

from parasim_core.sim.errors import ArchitectureError
from parasim_core.sim.workload.architecture.configuration import Configuration, repeated
from parasim_core.sim.workload.architecture.model import Architecture, Linear


def gpt2(config: Configuration) -> Architecture:
    """Count a GPT-2 model; its ``Conv1D`` modules are linear modules under another name.

    Raises
    ------
    ArchitectureError
        If a size is out of range, or the layers also attend to an encoder (`add_cross_attention`).
    """
    if config.switch("add_cross_attention", default=False):
        raise ArchitectureError(f"{config.name}: GPT-2 with 'add_cross_attention' cannot be counted")
    hidden, vocabulary = config.hidden, config.size("vocab_size")
    intermediate = config.size("n_inner", default=4 * hidden)
    positions = config.size("max_position_embeddings", default=1024)
    return repeated(
        config,
        attention=[Linear("c_attn", hidden, 3 * hidden, True), Linear("c_proj", hidden, hidden, True)],
        mlp=[Linear("c_fc", hidden, intermediate, True), Linear("c_proj", intermediate, hidden, True)],
        norms=(2 * hidden, 2 * hidden),
        vocabulary=vocabulary,
        embeddings=(vocabulary + positions) * hidden,
        tied=True,
        other=2 * hidden,
    )


def gpt_neox(config: Configuration) -> Architecture:
    """Count a GPT-NeoX model, such as Pythia; raises `ArchitectureError` if a size is out of range."""
    hidden, vocabulary = config.hidden, config.size("vocab_size")
    intermediate = config.size("intermediate_size")
    bias = config.switch("attention_bias", default=True)
    return repeated(
        config,
        attention=[Linear("query_key_value", hidden, 3 * hidden, bias), Linear("dense", hidden, hidden, bias)],
        mlp=[Linear("dense_h_to_4h", hidden, intermediate, True), Linear("dense_4h_to_h", intermediate, hidden, True)],
        norms=(2 * hidden, 2 * hidden),
        vocabulary=vocabulary,
        other=2 * hidden,
    )


def opt(config: Configuration) -> Architecture:
    """Count an OPT model, with the projections around a narrower embedding where it has them.

    Raises
    ------
    ArchitectureError
        If a size is out of range.
    """
    hidden, vocabulary = config.hidden, config.size("vocab_size")
    intermediate = config.size("ffn_dim")
    embedding = config.size("word_embed_proj_dim", default=hidden)
    positions = config.size("max_position_embeddings", default=2048)
    bias = config.switch("enable_bias", default=True)
    norm = 2 * hidden if config.switch("layer_norm_elementwise_affine", default=True) else 0
    has_final_norm = config.switch("do_layer_norm_before", default=True) and not config.switch(
        "_remove_final_layer_norm", default=False
    )
    return repeated(
        config,
        attention=[Linear(name, hidden, hidden, bias) for name in ("k_proj", "v_proj", "q_proj", "out_proj")],
        mlp=[Linear("fc1", hidden, intermediate, bias), Linear("fc2", intermediate, hidden, bias)],
        norms=(norm, norm),
        vocabulary=vocabulary,
        # Positions 0 and 1 are reserved for padding, hence two more embeddings than positions.
        embeddings=vocabulary * embedding + (positions + 2) * hidden,
        head=vocabulary * embedding,
        tied=True,
        other=(0 if embedding == hidden else 2 * embedding * hidden) + (norm if has_final_norm else 0),
    )


def vit(config: Configuration) -> Architecture:
    """Count a vision transformer with its classifier (no pooler, as in image classification).

    Raises
    ------
    ArchitectureError
        If a size is out of range, or the image is smaller than a patch.
    """
    hidden = config.hidden
    intermediate = config.size("intermediate_size")
    channels = config.size("num_channels", default=3)
    image_height, image_width = config.pair("image_size", default=224)
    patch_height, patch_width = config.pair("patch_size", default=16)
    patches = (image_height // patch_height) * (image_width // patch_width)
    if patches == 0:
        raise ArchitectureError(f"{config.name}: 'image_size' is smaller than 'patch_size'")
    head_dimension = config.head_dimension()
    width = config.heads * head_dimension
    bias = config.switch("qkv_bias", default=True)
    former_names = {"q_proj": "query", "k_proj": "key", "v_proj": "value"}
    attention = [Linear(name, hidden, width, bias, formerly) for name, formerly in former_names.items()]
    # The class token is one more position, and an embedding of its own; every patch position has a bias.
    patch_embedding = hidden * (channels * patch_height * patch_width + 1)
    return repeated(
        config,
        head_dimension=head_dimension,
        attention=[*attention, Linear("o_proj", width, hidden, True, "dense")],
        mlp=[Linear("fc1", hidden, intermediate, True, "dense"), Linear("fc2", intermediate, hidden, True, "dense")],
        norms=(2 * hidden, 2 * hidden),
        vocabulary=0,
        embeddings=patch_embedding + hidden + (patches + 1) * hidden,
        head=config.label_count() * (hidden + 1),
        tied=None,
        other=2 * hidden,
    )
