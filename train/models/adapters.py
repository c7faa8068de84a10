"""LoRA adapters through `peft`, and what FFA-LoRA and FLoRA do with them.

A weight W of a linear module becomes W + scaling B A, with A of shape (rank, inputs), B of shape
(outputs, rank) and scaling = alpha / rank = 2. FedIT trains A and B; FFA-LoRA keeps A at its seeded start and
trains B alone; FLoRA stacks the clients' matrices, merges their product into W, and begins with a fresh
adapter.
"""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from parasim_core.sim.errors import ParaSimError, ScenarioError
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.blocks import targeted
from parasim_core.train.models.blocks import Values, layer_list
from parasim_core.train.models.matrices import Matrix, Renamed, matrices
from parasim_core.train.models.packing import save_tensors

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
    precision : torch.dtype, optional
        Of A and B; that of the weights beside them if left out.

    Raises
    ------
    AdapterError
        If the model has no matrix of a target's name, or `peft` cannot adapt one.
    """

    def __init__(self, model: nn.Module, settings: Lora, seed: int, *, precision: torch.dtype | None = None) -> None:
        from peft import LoraConfig, LoraModel
        from peft.tuners.lora import LoraLayer

        chosen = target_modules(model, settings.targets)
        modules = [matrix.path for matrix, _ in chosen if matrix.parameter is None]
        parameters = {f"{matrix.path}.{matrix.parameter}": factor for matrix, factor in chosen if matrix.parameter}
        wider = {re.escape(name): settings.rank * factor for name, factor in parameters.items() if factor > 1}
        self._config = LoraConfig(
            r=settings.rank,
            lora_alpha=SCALING * settings.rank,
            target_modules=modules,
            target_parameters=sorted(parameters) or None,
            rank_pattern=wider,
            alpha_pattern={name: SCALING * rank for name, rank in wider.items()},
            fan_in_fan_out=bool(modules) and not any(isinstance(model.get_submodule(n), nn.Linear) for n in modules),
        )
        with warnings.catch_warnings():
            # `peft` looks for the names of wider parameters among those of modules, and warns that there are none.
            warnings.filterwarnings("ignore", message=".*_pattern keys did not match any targeted module")
            try:
                self._tuner = LoraModel(model, self._config, "default")
            except (ValueError, TypeError) as error:
                # Such as a module of a Mamba layer, whose weight is read past the module.
                raise AdapterError(f"peft puts no adapter on these targets: {' '.join(str(error).split())}") from None
        # One module may hold several stacks of experts: then one wrapper lies in the other.
        self._modules: dict[str, Any] = {
            name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)
        }
        held = {id(_base(module)) for module in self._modules.values()}
        self.bases = {name: p for name, p in model.named_parameters() if id(p) in held}
        """Base weights of the targets, by their names in the model."""
        if precision is not None:
            for parameter in self.part.values():
                parameter.data = parameter.data.to(precision)
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
                weight = _base(module)
                a, b = (state[f"{name}.{matrix}"].to(weight.device).float() for matrix in (A, B))
                weight.copy_(weight.float() + SCALING * _product(module, a, b).view(weight.shape))

    def stack(self, states: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> Values:
        """Stack the clients' adapters, so that one product is the weighted sum of theirs (FLoRA).

        Parameters
        ----------
        states : sequence of mapping of str to torch.Tensor
            A and B of every client, under the names of `part`; ranks may differ.
        weights : sequence of float
            One weight n_i per client, not negative, with a positive sum.

        Returns
        -------
        dict of str to torch.Tensor
            float32: A of shape (sum of ranks, inputs), client i's rows scaled by n_i / sum n; B of shape
            (outputs, sum of ranks), not scaled. Hence B A = sum_i (n_i / sum n) B_i A_i, for every expert.
        """
        total = math.fsum(weights)
        stacked: Values = {}
        for name, module in self._modules.items():
            shares = [
                _by_expert(module, state[f"{name}.{A}"].float() * (weight / total))
                for state, weight in zip(states, weights, strict=True)
            ]
            stacked[f"{name}.{A}"] = torch.cat(shares, dim=1).flatten(0, 1)
            stacked[f"{name}.{B}"] = torch.cat([state[f"{name}.{B}"].float() for state in states], dim=1)
        return stacked

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


def target_modules(model: nn.Module, targets: tuple[str, ...] | str) -> list[tuple[Matrix, int]]:
    """Find the matrices to adapt in a model's repeated layers, by the rule that prices them.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    targets : tuple of str or "all-linear"
        Last parts of their names, or all of them.

    Returns
    -------
    list of tuple of Matrix and int
        In the order of the model, under their names in it, each with the factor of its rank.

    Raises
    ------
    AdapterError
        If the model has no matrix of a target's name.
    """
    prefix, layers = layer_list(model)
    renamed = Renamed.of(model)
    found = [
        replace(matrix, path=f"{prefix}.{index}.{matrix.path}")
        for index, layer in enumerate(layers)
        for matrix in matrices(layer, renamed)
    ]
    try:
        chosen = targeted([matrix.linear for matrix in found], targets, type(model).__name__)
    except ScenarioError as error:
        raise AdapterError(str(error)) from None
    return [(found[index], factor) for index, factor in chosen.items()]


def _base(module: Any) -> nn.Parameter:
    """Weight that a module of `peft` adapts."""
    is_wrapper = hasattr(module, "parameter_name")
    weight: nn.Parameter = module.get_param() if is_wrapper else module.get_base_layer().weight
    return weight


def _by_expert(module: Any, a: Tensor) -> Tensor:
    """View A as (experts, rank, inputs): its rows are the first expert's, then the second's, and so on."""
    return a.view(getattr(module, "num_experts", 1), -1, a.shape[-1])


def _product(module: Any, a: Tensor, b: Tensor) -> Tensor:
    """B A of every expert, in the order in which the model keeps its weight."""
    experts = _by_expert(module, a)
    # The columns of B are those of the first rank for all experts, then those of the second.
    by_rank = b.view(len(b), -1, len(experts))
    product = b @ a if len(experts) == 1 else torch.einsum("ore,eri->eoi", by_rank, experts)
    return product.transpose(-2, -1) if _is_transposed(module) else product


def _is_transposed(module: Any) -> bool:
    """Whether the model keeps (inputs, outputs), as GPT-2 does, and GPT-OSS for its experts."""
    if hasattr(module, "parameter_name"):
        return module.num_experts > 1 and bool(getattr(module.get_base_layer(), "is_transposed", False))
    return bool(module.fan_in_fan_out)
