"""LoRA adapters through `peft`, and what FFA-LoRA and FLoRA do with them.

A weight W of a linear module becomes W + scaling B A, with A of shape (rank, inputs), B of shape
(outputs, rank) and scaling = alpha / rank = 2. FedIT trains A and B; FFA-LoRA keeps A at its seeded start and
trains B alone; FLoRA stacks the clients' matrices, merges their product into W, and begins with a fresh
adapter.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sim.errors import ParaSimError, nearest
from sim.scenario.sections import Lora
from sim.workload.blocks import ALL_LINEAR
from train.models.blocks import Values, layer_list
from train.models.packing import save_tensors

A, B = "lora_A.default.weight", "lora_B.default.weight"
SCALING = 2.0
"""Factor of B A, whatever the rank: alpha is twice the rank, as is usual."""


class AdapterError(ParaSimError):
    """An adapter cannot be built as asked."""


class Adapter:
    """A LoRA adapter on a model.

    Parameters
    ----------
    model : torch.nn.Module
        The model; its target modules are replaced in place until `remove`.
    settings : Lora
        Rank and targets.
    seed : int
        Seed of the A matrices; B starts at zero.

    Raises
    ------
    AdapterError
        If the model has no linear module of a target's name.
    """

    def __init__(self, model: nn.Module, settings: Lora, seed: int) -> None:
        from peft import LoraConfig, LoraModel

        names = target_modules(model, settings.targets)
        self._config = LoraConfig(
            r=settings.rank,
            lora_alpha=SCALING * settings.rank,
            target_modules=names,
            fan_in_fan_out=not any(isinstance(model.get_submodule(name), nn.Linear) for name in names),
        )
        self._tuner = LoraModel(model, self._config, "default")
        self._modules: dict[str, Any] = {name: model.get_submodule(name) for name in names}
        self.reset(seed)

    @property
    def part(self) -> dict[str, nn.Parameter]:
        """A and B of every target: what FedIT and FLoRA train."""
        return {
            f"{name}.{matrix}": module.get_parameter(matrix)
            for name, module in self._modules.items()
            for matrix in (A, B)
        }

    @property
    def b_part(self) -> dict[str, nn.Parameter]:
        """B of every target: what FFA-LoRA trains, with A frozen."""
        return {name: parameter for name, parameter in self.part.items() if name.endswith(B)}

    def reset(self, seed: int) -> None:
        """Begin afresh: A drawn as LoRA draws it (Kaiming uniform), B zero, so that the product is zero.

        Parameters
        ----------
        seed : int
            Seed of A; the same on every device, because it is drawn on the CPU.
        """
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self.part.items():
                if name.endswith(B):
                    parameter.zero_()
                    continue
                drawn = torch.empty(parameter.shape)
                nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
                parameter.copy_(drawn)

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add scaling B A to the base weights; the adapter itself stays as it is.

        Parameters
        ----------
        state : mapping of str to torch.Tensor
            A and B of every target under the names of `part`, of any rank: one adapter's, or a stack of many.

        Notes
        -----
        Product and sum are taken in float32 and rounded to the model's precision once.
        """
        with torch.no_grad():
            for name, module in self._modules.items():
                weight = module.get_base_layer().weight
                a, b = (state[f"{name}.{matrix}"].to(weight.device).float() for matrix in (A, B))
                product = SCALING * (b @ a)
                # GPT-2 keeps its weights transposed: (inputs, outputs).
                weight.copy_(weight.float() + (product.T if module.fan_in_fan_out else product))

    def remove(self) -> None:
        """Give the model its own modules back; what was not merged is lost."""
        self._tuner.unload()

    def save(self, directory: Path, base: str | None = None) -> None:
        """Write the adapter as `peft` reads it: ``adapter_model.safetensors`` and ``adapter_config.json``.

        Parameters
        ----------
        directory : Path
            Folder to write to; made if it is missing.
        base : str, optional
            Folder or name of the model that it belongs on, as `peft` looks for it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        config = copy.copy(self._config)
        # `peft` makes a set of them, in another order in every process.
        config.target_modules = sorted(config.target_modules)
        config.base_model_name_or_path = base
        config.save_pretrained(str(directory))
        weights = {
            f"base_model.model.{name.replace('.default', '')}": parameter.detach().cpu().contiguous()
            for name, parameter in self.part.items()
        }
        save_tensors(weights, directory / "adapter_model.safetensors", {"format": "pt"})


def stack(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> Values:
    """Stack the clients' adapters, so that one product is the weighted sum of theirs (FLoRA).

    Parameters
    ----------
    states : sequence of mapping of str to torch.Tensor
        A and B of every client, under the same names; ranks may differ.
    weights : sequence of float
        One weight n_i per client, not negative, with a positive sum.

    Returns
    -------
    dict of str to torch.Tensor
        float32: A of shape (sum of ranks, inputs), client i's rows scaled by n_i / sum n; B of shape
        (outputs, sum of ranks), not scaled. Hence B A = sum_i (n_i / sum n) B_i A_i.
    """
    total = math.fsum(weights)
    stacked: Values = {}
    for name in states[0]:
        matrices = [state[name].float() for state in states]
        if name.endswith(A):
            shares = zip(matrices, weights, strict=True)
            stacked[name] = torch.cat([matrix * (weight / total) for matrix, weight in shares], dim=0)
        else:
            stacked[name] = torch.cat(matrices, dim=1)
    return stacked


def target_modules(model: nn.Module, targets: tuple[str, ...] | str) -> list[str]:
    """Full names of the linear modules that the targets mean, within the layers only.

    Parameters
    ----------
    model : torch.nn.Module
        The model, without an adapter.
    targets : tuple of str or "all-linear"
        Linear modules of every layer, by their last name, or all of them.

    Raises
    ------
    AdapterError
        If the model has no linear module of a target's name.
    """
    from transformers.pytorch_utils import Conv1D

    prefix, layers = layer_list(model)
    linear = [f"{prefix}.{name}" for name, module in layers.named_modules() if isinstance(module, (nn.Linear, Conv1D))]
    if targets == ALL_LINEAR:
        return linear
    known = {name.rpartition(".")[2] for name in linear}
    for unknown in sorted(set(targets) - known):
        raise AdapterError(
            f"lora target {unknown!r} is no linear module of this model: {nearest(unknown, known | {ALL_LINEAR})}"
        )
    return [name for name in linear if name.rpartition(".")[2] in targets]
