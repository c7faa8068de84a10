"""Count the parameters of any model that transformers can build, by building it without memory.

`sim.workload.architecture` counts the common families from their configuration alone. Every other family goes
through this module: the model is built on PyTorch's ``meta`` device, where tensors have shapes and no storage, and
its modules are counted. Nothing is downloaded, no weights are read and no code of the model's authors runs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parasim_core.sim.errors import ArchitectureError, brief, nearest
from parasim_core.sim.workload import architecture
from parasim_core.sim.workload.architecture import LARGEST_LAYER_COUNT, Architecture, Half, Layer, read_config
from parasim_core.train.models.blocks import decoders, halves_of, layer_list, output_embeddings
from parasim_core.train.models.building import ModelError, model_class
from parasim_core.train.models.matrices import Renamed, matrices


def counted(name: str, config: Mapping[str, Any]) -> Architecture:
    """Count the parameters of a configuration, through transformers where the family is not a known one.

    Parameters
    ----------
    name : str
        Name of the model.
    config : mapping
        What stands in its ``config.json``.

    Raises
    ------
    ArchitectureError
        If it cannot be counted.
    """
    try:
        return architecture.from_config(config, name)
    except architecture.UnknownModelTypeError:
        return _built_from(config, name)


def architecture_from_transformers(config_path: str | os.PathLike[str]) -> Architecture:
    """Count the model that transformers builds from a ``config.json``, whatever its family.

    Parameters
    ----------
    config_path : str or path
        A ``config.json``, or a folder that holds one.

    Returns
    -------
    Architecture
        Counts by layer and half, for the model that is trained (`train.models.building.model_class`), else for the
        bare model.

    Raises
    ------
    ArchitectureError
        If the file is no usable configuration, transformers does not know its model type or cannot build
        it, or the model is not one stack of layers with an attention and an MLP each.

    Notes
    -----
    Layers and halves are those that are trained: `train.models.blocks.layer_list` and
    `train.models.blocks.halves_of` say where they end. Linear modules and stacked experts are those that adapters are
    put on: `train.models.matrices`.
    """
    name = os.fspath(config_path)
    return _built_from(read_config(Path(name).expanduser()), name)


def _built_from(fields: Mapping[str, Any], name: str) -> Architecture:
    """Count the model of a configuration."""
    config = configuration(fields, name)
    if config.is_encoder_decoder:
        raise ArchitectureError(f"{name}: an encoder-decoder model has two stacks of layers, only one can be cut")
    text = config.get_text_config()
    if _size(text, "num_hidden_layers", name) > LARGEST_LAYER_COUNT:
        raise ArchitectureError(f"{name}: more than {LARGEST_LAYER_COUNT} layers")
    model = _build(config, name)
    try:
        _, stack = layer_list(model)
    except ModelError as error:
        raise ArchitectureError(f"{name}: {error}") from None
    renamed = Renamed.of(model)
    layers = tuple(_layer(module, renamed, name) for module in stack)

    in_layers = _sizes([stack])
    if sum(layer.parameters for layer in layers) != sum(in_layers.values()):
        raise ArchitectureError(f"{name}: layers of this model share weights, so they cannot be separate blocks")
    outside = {key: size for key, size in _sizes([model]).items() if key not in in_layers}
    embeddings = outside.keys() & _sizes(
        module
        for path, module in model.named_modules()
        if isinstance(module, nn.Embedding) or path.rpartition(".")[2] == "embeddings"
    )
    # A tied head is the embedding's own tensor, which is counted there.
    head = (outside.keys() & _sizes(_heads(model))) - embeddings

    hidden, attention_heads = _size(text, "hidden_size", name), _size(text, "num_attention_heads", name)
    return Architecture(
        name=name,
        model_type=str(config.model_type),
        hidden_size=hidden,
        vocabulary_size=int(_field(text, "vocab_size") or 0),
        attention_heads=attention_heads,
        head_dimension=int(_field(text, "head_dim") or hidden // attention_heads),
        layers=layers,
        embedding_parameters=sum(outside[key] for key in embeddings),
        head_parameters=sum(outside[key] for key in head),
        other_parameters=sum(outside[key] for key in outside.keys() - embeddings - head),
        experts_per_token=_experts_per_token(text, layers),
    )


def _experts_per_token(config: Any, layers: Iterable[Layer]) -> int | None:
    """Experts of a layer that a token passes; None if there are none, or the family says it in words of its own."""
    if all(linear.experts == 1 for layer in layers for linear in layer.linears):
        return None
    found = _field(config, "num_experts_per_tok")
    return found if isinstance(found, int) else None


def configuration(fields: Mapping[str, Any], name: str) -> Any:
    """Read a ``config.json`` as the configuration class that transformers has for its model type.

    Parameters
    ----------
    fields : mapping
        What stands in it.
    name : str
        What a message calls it.

    Returns
    -------
    transformers.PretrainedConfig
        The configuration.

    Raises
    ------
    ArchitectureError
        If transformers does not know its type, or refuses what it holds.
    """
    from transformers import CONFIG_MAPPING

    model_type = fields.get("model_type")
    if model_type is None:
        raise ArchitectureError(f"{name}: has no field model_type, which says how the model is built")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        shown = str(model_type)[:60]
        close = nearest(shown, CONFIG_MAPPING)
        # Hundreds of families are known: a list of them all would bury the message.
        hint = f", {close}" if close.startswith("did you mean") else ""
        raise ArchitectureError(f"{name}: transformers knows no model type {shown!r}{hint}")
    try:
        config = CONFIG_MAPPING[model_type].from_dict(dict(fields))
        # Of a family with several classes of one kind, transformers then takes the first; it does not look for None.
        config.architectures = config.architectures or []
        return config
    # Each family checks its own configuration and raises what it likes.
    except Exception as error:
        raise ArchitectureError(f"{name}: transformers rejects this configuration: {brief(str(error))}") from error


def _build(config: Any, name: str) -> Any:
    """Build the model on the meta device."""
    from transformers import AutoModel

    try:
        kind = model_class(config)
    except ModelError:
        kind = AutoModel
    try:
        with torch.device("meta"):
            return kind.from_config(config, trust_remote_code=False)
    # Any line of any family's code may be what a bad size runs into.
    except Exception as error:
        raise ArchitectureError(f"{name}: transformers cannot build this model: {brief(str(error))}") from error


def _layer(layer: nn.Module, renamed: Renamed, name: str) -> Layer:
    """Count the halves of a layer."""
    parameters = dict(layer.named_parameters())
    linears = list(matrices(layer, renamed))
    halves = []
    for half, own in halves_of(layer).items():
        if all(parameters[parameter].ndim < 2 for parameter in own):
            raise ArchitectureError(f"{name}: found no {half} in {type(layer).__name__}")
        children = {parameter.partition(".")[0] for parameter in own}
        within = tuple(matrix.linear for matrix in linears if matrix.path.partition(".")[0] in children)
        halves.append(Half(half, sum(parameters[parameter].numel() for parameter in own), within))
    return Layer(*halves)


def _heads(model: Any) -> list[nn.Module]:
    """Find the head: what lies beside the base model, and in a language model leads to the tokens."""
    base = model.base_model
    beside = [child for child in model.children() if base not in (child, model)]
    output = next((head for part in decoders(model) if (head := output_embeddings(part)) is not None), None)
    if output is None:
        return beside
    return [child for child in beside if any(part is output for part in child.modules())] or [output]


def _sizes(modules: Iterable[nn.Module]) -> dict[int, int]:
    """Count every parameter once: shared ones are one tensor, hence one key."""
    return {id(parameter): parameter.numel() for module in modules for parameter in module.parameters()}


def _size(config: Any, key: str, name: str) -> int:
    """Read a size that every stack of layers has."""
    value = _field(config, key)
    if not isinstance(value, int) or value < 1:
        raise ArchitectureError(f"{name}: {key!r} is {str(value)[:60]!r}, expected a positive whole number")
    return value


def _field(config: Any, key: str) -> Any:
    """Read a field that a configuration may lack; where layers differ in it, what most of them have."""
    layers = getattr(config, "per_layer_config", None)
    try:
        return getattr(config, key, None)
    # Asked for a field that differs between its layers, such a configuration raises an error of its own.
    except Exception:
        if not layers:
            raise
        return Counter(getattr(layer, key, None) for layer in layers).most_common(1)[0][0]
