"""Parameters of a block in a real model: find, activate, snapshot and install them.

`sim.workload.blocks` says which layers, or halves of layers, make a block; this module finds them in a model.
A trainable part (a block, an adapter, the whole model) is a plain dictionary of named parameters; its values
travel as dictionaries of tensors under the same names, in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from parasim_core.sim.workload.blocks import Block
from parasim_core.train.models.building import ModelError

Part = Mapping[str, nn.Parameter]
Values = dict[str, Tensor]
aten = torch.ops.aten


def layer_list(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Find the repeated layers of a transformer; of a model of several towers, those of the decoder its head reads.

    Parameters
    ----------
    model : torch.nn.Module
        Any transformer that keeps its layers in one `torch.nn.ModuleList`.

    Returns
    -------
    tuple of str and torch.nn.ModuleList
        The list's name in the model and the list: of the outermost ones whose members are all of one class, if there
        are any, the longest.

    Raises
    ------
    ModelError
        If the model has no such list.

    Notes
    -----
    A vision tower may have more layers than the text decoder. Where the decoder itself holds a tower (a model of its
    own to transformers), the tower's layers are looked at last.
    """
    chain = decoders(model)
    decoder, writes = chain[-1], any(output_embeddings(part) is not None for part in chain)
    place = next(name for name, module in model.named_modules() if module is decoder)
    lists: dict[str, nn.ModuleList] = {}
    models: list[str] = []
    for name, module in decoder.named_modules(prefix=place):
        if writes and module is not decoder and hasattr(module, "base_model_prefix"):
            models.append(name)
        # A list within a layer, such as the experts of a mixture, may be longer than the list of layers.
        if isinstance(module, nn.ModuleList) and not any(name.startswith(f"{outer}.") for outer in lists):
            lists[name] = module
    repeated = {name: layers for name, layers in lists.items() if len({type(layer) for layer in layers}) == 1}
    if writes and not repeated:
        # Layers of several kinds take turns, such as those that attend to an image with those that attend to the text.
        repeated = {name: layers for name, layers in lists.items() if len(layers)}
    if not repeated:
        raise ModelError(f"{type(model).__name__} has no list of repeated layers to make blocks of")
    own = {name: layers for name, layers in repeated.items() if not any(name.startswith(f"{m}.") for m in models)}
    return max((own or repeated).items(), key=lambda item: len(item[1]))


def decoders(model: Any) -> list[Any]:
    """Go from a model to the innermost decoder that transformers names in it.

    Parameters
    ----------
    model : torch.nn.Module
        The model.

    Returns
    -------
    list of torch.nn.Module
        The model, the decoder that it names, that one's, and so on; the model alone where none has a head.
    """
    chain = [model]
    while hasattr(chain[-1], "get_decoder"):
        outer = chain[-1]
        inner = outer.get_decoder()
        # Some families call their head's last matrix a decoder.
        if inner is None or inner in chain or not any(isinstance(part, nn.ModuleList) for part in inner.modules()):
            # A union of models (one that thinks, one that talks) names none: its first one with a head is meant.
            inner = next((child for child in outer.children() if output_embeddings(child) is not None), None)
        if inner is None:
            break
        chain.append(inner)
    return chain if any(output_embeddings(part) is not None for part in chain) else [model]


def output_embeddings(model: Any) -> Any:
    """The language-model head that transformers names in a model, or None."""
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def halves_of(layer: nn.Module) -> dict[str, list[str]]:
    """Split a layer's parameters into its attention and its MLP half.

    Parameters
    ----------
    layer : torch.nn.Module
        One layer of a transformer.

    Returns
    -------
    dict of str to list of str
        Names of the parameters within the layer under ``attention`` and ``mlp``, in the layer's own order.

    Notes
    -----
    Modules named after attention make the attention half, other matrices the MLP half. What holds no matrix
    (norms, layer scales) is registered in the order in which it applies: the first half of it, rounded up,
    goes with the attention. `train.models.architecture` counts by the same rule.
    """
    ranks = {name: [own.ndim for own in child.parameters()] for name, child in layer.named_children()}
    vectors = [name for name, dimensions in ranks.items() if dimensions and max(dimensions) < 2]
    vectors += [name for name, _ in layer.named_parameters(recurse=False)]
    attention = {name for name in ranks if "attn" in name.lower() or "attention" in name.lower()}
    attention = (attention - set(vectors)) | set(vectors[: (len(vectors) + 1) // 2])
    halves: dict[str, list[str]] = {"attention": [], "mlp": []}
    for name, _ in layer.named_parameters():
        halves["attention" if name.partition(".")[0] in attention else "mlp"].append(name)
    return halves


def block_parameters(model: nn.Module, block: Block) -> dict[str, nn.Parameter]:
    """Parameters of one block, by their names in the model.

    Parameters
    ----------
    model : torch.nn.Module
        The model that the block was cut from.
    block : Block
        Its halves are pairs of layer index and ``attention`` or ``mlp``.

    Returns
    -------
    dict of str to torch.nn.Parameter
        In the order of the block's halves and, within one, of the layer's own parameters.

    Raises
    ------
    ModelError
        If the model has no such layer, or its block has another number of parameters.
    """
    prefix, layers = layer_list(model)
    if block.last_layer >= len(layers):
        raise ModelError(f"block {block.index} ends in layer {block.last_layer}, the model has {len(layers)} layers")
    parameters: dict[str, nn.Parameter] = {}
    for index, half in block.halves:
        own = dict(layers[index].named_parameters())
        parameters.update({f"{prefix}.{index}.{name}": own[name] for name in halves_of(layers[index])[half]})
    count = sum(parameter.numel() for parameter in parameters.values())
    if count != block.parameters:
        raise ModelError(
            f"block {block.index} has {count} parameters in the model, {block.parameters} in its architecture"
        )
    return parameters


def activate(model: nn.Module, part: Part) -> None:
    """Let exactly one part of a model receive gradients.

    Parameters
    ----------
    model : torch.nn.Module
        The model; every parameter that is not in the part is frozen.
    part : mapping of str to torch.nn.Parameter
        Parameters of this model.

    Notes
    -----
    Autograd records nothing before the first parameter that wants a gradient, so layers below the lowest
    trained one cost a forward pass and no activation memory.
    """
    model.requires_grad_(False)
    for parameter in part.values():
        parameter.requires_grad_(True)


def checkpoint_activations(model: Any, how: bool | Literal["selective"] = True) -> None:
    """Trade compute for memory: keep only each layer's input and run its forward again in the backward pass.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; takes effect in training mode only.
    how : bool or "selective"
        Switch on or off; ``selective`` also keeps the results of attention and of every other matrix product.

    Raises
    ------
    ModelError
        If the model does not support it.
    """
    # transformers renamed the methods; the old names warn where the new ones exist.
    word = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    if not how:
        getattr(model, f"{word}_checkpointing_disable")()
        return
    try:
        chosen = {"context_fn": keep_products} if how == "selective" else {}
        getattr(model, f"{word}_checkpointing_enable")({"use_reentrant": False, **chosen})
    except ValueError as error:
        raise ModelError(f"{type(model).__name__} does not support activation checkpointing") from error
    # transformers makes the embeddings' output require gradients for the sake of reentrant checkpoints. Ours
    # are not, and that would build the very graph below the trained block which freezing avoids.
    if getattr(model, "_require_grads_hook", None) is not None:
        model.disable_input_require_grads()


def keep_products() -> Any:
    """Contexts of a selective checkpoint: attention and every other matrix product are kept, all else is made again.

    This is what torchtitan's selective option for single operators keeps.
    """
    products = Counter[bool]()

    def policy(context: Any, func: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        packet = getattr(func, "_overloadpacket", None)
        kept = "scaled_dot_product" in str(packet)
        if packet in (aten.mm, aten.addmm, aten.bmm, aten.baddbmm):
            products[context.is_recompute] += 1
            kept = products[context.is_recompute] % 2 == 1
        return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)  # type: ignore[no-untyped-call]


def compile_layers(model: nn.Module) -> None:
    """Let `torch.compile` make the kernels of each layer by itself, when it is first run.

    Compiled as a whole, transformers would give attention an explicit mask, which rules out its fast kernels, and
    every block that trains other layers would be compiled anew, until the compiler gives up.
    """
    for layer in layer_list(model)[1]:
        layer.compile()


def install(part: Part, values: Mapping[str, Tensor]) -> None:
    """Put values into a part, rounding them to the model's precision.

    Parameters
    ----------
    part : mapping of str to torch.nn.Parameter
        The part.
    values : mapping of str to torch.Tensor
        Values under the same names, of the same shapes, in any precision, on any device.
    """
    with torch.no_grad():
        for name, parameter in part.items():
            parameter.copy_(values[name])


def flatten(values: Mapping[str, Tensor]) -> Tensor:
    """Lay tensors end to end, in the dictionary's order.

    Parameters
    ----------
    values : mapping of str to torch.Tensor
        Tensors of one precision on one device.

    Returns
    -------
    torch.Tensor
        Shape (sum of their sizes,).
    """
    return torch.cat([value.reshape(-1) for value in values.values()])


def unflatten(flat: Tensor, like: Mapping[str, Tensor]) -> Values:
    """Undo `flatten`.

    Parameters
    ----------
    flat : torch.Tensor
        Shape (sum of the sizes in `like`,).
    like : mapping of str to torch.Tensor
        Names and shapes.

    Returns
    -------
    dict of str to torch.Tensor
        Views into `flat`.
    """
    pieces = torch.split(flat, [value.numel() for value in like.values()])
    return {name: piece.view(value.shape) for (name, value), piece in zip(like.items(), pieces, strict=True)}
