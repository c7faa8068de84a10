"""A measured profile: what was measured on one device predicts scenarios of the same model within its ranges."""

from __future__ import annotations

import math
from functools import cached_property

from calibration.memory.peaks import recomputes
from calibration.profiles.cost_terms import full_pass_work, work
from calibration.profiles.measured_file import HeldOut, MeasuredFile, ModelShape, StepSample
from calibration.profiles.measuring_command import measuring_command
from calibration.profiles.merging import Merges
from calibration.profiles.points import ADAPTERS, AXES, StepPoint, TrainedKind, first_layer_of, in_layers, join_targets
from sim.engine.costs import Cost
from sim.engine.fleet import Cohorts, Fleet
from sim.engine.simulate import Setup
from sim.errors import CostError
from sim.workload.architecture import Architecture
from sim.workload.blocks import Block
from sim.workload.methods import Trains

Ranges = dict[str, tuple[float, float]]
"""Least and largest of what was measured, by field of a point; zeros for the width of what has none."""


class MeasuredProfile:
    """A finished measured profile.

    Parameters
    ----------
    file : MeasuredFile
        Its contents.

    Raises
    ------
    CostError
        If measuring was interrupted.
    """

    def __init__(self, file: MeasuredFile):
        if file.fit is None or file.held_out is None:
            raise CostError(f"profile {file.name}: measuring was interrupted; continue with `{file.command}`")
        self.file = file
        self.prices = file.fit
        self.held_out: HeldOut = file.held_out

    @property
    def name(self) -> str:
        """Name of the profile."""
        return self.file.name

    def costs(self, setup: Setup) -> MeasuredProfileCosts:
        """Costs of one scenario.

        Raises
        ------
        CostError
            If the profile does not cover it, naming what it covers and the command that measures the rest.
        """
        return MeasuredProfileCosts(self, setup)

    @cached_property
    def covered(self) -> dict[TrainedKind, Ranges]:
        """Ranges of everything that was measured."""
        groups: dict[TrainedKind, list[StepPoint]] = {}
        for sample in self.file.samples:
            if sample.visits:
                groups.setdefault(sample.point.kind, []).append(sample.point)
        return {
            kind: {
                axis: (min(one.size(axis) for one in points), max(one.size(axis) for one in points)) for axis in AXES
            }
            for kind, points in groups.items()
        }

    def too_large(self, point: StepPoint) -> StepSample | None:
        """A measured point that did not fit into memory and needs no more of it than this one."""
        for sample in self.file.samples:
            other = sample.point
            smaller = all(other.size(axis) <= point.size(axis) for axis in AXES)
            above = other.size("first_layer") >= point.size("first_layer")
            if not sample.fits and other.kind == point.kind and smaller and above:
                return sample
        return None


class MeasuredProfileCosts:
    """Costs of one scenario according to a measured profile, which is its `file`."""

    def __init__(self, profile: MeasuredProfile, setup: Setup):
        self.file = profile.file
        self._profile = profile
        self._setup = setup
        self._scenario = setup.scenario
        self._fleet = Fleet(setup.scenario.fleet)
        self._stacks = setup.method.trains is Trains.STACKED_LORA
        # A client of FLoRA trains an adapter like any other, and merges stacks besides.
        self._trains = Trains.LORA if self._stacks else setup.method.trains
        self._check(setup)
        assert setup.architecture is not None
        self._architecture: Architecture = setup.architecture
        blocks: tuple[Block | None, ...] = setup.blocks or (None,)
        self._seconds = {block: self._update_seconds(block) for block in blocks}
        self._merging = self._merges(setup.cohorts) if self._stacks else None

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """K steps and the constant of an update, over the client's speed; nothing of it keeps links idle.

        FLoRA's clients first merge every stack that they have not merged yet.
        """
        seconds = self._seconds[block]
        if self._merging is not None:
            seconds += self._merging.before(client, round)
        speed = self._fleet.group(client).speed
        serial = self._scenario.compute.non_overlapping or 0.0
        return Cost(seconds / speed, min(serial, seconds) / speed)

    def full_pass(self, client: int) -> float:
        """What the scenario says, or a forward and backward pass with the gradients of all layers."""
        seconds = self._scenario.blocks.gradient_pass
        if seconds is None:
            local = self._scenario.local
            amounts = full_pass_work(self._architecture, local.batch_size, local.sequence_length)
            seconds = self._profile.prices.full_pass(amounts)
        return seconds / self._fleet.group(client).speed

    def provenance(self) -> dict[str, object]:
        """Say which profile, device and date, and how far it is from points that it was not fitted to."""
        file = self.file
        return {
            "origin": "fitted",
            "profile": file.name,
            "source": f"measured {file.date} on {file.device.name}, {file.model.dtype}",
            "device": file.device.name,
            "date": file.date,
            "held_out": self._profile.held_out.model_dump(include={"points", "median_error_pct", "p95_error_pct"}),
            "notes": self._notes(),
        }

    def _notes(self) -> list[str]:
        held_out, blocks = self._profile.held_out, self._scenario.blocks
        median, p95 = held_out.median_error_pct, held_out.p95_error_pct
        notes = [f"held-out error {median:g} % (median), {p95:g} % (95th percentile)"]
        if self._trains is Trains.BLOCK and blocks.schedule == "gradient" and blocks.gradient_pass is None:
            notes.append("the gradient-based order's full pass is predicted as a block of all layers without optimizer")
        merging = self.file.merging
        if self._stacks and merging is not None:
            error = f"held-out error {merging.median_error_pct:g} % (median)"
            notes.append(f"every client merges the stacks that arrive before it trains: measured by itself, {error}")
        return notes

    def _point(self, block: Block | None) -> StepPoint:
        local, lora = self._scenario.local, self._scenario.lora
        adapter = self._trains in ADAPTERS
        return StepPoint(
            trains=self._trains,
            batch_size=local.batch_size,
            sequence_length=local.sequence_length,
            first_layer=None if block is None else first_layer_of(block),
            layers=None if block is None else block.layers,
            rank=lora.rank if adapter else None,
            targets=join_targets(lora.targets) if adapter else None,
        )

    def _merges(self, cohorts: Cohorts) -> Merges:
        """What merging takes, if the profile covers it."""
        merging, lora = self.file.merging, self._scenario.lora
        targets, largest = join_targets(lora.targets), lora.rank * max(cohorts.sizes())
        wanted = f"merging stacks of rank {largest} on {targets}"
        if merging is None:
            # Another file would have to measure all the steps again.
            raise CostError(
                f"profile {self.file.name} does not cover {wanted}; merging was not measured. "
                f"`{self.file.command}`, run on that file, adds it; or give compute.seconds"
            )
        covered = merging.largest_rank(targets)
        if largest > covered:
            # Stacks are measured up to a multiple of the largest rank.
            rank = math.ceil(largest * max(self.file.plan.ranks) / covered) if covered else None
            raise self._not_covered(f"{wanted}; it covers stacks of rank up to {covered}", rank=rank)
        return Merges(merging, self._architecture, targets, lora.rank, cohorts)

    def _update_seconds(self, block: Block | None) -> float:
        point = self._point(block)
        self._check_range(point)
        amounts = work(self._architecture, point)
        prices = self._profile.prices
        return self._scenario.local.steps * prices.step(amounts) + prices.phase("update", amounts)

    def _check(self, setup: Setup) -> None:
        """Refuse other models, devices and methods."""
        file = self.file
        if setup.architecture is None or ModelShape.of(setup.architecture) != file.model.shape:
            name = setup.architecture.name if setup.architecture else "a run without a model"
            raise self._not_covered(f"{name}; it covers models of the shape of {file.model.name}")
        for device in sorted({group.device for group in self._scenario.fleet if group.device is not None}):
            if device.lower() != file.device.name.lower():
                raise self._not_covered(f"device {device}; it covers {file.device.name}")
        if recomputes(setup):
            raise CostError(
                f"profile {file.name} does not cover train.activation_checkpointing: its steps kept their "
                "activations. Leave it out, or give compute.seconds"
            )
        wanted = self._point(None).kind
        if wanted not in self._profile.covered:
            covered = ", ".join(map(_named, self._profile.covered))
            raise self._not_covered(f"{_named(wanted)}; it covers {covered}")

    def _check_range(self, point: StepPoint) -> None:
        """Refuse what is smaller or larger than anything measured, or did not fit."""
        covered = self._profile.covered[point.kind]
        if not all(low <= point.size(axis) <= high for axis, (low, high) in covered.items()):
            batches, lengths, layers = (_range(covered[axis]) for axis in AXES)
            narrowest, widest = covered["layers"]
            width = in_layers(widest) if narrowest == widest else f"{layers} layers"
            blocks = f", blocks of {width}" if widest else ""
            raise self._not_covered(
                f"{point.label()}; it covers batch sizes {batches}, sequence lengths {lengths}{blocks}"
            )
        failed = self._profile.too_large(point)
        if failed is not None:
            raise CostError(
                f"profile {self.file.name}: {point.label()} does not fit into the memory of "
                f"{self.file.device.name}: already {failed.point.label()} did not ({failed.reason})"
            )

    def _not_covered(self, what: str, *, rank: int | None = None) -> CostError:
        command = measuring_command(self.file, self._setup, self._trains, rank=rank)
        return CostError(
            f"profile {self.file.name} does not cover {what}. Measure it with `{command}`, or give compute.seconds"
        )


def _named(trained: TrainedKind) -> str:
    trains, targets, rank = trained
    return trains.value if targets is None else f"{trains.value} rank {rank} on {targets}"


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"
