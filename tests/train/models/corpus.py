"""Shapes of published models, and what transformers and `peft` themselves make of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import lora_parameters
from parasim_core.train.models.architecture import counted
from parasim_core.train.models.blocks import layer_list

ENTRIES: dict[str, dict[str, Any]] = {
    entry["name"]: entry for entry in json.loads((Path(__file__).parent / "configurations.json").read_text())
}
RANK = 4


def build(entry: dict[str, Any]) -> nn.Module:
    """The model without memory, as an instance of the class that its authors name."""
    fields = entry["config"]
    config = transformers.CONFIG_MAPPING[fields["model_type"]].from_dict(dict(fields))
    with torch.device("meta"):
        model: nn.Module = getattr(transformers, entry["builds"])(config)
    return model


def sizes(module: nn.Module) -> int:
    """Parameters of a module, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def adapter_sizes(model: Any, layers: str) -> list[int]:
    """Parameters of A and of B that `peft` puts on all linear modules of the layers; they stay on the model."""
    from peft import LoraConfig, LoraModel

    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LoraModel(model, LoraConfig(r=RANK, target_modules="all-linear"), "default")
    within = [(name, p.numel()) for name, p in model.named_parameters() if name.startswith(f"{layers}.")]
    return [sum(size for name, size in within if f"lora_{matrix}." in name) for matrix in "AB"]


def check(counted: Architecture, model: Any, layers: str) -> None:
    """Compare every layer, the whole and the head with the model's own tensors."""
    assert [layer.parameters for layer in counted.layers] == [sizes(layer) for layer in model.get_submodule(layers)]
    assert counted.parameters == sizes(model)
    if (head := model.get_output_embeddings()) is not None:
        tied = head.weight is model.get_input_embeddings().weight
        assert counted.head_parameters == (0 if tied else sizes(head))


def check_entry(name: str) -> None:
    """Compare what is counted of an entry with its published total, its model's tensors, and peft's own adapter."""
    entry = ENTRIES[name]
    model = build(entry)
    architecture = counted(name, entry["config"])
    check(architecture, model, entry["layers"])
    assert architecture.parameters == entry.get("parameters", architecture.parameters)
    assert layer_list(model)[0] == entry["layers"]
    assert list(lora_parameters(architecture, RANK, "all-linear")) == adapter_sizes(model, entry["layers"])
