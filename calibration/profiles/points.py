"""What is measured: one training step of one part of a model, at one batch size and sequence length."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from parasim_core.calibration.profiles.profile_file import Seconds
from parasim_core.sim.scenario.fields import Line, Number, Section, Whole
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import ALL_LINEAR, Block, cut
from parasim_core.sim.workload.methods import Trains

ADAPTERS = (Trains.LORA, Trains.LORA_B)
AXES = ("batch_size", "sequence_length", "layers")
"""Sizes of a point that ranges are measured of."""


class StepPoint(Section):
    """One kind of training step."""

    trains: Trains
    """What is trained."""
    batch_size: Whole = Field(ge=1, le=1_000_000)
    """Sequences per step."""
    sequence_length: Whole = Field(ge=1, le=10_000_000)
    """Tokens per sequence."""
    first_layer: Number | None = Field(default=None, ge=0, le=10_000)
    """Lowest layer of a block; with .5, its MLP half."""
    layers: Number | None = Field(default=None, gt=0, le=10_000)
    """Width of a block in layers."""
    rank: Whole | None = Field(default=None, ge=1, le=1_000_000)
    """Rank of an adapter."""
    targets: Line | None = None
    """Modules of an adapter, with + between them, or `all-linear`."""

    @property
    def kind(self) -> str:
        """What is trained, whatever the sizes, in words."""
        return (
            self.trains.value if self.targets is None else f"{self.trains.value} of rank {self.rank} on {self.targets}"
        )

    @property
    def tokens(self) -> int:
        """Tokens per step."""
        return self.batch_size * self.sequence_length

    def size(self, axis: str) -> float:
        """Size along one of `AXES`, or of another field; 0 for what has none."""
        return getattr(self, axis) or 0

    def label(self) -> str:
        """Say in a line what is trained, and on how much."""
        shape = f"{self.batch_size} x {self.sequence_length} tokens"
        if self.trains is Trains.BLOCK:
            return f"block of {in_layers(self.layers or 0)} from layer {self.first_layer:g}, {shape}"
        return f"{self.kind}, {shape}"


class Visit(Section):
    """One time that a point was measured: medians over its steps [s]."""

    forward: Seconds
    head: Seconds
    backward: Seconds
    update: Seconds
    """What a local update takes beyond its steps."""

    @property
    def step(self) -> float:
        """Seconds of a step [s]."""
        return self.forward + self.head + self.backward


def in_layers(width: float) -> str:
    """Write a width in words: ``1 layer``, ``0.5 layers``."""
    return f"{width:g} layer" if width == 1 else f"{width:g} layers"


def join_targets(targets: tuple[str, ...] | str) -> str:
    """Write an adapter's modules as one word, in an order of their own."""
    return "all-linear" if targets == ALL_LINEAR else "+".join(sorted(targets))


def split_targets(targets: str) -> tuple[str, ...] | Literal["all-linear"]:
    """Undo `join_targets`."""
    return "all-linear" if targets == ALL_LINEAR else tuple(targets.split("+"))


def block_at(architecture: Architecture, first_layer: float, layers: float) -> Block:
    """Block of a width [layers] at a position [layers from the input].

    Parameters
    ----------
    architecture : Architecture
        The model.
    first_layer, layers : float
        Multiples of half a layer, within the model.
    """
    first, count = round(2 * first_layer), round(2 * layers)
    return cut(architecture, [first, first + count])[0]


def first_layer_of(block: Block) -> float:
    """Where a block begins [layers from the input]; with .5, at an MLP."""
    return block.first_layer + (0.0 if block.halves[0][1] == "attention" else 0.5)
