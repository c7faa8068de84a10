"""How a step is trained, beyond what is trained on which batch: the choices that decide its cost. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sim.errors import CostError, shown
from sim.scenario.scenario import Scenario

Weights = Literal["bfloat16", "float32", "float32-autocast", "nf4"]
Optimizer = Literal["adamw", "adamw-8bit", "paged-adamw-8bit", "none"]

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes per weight in nf4 with double quantization: 4 bits, one byte for every 64 weights, and 4 bytes for every 256 of
those (QLoRA, Dettmers et al. 2023, section 3) [B]."""
EIGHT_BIT_MOMENT = 1 + 4 / 256
"""Bytes per value of a moment in 8 bits: one, and a float32 scale for every 256 of them (bitsandbytes) [B]."""


@dataclass(frozen=True)
class Recipe:
    """How a step is trained.

    Attributes
    ----------
    weights : {"bfloat16", "float32", "float32-autocast", "nf4"}
        How base weights are held: ``float32-autocast`` multiplies in bfloat16; ``nf4`` is QLoRA's 4-bit base, whose
        linear layers are brought back to bfloat16 for every product.
    master : bool
        Whether AdamW works on a float32 copy, beside a working copy, as paraSim's trainer does; else on the weights
        themselves, with moments of their precision ("pure bf16").
    optimizer : {"adamw", "adamw-8bit", "paged-adamw-8bit", "none"}
        ``none`` ends with the backward pass. Paged moments count as on the device: they leave it only when it is full.
    adapters : {"base", "float32"}
        Precision of an adapter: that of the weights beside it, or float32.
    attention : {"fused", "eager"}
        One kernel that never holds the scores, or products, mask and softmax one by one.
    loss : {"full", "chunked"}
        Logits of all tokens at once, or of a few at a time with their gradient, as fused heads do it.
    kernels : {"eager", "fused", "compiled"}
        What is between matrix products: one kernel for each operator; hand-written ones for norms, activations,
        rotations and adapters (Liger, Unsloth, TransformerEngine); or ``torch.compile``, whose kernels the CPU asks
        for faster too.
    gpus : int
        GPUs that train one copy of the model together.
    sharded : bool
        Whether they share weights, gradients and moments out (FSDP, ZeRO-3); else each holds all (data parallel).
    """

    weights: Weights = "bfloat16"
    master: bool = True
    optimizer: Optimizer = "adamw"
    adapters: Literal["base", "float32"] = "base"
    attention: Literal["fused", "eager"] = "fused"
    loss: Literal["full", "chunked"] = "full"
    kernels: Literal["eager", "fused", "compiled"] = "eager"
    gpus: int = 1
    sharded: bool = False

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            _check(field.name, getattr(self, field.name), hints[field.name])
        if self.sharded and self.gpus < 2:
            raise CostError(f"gpus is {self.gpus}, allowed with sharded are whole numbers from 2 on")
        if self.weights == "nf4" and self.master:
            raise CostError("weights are nf4, allowed with master is everything else: 4-bit weights are not trained")
        if "8bit" in self.optimizer and self.master:
            raise CostError(f"optimizer is {self.optimizer}, allowed with master are adamw and none")

    @property
    def inexact(self) -> tuple[str, ...]:
        """What a trace of this recipe does not see and a price stands for, in words."""
        priced = {
            "4-bit weights (a pass over each before its products)": self.weights == "nf4",
            f"{self.optimizer} (by its traffic)": "8bit" in self.optimizer,
            f"{self.kernels} kernels (every chain of elementwise operators as one)": self.kernels != "eager",
            "sharding (shares of memory; transfers by bandwidth)": self.sharded,
            "data parallelism (gradients by bandwidth)": self.gpus > 1 and not self.sharded,
        }
        return tuple(words for words, is_so in priced.items() if is_so)


def recipe_of(scenario: Scenario) -> Recipe:
    """How the trainer trains a scenario: on one GPU, whatever its groups have."""
    return Recipe()


def _check(name: str, value: Any, hint: Any) -> None:
    """Refuse a value of another kind than its annotation."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise CostError(f"{name} is {shown(value)}, allowed are {', '.join(get_args(hint))}")
    elif hint is bool and not isinstance(value, bool):
        raise CostError(f"{name} is {shown(value)}, allowed are true and false")
    elif hint is int and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise CostError(f"{name} is {shown(value)}, allowed are whole numbers from 1 on")
