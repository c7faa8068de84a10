"""How a step is trained, beyond what is trained on which batch: the choices that decide its cost. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from parasim_core.sim.errors import CostError, shown
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import METHODS

if TYPE_CHECKING:
    from parasim_core.train.runs.settings import TrainSettings

Weights = Literal["bfloat16", "float32", "float32-autocast", "nf4"]
Optimizer = Literal["adamw", "adamw-8bit", "paged-adamw-8bit", "none"]

IN_ONE_MACHINE = 8
"""GPUs that the fast links of a machine join."""
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes per weight in nf4 with double quantization: 4 bits, one byte for every 64 weights, and 4 bytes for every 256 of
those (QLoRA, Dettmers et al. 2023, section 3) [B]."""
EIGHT_BIT_MOMENT = 1 + 4 / 256
"""Bytes per value of a moment in 8 bits: one, and a float32 scale for every 256 of them (bitsandbytes) [B]."""
EIGHT_BIT_FROM = 4096
"""Values of the smallest tensor whose moments are in 8 bits; those of smaller ones are float32 (bitsandbytes)."""


@dataclass(frozen=True)
class Recipe:
    """How a step is trained.

    Attributes
    ----------
    weights : {"bfloat16", "float32", "float32-autocast", "nf4"}
        How base weights are held: ``float32-autocast`` multiplies in bfloat16; ``nf4`` is QLoRA's 4-bit base, whose
        linear layers are brought back to bfloat16 for every product.
    master : bool
        Whether AdamW works on a float32 copy of trained weights that are narrower, as paraSim's trainer does; else on
        these themselves, with moments of their precision ("pure bf16").
    delta : bool
        Whether the values before stay, beside a copy that is trained, so that the difference can be sent, as paraSim's
        trainer does; else the weights themselves are trained, as most scripts do.
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
    delta: bool = True
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
            raise CostError(f"optimizer is {self.optimizer}, allowed with master is adamw")
        if not self.delta and self.master:
            raise CostError("delta is false, allowed with master is true: it is the trainer's own")
        if self.delta and self.optimizer == "none":
            raise CostError("optimizer is none, allowed with delta is everything else: nothing would differ")

    @property
    def traced_in(self) -> str:
        """Type of the weights that are traced: those of 4 bits stand in bfloat16 wherever they are multiplied."""
        return "float32" if self.weights.startswith("float32") else "bfloat16"

    @property
    def mixed(self) -> bool:
        """Whether products are in bfloat16 under autocast: so transformers' Trainer multiplies float32 adapters."""
        return self.weights == "float32-autocast" or (self.adapters == "float32" and self.weights != "float32")

    @property
    def words(self) -> str:
        """The recipe in words."""
        bits = "8-bit " if "8bit" in self.optimizer else ""
        paged = "paged " if "paged" in self.optimizer else ""
        has_master = self.master and self.weights == "bfloat16"
        on = "on a float32 master" if has_master else "on the trained weights themselves"
        held = {"nf4": "4 bits (nf4)", "float32-autocast": "float32, multiplied in bfloat16"}
        parts = [
            f"weights in {held.get(self.weights, self.weights)}",
            *(["float32 adapters"] if self.adapters == "float32" else []),
            f"{paged}{bits}AdamW {on}" if self.optimizer != "none" else "no optimizer",
            f"{self.attention} attention",
            f"{self.kernels} kernels",
            "logits of all tokens at once" if self.loss == "full" else "logits of 1,024 tokens at a time",
        ]
        return ", ".join(parts)

    @property
    def inexact(self) -> tuple[str, ...]:
        """What a trace of this recipe does not see and a price stands for, in words."""
        priced = {
            "4-bit weights (a pass over each before its products)": self.weights == "nf4",
            f"{self.optimizer} (by its traffic)": "8bit" in self.optimizer,
            f"{self.kernels} kernels (every chain of elementwise operators as one)": self.kernels != "eager",
            "sharding (shares of memory and what is gathered; transfers by bandwidth, all waited for)": self.sharded,
            "data parallelism (gradients by bandwidth, all waited for)": self.gpus > 1 and not self.sharded,
            f"{self.gpus} GPUs (links within a machine alone, of {IN_ONE_MACHINE})": self.gpus > IN_ONE_MACHINE,
        }
        return tuple(words for words, is_so in priced.items() if is_so)


def recipe_of(scenario: Scenario, precision: str = "bfloat16", gpus: int = 1) -> Recipe:
    """Read from a scenario's train section how its clients train.

    Parameters
    ----------
    scenario : Scenario
        The scenario; one without such a section is trained by paraSim's defaults.
    precision : str
        Type of base weights where the section leaves it to the device: ``bfloat16``, as on GPUs, or ``float32``, as on
        CPUs.
    gpus : int
        GPUs of a client.

    Raises
    ------
    ScenarioError
        If one of the fields is wrong, or means nothing for the scenario's method.
    """
    settings, method = recipe_settings(scenario), METHODS[scenario.method.name]
    settings.check_method(method.name)
    weights: Any = precision if settings.weights == "auto" else settings.weights
    return Recipe(
        weights=weights,
        master=settings.master,
        optimizer=settings.optimizer,
        adapters=settings.adapters if "lora" in method.trains else "base",
        attention=settings.attention,
        loss=settings.loss,
        kernels=settings.kernels,
        gpus=gpus,
        sharded=gpus > 1 and settings.sharding == "full",
    )


def moment_bytes(values: int) -> int:
    """Bytes of one moment of a tensor of so many values, of an optimizer in 8 bits [B]."""
    return int(values * (EIGHT_BIT_MOMENT if values >= EIGHT_BIT_FROM else 4))


def not_by_default(scenario: Scenario, precision: str) -> list[str]:
    """Name what a scenario trains otherwise than by default, as whoever measured steps did.

    Parameters
    ----------
    scenario : Scenario
        The scenario.
    precision : str
        Type that base weights are held in by default where it is trained.

    Returns
    -------
    list of str
        Fields, such as ``train.optimizer``.
    """
    settings = recipe_settings(scenario)
    beside = "lora" in METHODS[scenario.method.name].trains
    others = {
        "activation_checkpointing": bool(settings.activation_checkpointing),
        "weights": settings.weights not in ("auto", precision),
        "master_weights": settings.master_weights is False and precision != "float32",
        "optimizer": settings.optimizer != "adamw",
        "adapters": settings.adapters == "float32" != precision and beside,
        "attention": settings.attention != "fused",
        "loss": settings.loss != "full",
        "kernels": settings.kernels != "eager",
        "packing": settings.packing,
        "padded": settings.padded,
    }
    return [f"train.{field}" for field, differs in others.items() if differs]


def recipe_settings(scenario: Scenario) -> TrainSettings:
    """Read the fields of the train section that say how a step is computed, checked as the trainer checks them.

    The rest of the section is the trainer's affair, and is left as by default.
    """
    from parasim_core.train.runs.settings import RECIPE, TrainSettings

    given = scenario.train or {}
    return TrainSettings.parse({field: given[field] for field in (*RECIPE, "accumulation") if field in given})


def _check(name: str, value: Any, hint: Any) -> None:
    """Refuse a value of another kind than its annotation."""
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise CostError(f"{name} is {shown(value)}, allowed are {', '.join(get_args(hint))}")
    elif hint is bool and not isinstance(value, bool):
        raise CostError(f"{name} is {shown(value)}, allowed are true and false")
    elif hint is int and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise CostError(f"{name} is {shown(value)}, allowed are whole numbers from 1 on")
