"""The matrices of a layer that LoRA can adapt, and under which names.

Most are linear modules. Mixtures of experts keep the matrices of all experts in one tensor, and some routers theirs in
a module of their own; `peft` adapts such tensors by themselves (its `target_parameters`). What transformers 5 stacked
and fused has former names, to which `peft` translates: its tables say what became of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from parasim_core.sim.workload.architecture import Linear


@dataclass(frozen=True)
class Matrix:
    """A matrix, or the stacked matrices of all experts.

    Attributes
    ----------
    path : str
        Name of the module that holds it.
    parameter : str or None
        Its own name in that module, where it is adapted by itself; None where the module is.
    linear : Linear
        Its shape, and how it may be targeted.
    """

    path: str
    parameter: str | None
    linear: Linear


@dataclass(frozen=True)
class Renamed:
    """How `peft` translates the targets of a family whose experts were linear modules before transformers 5.

    Attributes
    ----------
    names : mapping of str to str
        The parameter that a module became, by the module's name; empty for other families.
    fused : mapping of str to sequence of str
        The modules that lie side by side in one parameter, by the parameter's name.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    fused: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Any) -> Renamed:
        """Look a model's family up."""
        try:
            from peft.utils import transformers_weight_conversion as conversion
        except ImportError:
            return cls()  # Before transformers 5 nothing was stacked.
        model_type = getattr(getattr(model, "config", None), "model_type", None)
        if model_type is None or conversion.get_checkpoint_conversion_mapping(model_type) is None:
            return cls()
        # `peft` applies these tables without offering them: see its `_convert_peft_config_moe`.
        like = conversion._MODEL_TO_CONVERSION_PATTERN.get(model_type)
        names, fused = conversion._MOE_TARGET_MODULE_MAPPING.get(like), conversion._MOE_FUSED_TARGETS.get(like)
        return cls(names, fused) if names and fused else cls()


def matrices(layer: nn.Module, renamed: Renamed) -> Iterator[Matrix]:
    """Go through a layer's matrices, in the order in which the model defines them.

    Parameters
    ----------
    layer : torch.nn.Module
        One layer of a transformer.
    renamed : Renamed
        What `peft` makes of its family's former names.
    """
    from transformers.pytorch_utils import Conv1D

    for path, module in layer.named_modules():
        leaf = path.rpartition(".")[2]
        if isinstance(module, nn.Linear):
            bias = module.bias is not None
            yield _module(path, renamed, Linear(leaf, module.in_features, module.out_features, bias))
        elif isinstance(module, Conv1D):
            # A linear module whose weight is stored transposed.
            yield _module(path, renamed, Linear(leaf, module.nx, module.nf, bias=True))
        # PyTorch's own modules apply their parameters in ways of their own, such as a convolution's.
        elif not type(module).__module__.startswith("torch."):
            yield from _parameters(path, module, renamed)


def _module(path: str, renamed: Renamed, linear: Linear) -> Matrix:
    """Say how a linear module may be targeted."""
    became = renamed.names.get(linear.name)
    if became == f"{linear.name}.weight":
        # The translation holds for the module as well, and comes to the same.
        return Matrix(path, "weight", linear)
    if became is not None:
        # Translated to the experts' name, this module's own reaches it no more (a shared expert, a dense layer).
        linear = Linear(linear.name, linear.inputs, linear.outputs, linear.bias, targets="never")
    return Matrix(path, None, linear)


def _parameters(path: str, module: nn.Module, renamed: Renamed) -> Iterator[Matrix]:
    """Find stacked matrices, and those of modules that apply their weight themselves."""
    former: dict[str, list[str]] = {}
    for old, new in renamed.names.items():
        former.setdefault(new, []).append(old)
    for own, parameter in module.named_parameters(recurse=False):
        name = f"{path.rpartition('.')[2]}.weight" if own == "weight" else own
        if parameter.ndim != (2 if own == "weight" else 3):
            continue
        shape = parameter.shape
        # As `peft` reads them: (experts, outputs, inputs) unless their module says otherwise.
        straight = getattr(module, "is_transposed", False) and parameter.ndim == 3
        inputs, outputs = (shape[-2], shape[-1]) if straight else (shape[-1], shape[-2])
        before = former.get(name, [])
        fuses = tuple(renamed.fused.get(name, ()))
        targets: Literal["all-linear", "name"] = "all-linear" if before else "name"
        formerly = before[0] if before and not fuses else None
        experts = shape[0] if parameter.ndim == 3 else 1
        yield Matrix(path, own, Linear(name, inputs, outputs, False, formerly, experts, fuses, targets))
