"""GPUs that train one model together: what each holds beside its share of it, and what they send each other.

Shared out (FSDP, ZeRO-3), weights, gradients and moments are divided among them. Whatever computes is gathered first
and dropped again afterwards, layer by layer: layers are what is wrapped, and all outside of them, such as embeddings
and the output head, belongs to the outermost unit, which stays whole for both passes (``reshard_after_forward`` of
PyTorch's ``fully_shard``: false for the root unless told otherwise). The next layer is gathered while one still
computes. Going backward, GPUs then hold one layer's weights, the next one's and one layer's gradients at a time, which
is what PyTorch's documentation says of ``BackwardPrefetch.BACKWARD_PRE``, the default of ``FullyShardedDataParallel``.

Otherwise each holds everything (data parallel), and gradients are exchanged from buckets that take as much memory
again (``gradient_as_bucket_view`` of ``DistributedDataParallel``: false unless told otherwise).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from parasim_core.calibration.devices.operators import PASSES, Phase
from parasim_core.calibration.memory.allocations import Category, Footprint
from parasim_core.calibration.memory.recipe import NF4_BYTES, Recipe
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import Block, targeted
from parasim_core.sim.workload.methods import Trains

SHARED_OUT = (Category.WEIGHTS, Category.WORKING_COPY, Category.MASTER, Category.GRADIENTS, Category.MOMENTS)
REDUCED_IN = 4
"""Bytes in which gradients that are shared out are added up: float32, so that many GPUs lose nothing [B]."""


@dataclass(frozen=True)
class Together:
    """What training together adds to a GPU's memory and to its step.

    Attributes
    ----------
    gpus : int
        How many.
    sharded : bool
        Whether they share the model out.
    gathered : int
        Weights that are gathered for each pass: all of the model; none if not shared out [B].
    reduced : int
        Gradients that are added up between the GPUs [B].
    weights : int
        Weights that are whole during both passes, beside a GPU's share [B].
    gradients : int
        Gradients that are whole during the backward pass beside its share; or buckets of them, always there [B].
    """

    gpus: int = 1
    sharded: bool = False
    gathered: int = 0
    reduced: int = 0
    weights: int = 0
    gradients: int = 0

    def sent(self, batches: int = 1) -> float:
        """Bytes that each GPU sends in a step of so many batches [B].

        By rings, (n - 1) / n of everything: once to gather it, once to reduce and scatter it. What is shared out is
        gathered for the forward and the backward pass of every batch, and its gradients are scattered after each; else
        gradients add up on each GPU and are reduced and gathered once.
        """
        moved = batches * (2 * self.gathered + self.reduced) if self.sharded else 2 * self.reduced
        return moved * (self.gpus - 1) / self.gpus

    def on_each(self, alone: Footprint) -> Footprint:
        """What each of the GPUs holds where one alone would hold a footprint."""
        held = dict(alone.by_category)
        if self.sharded:
            held |= {kind: held[kind] // self.gpus for kind in SHARED_OUT}
            held[Category.WEIGHTS] += self.weights if alone.phase in PASSES else 0
        if not self.sharded or alone.phase is Phase.BACKWARD:
            held[Category.GRADIENTS] += self.gradients
        return Footprint(held, alone.phase)


def together(
    model: Architecture, recipe: Recipe, trains: Trains, block: Block | None = None, lora: Lora | None = None
) -> Together:
    """Count what the GPUs of a recipe hold and send of a model.

    Parameters
    ----------
    model : Architecture
        The model.
    recipe : Recipe
        How many GPUs, whether they share it out, and in which precision.
    trains : Trains
        What is trained.
    block : Block, optional
        Which block, where blocks are trained.
    lora : Lora, optional
        The adapter, where one is trained.
    """
    if recipe.gpus == 1:
        return Together()
    # Under autocast what is shared out is gathered in bfloat16.
    width = 4 if recipe.weights == "float32" else 2
    in_linears = NF4_BYTES if recipe.weights == "nf4" else width
    adapters = _adapters(model, trains, lora)
    own = 4 if recipe.adapters == "float32" else width
    of_layers = [
        int(width * layer.parameters - (width - in_linears) * sum(linear.weights for linear in layer.linears))
        + own * sum(matrices)
        for layer, matrices in zip(model.layers, adapters, strict=True)
    ]
    trained = _trained(model, trains, block, adapters)
    outside = model.parameters - model.layer_parameters
    trained_outside = outside if trains is Trains.EVERYTHING else 0
    parameters = sum(trained) + trained_outside
    if not recipe.sharded:
        gradients = (4 if recipe.weights.startswith("float32") else own) * parameters
        return Together(recipe.gpus, reduced=gradients, gradients=gradients)
    # A layer's gradient is copied into what it is reduced in, unless it is that already.
    reduced_from = own if own == REDUCED_IN else own + REDUCED_IN
    return Together(
        recipe.gpus,
        sharded=True,
        gathered=sum(of_layers) + width * outside,
        reduced=REDUCED_IN * parameters,
        weights=width * outside + max(map(sum, pairwise(of_layers)), default=of_layers[0]),
        gradients=own * trained_outside + reduced_from * max(trained),
    )


def _adapters(model: Architecture, trains: Trains, lora: Lora | None) -> list[tuple[int, int]]:
    """Parameters of the matrices A and B, layer by layer; of none where none are trained."""
    if lora is None or "lora" not in trains:
        return [(0, 0)] * len(model.layers)
    chosen, place, found = targeted(list(model.linears()), lora.targets, model.name), 0, []
    for layer in model.layers:
        a = b = 0
        for linear in layer.linears:
            rank = lora.rank * chosen.get(place, 0) * linear.experts
            a, b, place = a + rank * linear.inputs, b + rank * linear.outputs, place + 1
        found.append((a, b))
    return found


def _trained(model: Architecture, trains: Trains, block: Block | None, adapters: list[tuple[int, int]]) -> list[int]:
    """Parameters that are trained, layer by layer."""
    if "lora" in trains:
        return [b if trains is Trains.LORA_B else a + b for a, b in adapters]
    if block is None:
        return [layer.parameters for layer in model.layers]
    trained = [0] * len(model.layers)
    for layer, half in block.halves:
        trained[layer] += getattr(model.layers[layer], half).parameters
    return trained
