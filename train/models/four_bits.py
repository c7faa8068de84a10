"""Base weights in 4 bits (nf4 with double quantization, as QLoRA holds them), by bitsandbytes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def linear_layers(model: Any) -> dict[str, nn.Linear]:
    """Find what 4-bit loading quantizes: a model's linear layers, without its head and adapters.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model.

    Returns
    -------
    dict of str to torch.nn.Linear
        By their names in the model.
    """
    head = model.get_output_embeddings()
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {name: module for name, module in linear.items() if module is not head and ".lora_" not in name}


def quantize(model: Any, device: torch.device) -> None:
    """Bring a model's linear layers to 4 bits, in place, and all of it to a device, where they are small already.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model, bfloat16, best on a CPU.
    device : torch.device
        Where it goes.
    """
    import bitsandbytes

    for name, linear in linear_layers(model).items():
        inputs, outputs = linear.in_features, linear.out_features
        narrow = bitsandbytes.nn.Linear4bit(
            inputs, outputs, linear.bias is not None, torch.bfloat16, compress_statistics=True, quant_type="nf4"
        )
        narrow.weight = bitsandbytes.nn.Params4bit(
            linear.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4"
        )
        narrow.bias = linear.bias
        model.set_submodule(name, narrow.to(device))
    model.to(device)
    # By this, peft knows how to adapt them.
    model.is_loaded_in_4bit = True


def dequantize(model: Any) -> None:
    """Bring a model's linear layers back to bfloat16, in place: what they stand for wherever they multiply.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A model that was brought to 4 bits, with or without an adapter.
    """
    from bitsandbytes.functional import dequantize_4bit

    for name, narrow in linear_layers(model).items():
        state = getattr(narrow.weight, "quant_state", None)
        if state is None:
            continue
        weight = dequantize_4bit(narrow.weight.data, state)
        wide = nn.Linear(narrow.in_features, narrow.out_features, narrow.bias is not None, device="meta")
        wide.weight, wide.bias = nn.Parameter(weight, requires_grad=False), narrow.bias
        model.set_submodule(name, wide)
    model.is_loaded_in_4bit = False
