"""Cut a model into blocks, and count what LoRA adds to it.

A block is what block coordinate descent trains in one round: a few layers, or one half of a layer
(attention or MLP). Embeddings, the final norm and the output head belong to no block; they stay frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from parasim_core.sim.errors import ScenarioError, nearest
from parasim_core.sim.workload.architecture import Architecture, Linear

HalfName = Literal["attention", "mlp"]

ALL_LINEAR = "all-linear"
"""LoRA target that stands for every linear module of every layer, and for stacked experts where `peft` adapts them."""


@dataclass(frozen=True)
class Block:
    """A part of the model that is trained and sent as one.

    Attributes
    ----------
    index : int
        Place among the blocks, from 0 at the input.
    halves : tuple of (int, str)
        The layer halves it is made of: layer index, and ``attention`` or ``mlp``.
    parameters : int
        Parameters of these halves.
    """

    index: int
    halves: tuple[tuple[int, HalfName], ...]
    parameters: int

    @property
    def first_layer(self) -> int:
        """Index of the lowest layer that it touches."""
        return self.halves[0][0]

    @property
    def last_layer(self) -> int:
        """Index of the highest layer that it touches."""
        return self.halves[-1][0]

    @property
    def layers(self) -> float:
        """Width in layers; half a layer counts 0.5."""
        return len(self.halves) / 2


def partition(architecture: Architecture, layers: float) -> tuple[Block, ...]:
    """Cut a model into blocks of equal width.

    Parameters
    ----------
    architecture : Architecture
        The model.
    layers : float
        Layers per block: 0.5 makes the attention and the MLP of each layer blocks of their own. The last
        block is smaller when a whole width does not divide the number of layers.

    Returns
    -------
    tuple of Block
        In the order of the layers, disjoint, covering every layer.

    Raises
    ------
    ScenarioError
        If `layers` is neither 0.5 nor a positive whole number, or more than the model has.
    """
    if isinstance(layers, bool) or (layers != 0.5 and not (layers >= 1 and float(layers).is_integer())):
        raise ScenarioError(f"blocks.layers is {layers}, allowed are 0.5 and whole numbers from 1 on")
    if layers > len(architecture.layers):
        raise ScenarioError(
            f"blocks.layers is {layers:g}, but {architecture.name} has only {len(architecture.layers)} layers"
        )
    halves_per_block = int(2 * layers)
    starts = range(0, 2 * len(architecture.layers), halves_per_block)
    return cut(architecture, [*starts, 2 * len(architecture.layers)])


def partition_evenly(architecture: Architecture, count: int) -> tuple[Block, ...]:
    """Cut a model into a given number of blocks of whole layers, as equal as possible.

    FedCyBGD gives every client one block of its own, such as 10 blocks over 32 layers.

    Parameters
    ----------
    architecture : Architecture
        The model.
    count : int
        Number of blocks.

    Returns
    -------
    tuple of Block
        In the order of the layers, disjoint, covering every layer; widths differ by at most one layer and
        the wider blocks come first.

    Raises
    ------
    ScenarioError
        If `count` is not a whole number from 1 to the number of layers.
    """
    layers = len(architecture.layers)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= layers:
        raise ScenarioError(
            f"cannot cut the {layers} layers of {architecture.name} into {count} blocks, "
            f"allowed are 1 to {layers} blocks"
        )
    width, wider = divmod(layers, count)
    return cut(architecture, [2 * (index * width + min(index, wider)) for index in range(count + 1)])


def lora_parameters(architecture: Architecture, rank: int, targets: Sequence[str] | str) -> tuple[int, int]:
    """Count the parameters of LoRA adapters.

    Parameters
    ----------
    architecture : Architecture
        The model.
    rank : int
        Rank r of the adapters, from 1 on.
    targets : sequence of str or "all-linear"
        Names of the linear modules to adapt in every layer, or all of them.

    Returns
    -------
    tuple of int
        Parameters of the A matrices (r x inputs) and of the B matrices (outputs x r), over all layers and experts.

    Raises
    ------
    ScenarioError
        If the rank is not a positive whole number, no target is given, or the model has no such module.

    Notes
    -----
    The adapted update is B A of Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021).
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ScenarioError(f"lora.rank is {rank}, expected a whole number from 1 on")
    adapted = adapted_modules(architecture, targets)
    ranks = [(linear, rank * factor * linear.experts) for linear, factor in adapted]
    return sum(r * linear.inputs for linear, r in ranks), sum(r * linear.outputs for linear, r in ranks)


def adapted_modules(architecture: Architecture, targets: Sequence[str] | str) -> list[tuple[Linear, int]]:
    """Linear modules of all layers that LoRA adapts, and how many times the rank each of them gets.

    Parameters
    ----------
    architecture : Architecture
        The model.
    targets : sequence of str or "all-linear"
        As for `lora_parameters`.

    Raises
    ------
    ScenarioError
        If no target is given, or the model has no such module.
    """
    linears = list(architecture.linears())
    return [(linears[index], ranks) for index, ranks in targeted(linears, targets, architecture.name).items()]


def targeted(linears: Sequence[Linear], targets: Sequence[str] | str, model: str) -> dict[int, int]:
    """Choose what LoRA adapts: the one rule by which adapters are priced and trained.

    Parameters
    ----------
    linears : sequence of Linear
        Linear modules of a model's layers.
    targets : sequence of str or "all-linear"
        As for `lora_parameters`.
    model : str
        The model's name, for messages.

    Returns
    -------
    dict of int to int
        Places of the chosen ones in the sequence, in its order, each with the factor of its rank: the number of
        matrices that lie side by side in it, where it was targeted as those, else 1.

    Raises
    ------
    ScenarioError
        If no target is given, the model has no such module, or only some of the matrices in one tensor are named.

    Notes
    -----
    Matrices in one tensor get one adapter of all their ranks, as `peft` 0.21 gives it: what the tensor's adapter can
    then express is what separate ones could.
    """
    if targets == ALL_LINEAR:
        chosen = {index: linear for index, linear in enumerate(linears) if linear.targets == ALL_LINEAR}
        return {index: len(linear.fuses) or 1 for index, linear in chosen.items()}
    names = {targets} if isinstance(targets, str) else set(targets)
    if not names:
        raise ScenarioError(f"lora.targets is empty; name modules of {model}, or {ALL_LINEAR!r}")
    known = {name for linear in linears for name in (*linear.names, *linear.fuses)}
    for name in sorted(names - known):
        raise ScenarioError(
            f"lora.targets names {name!r}, which {model} does not have: {nearest(name, known | {ALL_LINEAR})}"
        )
    factors: dict[int, int] = {}
    for index, linear in enumerate(linears):
        if named := names.intersection(linear.fuses):
            if missing := [name for name in linear.fuses if name not in named]:
                raise ScenarioError(
                    f"lora.targets names {min(named)!r} without {missing[0]!r}, but {model} has both in one matrix, "
                    f"{linear.name!r}"
                )
            factors[index] = len(linear.fuses)
        elif not names.isdisjoint(linear.names):
            factors[index] = 1
    return factors


def cut(architecture: Architecture, bounds: Sequence[int]) -> tuple[Block, ...]:
    """Make blocks of the layer halves between successive bounds, counted in halves from the input."""
    names: tuple[HalfName, HalfName] = ("attention", "mlp")
    halves = [(index, name) for index in range(len(architecture.layers)) for name in names]
    parameters = [half.parameters for layer in architecture.layers for half in layer.halves]
    return tuple(
        Block(index, tuple(halves[start:end]), sum(parameters[start:end]))
        for index, (start, end) in enumerate(pairwise(bounds))
    )
