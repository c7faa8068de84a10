"""Which points are measured, and which of them are held out from the fit.

Levels in the middle of each range (a batch size, a sequence length, a width, a position) are held out as a whole:
no point that the fit sees has any of them. What the fit must predict is therefore new to it, and lies in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from parasim_core.calibration.profiles.points import ADAPTERS, AXES, StepPoint
from parasim_core.sim.errors import ScenarioError, nearest
from parasim_core.sim.scenario.fields import Integer, Line, Number, Section, Whole
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import ALL_LINEAR
from parasim_core.sim.workload.methods import Trains

Role = Literal["fit", "held-out"]
_Count = Annotated[Whole, Field(ge=1, le=1_000_000)]
_Width = Annotated[Number, Field(ge=0.5, le=10_000)]
OPTIONS = {
    "batch_sizes": "--batch-size",
    "sequence_lengths": "--sequence-length",
    "layers": "--layers",
    "ranks": "--rank",
    "targets": "--targets",
}
"""Option of `paraSim calibrate` that each field of a plan is from."""
POSITIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Places of blocks between the lowest possible one and the highest."""
FEWEST_FITTED = 4
"""Points that a fit needs; besides, one has to be held out from it."""
BLOCK_POINTS = (20, 12)
"""Points of blocks for the fit, and held out from it."""


class MeasuringPlan(Section):
    """What is to be measured."""

    batch_sizes: tuple[_Count, ...] = Field(min_length=1, max_length=32)
    """Sequences per step."""
    sequence_lengths: tuple[_Count, ...] = Field(min_length=1, max_length=32)
    """Tokens per sequence."""
    layers: tuple[_Width, ...] = Field(min_length=1, max_length=32)
    """Widths of blocks."""
    ranks: tuple[_Count, ...] = Field(default=(), max_length=16)
    """Ranks of adapters; none to leave adapters out."""
    targets: tuple[Line, ...] = Field(default=(), max_length=16)
    """Modules of adapters, each with + between them."""
    seed: Integer = Field(default=0, ge=0, lt=2**63)
    """Seed of the draws."""

    @property
    def levels(self) -> dict[str, list[float]]:
        """What is measured of each size of a point, the least first."""
        levels = (self.batch_sizes, self.sequence_lengths, self.layers)
        return {axis: sorted(set(values)) for axis, values in zip(AXES, levels, strict=True)}

    @model_validator(mode="after")
    def _whole_widths(self) -> Self:
        for width in self.layers:
            if width != 0.5 and not (width >= 1 and float(width).is_integer()):
                raise ValueError(f"layers: must be 0.5 or a whole number, not {width:g}")
        return self


Planned = dict[StepPoint, Role]
"""Points, and what each is for."""
HeldLevels = dict[str, Any]
"""Levels that no point of the fit has, by size of a point or ``position``; None where a range has no middle."""


def held_levels(plan: MeasuringPlan) -> HeldLevels:
    """Draw the levels that the fit never sees.

    Parameters
    ----------
    plan : MeasuringPlan
        Its seed decides.
    """
    draw = _generator(plan, 0)
    ranges = {"position": list(POSITIONS), **plan.levels}
    return {axis: levels[1 + draw.integers(len(levels) - 2)] if levels[2:] else None for axis, levels in ranges.items()}


def planned_points(plan: MeasuringPlan, architecture: Architecture, *, longest: int | None = None) -> Planned:
    """List the points of a plan in the order in which they are measured.

    Parameters
    ----------
    plan : MeasuringPlan
        What is to be measured.
    architecture : Architecture
        The model.
    longest : int or None
        As in `calibration.measuring.configuration.longest_sequence`.

    Returns
    -------
    dict of StepPoint to str
        At least a third of them held out; the same plan and model always give the same points in the same order. They
        are shuffled, so that a run which is cut short has seen a bit of everything.

    Raises
    ------
    ScenarioError
        If a block is wider than the model, an adapter's rank larger than the width of its layers or its modules not
        the model's, or a sequence longer than it has positions.
    """
    _check_model(plan, architecture, longest)
    draw = _generator(plan, 1)
    held = held_levels(plan)
    chosen = _blocks(plan, len(architecture.layers), held, draw)
    for targets, rank, trains in itertools.product(plan.targets, plan.ranks, ADAPTERS):
        chosen |= _without_position(plan, trains, held, draw, rank=rank, targets=targets)
    chosen |= _without_position(plan, Trains.EVERYTHING, held, draw)
    _hold_out_a_third(chosen, plan, draw)
    return {point: chosen[point] for point in _shuffled(list(chosen), draw)}


def _generator(plan: MeasuringPlan, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=(stream,)))


def check_enough(roles: Collection[Role], which: str) -> None:
    """Refuse points from which nothing could be fitted.

    Parameters
    ----------
    roles : collection of str
        What each is for.
    which : str
        Which points these are, to follow "too few points".

    Raises
    ------
    ScenarioError
        Saying how many points there are, and how many are needed.
    """
    held_out = sum(role == "held-out" for role in roles)
    fitted = len(roles) - held_out
    if fitted < FEWEST_FITTED or not held_out:
        raise ScenarioError(
            f"too few points {which}: {fitted} for the fit and {held_out} held out from it; at least {FEWEST_FITTED} "
            "and 1 are needed: give more values of --batch-size, --sequence-length or --layers"
        )


def _check_model(plan: MeasuringPlan, architecture: Architecture, longest: int | None) -> None:
    """Refuse what the model does not have."""
    name, layers = architecture.name, len(architecture.layers)
    widest, rank, tokens = max(plan.layers), max(plan.ranks, default=0), max(plan.sequence_lengths)
    if widest > layers:
        raise ScenarioError(f"--layers {widest:g}: {name} has only {layers} layers")
    if rank > architecture.hidden_size:
        raise ScenarioError(f"--rank {rank}: must be at most {architecture.hidden_size}, the width of {name}")
    if longest is not None and tokens > longest:
        raise ScenarioError(f"--sequence-length {tokens}: {name} has positions for {longest} tokens")
    known = (
        {name for linear in architecture.linears() for name in (*linear.names, *linear.fuses)}
        if plan.targets
        else set()
    )
    for targets in plan.targets:
        for module in sorted(set(targets.split("+")) - known - {ALL_LINEAR}):
            meant = nearest(module, known | {ALL_LINEAR})
            raise ScenarioError(f"--targets {targets}: {name} has no module {module!r}; {meant}")


def _blocks(plan: MeasuringPlan, layers: int, held: HeldLevels, draw: np.random.Generator) -> Planned:
    """Draw block points: all corners of the ranges and some more for the fit, others with a held-out level."""
    fit: dict[StepPoint, bool] = {}
    rest: list[StepPoint] = []
    taken = {_first_layer(held["position"], width, layers) for width in plan.layers}
    for *sizes, position in itertools.product(*plan.levels.values(), POSITIONS):
        own: dict[str, Any] = dict(zip(AXES, sizes, strict=True))
        first = _first_layer(position, own["layers"], layers)
        point = StepPoint(trains=Trains.BLOCK, first_layer=first, **own)
        # Positions of small models may coincide.
        new_position = position == held["position"] or (first in taken and position not in (0.0, 1.0))
        if new_position or _is_held(point, held):
            rest.append(point)
        else:
            fit[point] = _is_corner(point, plan) and position in (0.0, 1.0)
    wanted, apart = BLOCK_POINTS
    corners = [point for point, corner in fit.items() if corner]
    others = [point for point, corner in fit.items() if not corner]
    used = corners + _some(others, wanted - len(corners), draw)
    rest = [point for point in dict.fromkeys(rest) if point not in fit]
    return _planned(used, _some(rest, max(apart, -(-len(used) // 2)), draw))


def _planned(used: Iterable[StepPoint], held_out: Iterable[StepPoint]) -> Planned:
    roles: Planned = dict.fromkeys(used, "fit")
    return roles | dict.fromkeys(held_out, "held-out")


def _without_position(
    plan: MeasuringPlan, trains: Trains, held: HeldLevels, draw: np.random.Generator, **adapter: Any
) -> Planned:
    """Points of what has no position: the corners for the fit, half as many others held out."""
    points = [
        StepPoint(trains=trains, batch_size=batch, sequence_length=length, **adapter)
        for batch, length in itertools.product(plan.levels["batch_size"], plan.levels["sequence_length"])
    ]
    corners = [point for point in points if _is_corner(point, plan)]
    if trains is Trains.LORA_B and len(corners) > 2:
        # It shares all but its weight gradients with LoRA: the smallest and the largest step tell them.
        corners = [corners[0], corners[-1]]
    others = [point for point in points if point not in corners]
    inner = [point for point in others if _is_held(point, held)] or others
    return _planned(corners, _some(inner, -(-len(corners) // 2), draw))


def _hold_out_a_third(chosen: Planned, plan: MeasuringPlan, draw: np.random.Generator) -> None:
    """Of small plans, in which few levels lie in between, hold out points of the fit as well, corners last.

    What is trained keeps two points at least, and blocks one of every level, so that the fit still spans the ranges.
    """
    fitted = [point for point, role in chosen.items() if role == "fit"]
    missing = -(-len(chosen) // 3) - (len(chosen) - len(fitted))
    if missing <= 0:
        return
    for point in sorted(_shuffled(fitted, draw), key=lambda point: _is_corner(point, plan)):
        others = [other for other in fitted if other != point and other.kind == point.kind]
        if missing and _spans(others, point):
            chosen[point] = "held-out"
            fitted.remove(point)
            missing -= 1


def _spans(points: Sequence[StepPoint], point: StepPoint) -> bool:
    """Whether points of its kind have what a fit needs though this one is held out."""
    if point.trains is not Trains.BLOCK:
        return len(points) >= 2
    return all(getattr(point, axis) in {getattr(other, axis) for other in points} for axis in AXES)


def _first_layer(position: float, width: float, layers: int) -> float:
    """Lowest layer of a block at a place; whole blocks begin at whole layers."""
    step = 0.5 if width == 0.5 else 1.0
    return round(position * (layers - width) / step) * step


def _is_held(point: StepPoint, held: HeldLevels) -> bool:
    return any(point.size(axis) == held[axis] for axis in AXES)


def _is_corner(point: StepPoint, plan: MeasuringPlan) -> bool:
    return all(getattr(point, axis) in (None, levels[0], levels[-1]) for axis, levels in plan.levels.items())


def _some(points: list[StepPoint], count: int, draw: np.random.Generator) -> list[StepPoint]:
    """Draw some points, in the order in which they stand."""
    count = max(0, min(count, len(points)))
    return [points[index] for index in sorted(draw.choice(len(points), size=count, replace=False))] if count else []


def _shuffled(points: list[StepPoint], draw: np.random.Generator) -> list[StepPoint]:
    return [points[index] for index in draw.permutation(len(points))]
