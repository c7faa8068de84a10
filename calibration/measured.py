"""A measured profile: what was measured on one device predicts scenarios of the same model within its ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from calibration.advice import measuring_command
from calibration.measured_file import HeldOut, MeasuredFile, Sample, Shape
from calibration.merging import Merges
from calibration.peaks import recomputes
from calibration.points import ADAPTERS, Point, first_layer_of, in_layers, join_targets
from calibration.work import full_pass_work, work
from sim.architecture import Architecture
from sim.blocks import Block
from sim.costs import Cost
from sim.errors import CostError
from sim.fleet import Cohorts, Fleet
from sim.methods import Trains
from sim.simulate import Setup


@dataclass(frozen=True)
class Covered:
    """Ranges that were measured for one thing that can be trained.

    Attributes
    ----------
    batch_sizes, sequence_lengths : (int, int)
        Least and largest.
    layers : (float, float)
        Narrowest and widest block; zeros where there are no blocks.
    """

    batch_sizes: tuple[int, int]
    sequence_lengths: tuple[int, int]
    layers: tuple[float, float]

    @classmethod
    def of(cls, points: list[Point]) -> Covered:
        """Ranges of some points."""
        batches = [point.batch_size for point in points]
        lengths = [point.sequence_length for point in points]
        widths = [point.layers or 0.0 for point in points]
        return cls((min(batches), max(batches)), (min(lengths), max(lengths)), (min(widths), max(widths)))

    def __str__(self) -> str:
        ranges = f"batch sizes {_range(self.batch_sizes)}, sequence lengths {_range(self.sequence_lengths)}"
        narrowest, widest = self.layers
        layers = in_layers(widest) if narrowest == widest else f"{_range(self.layers)} layers"
        return ranges + (f", blocks of {layers}" if widest else "")


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
        self.prices = file.fit.prices
        self.held_out: HeldOut = file.held_out

    @classmethod
    def from_json(cls, data: Mapping[str, Any], source: str) -> MeasuredProfile:
        """Read a profile's data.

        Raises
        ------
        CostError
            If it is not understood or not finished.
        """
        return cls(MeasuredFile.parse(data, source))

    @property
    def name(self) -> str:
        """Name of the profile."""
        return self.file.name

    def costs(self, setup: Setup) -> MeasuredCosts:
        """Costs of one scenario.

        Raises
        ------
        CostError
            If the profile does not cover it, naming what it covers and the command that measures the rest.
        """
        return MeasuredCosts(self, setup)

    @cached_property
    def covered(self) -> dict[tuple[Trains, str | None, int | None], Covered]:
        """Ranges of everything that was measured: by what is trained, the adapter's targets and its rank."""
        groups: dict[tuple[Trains, str | None, int | None], list[Point]] = {}
        for sample in self.file.samples:
            if sample.visits:
                point = sample.point
                groups.setdefault((point.trains, point.targets, point.rank), []).append(point)
        return {key: Covered.of(points) for key, points in groups.items()}

    def too_large(self, point: Point) -> Sample | None:
        """A measured point that did not fit into memory and needs no more of it than this one."""
        for sample in self.file.samples:
            other = sample.point
            if (
                not sample.fits
                and (other.trains, other.targets, other.rank) == (point.trains, point.targets, point.rank)
                and other.batch_size <= point.batch_size
                and other.sequence_length <= point.sequence_length
                and (other.layers or 0) <= (point.layers or 0)
                and (other.first_layer or 0) >= (point.first_layer or 0)
            ):
                return sample
        return None


class MeasuredCosts:
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
        self._seconds: dict[Block | None, float] = {}
        blocks: tuple[Block | None, ...] = setup.blocks or (None,)
        for block in blocks:
            self._check_range(self._point(block))
            self._seconds[block] = self._update_seconds(block)
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
        file, held_out = self._profile.file, self._profile.held_out
        return {
            "origin": "fitted",
            "profile": file.name,
            "source": f"measured {file.date} on {file.device.name}, {file.model.dtype}",
            "device": file.device.name,
            "date": file.date,
            "held_out": {
                "points": held_out.points,
                "median_error_pct": held_out.median_error_pct,
                "p95_error_pct": held_out.p95_error_pct,
            },
            "notes": self._notes(),
        }

    def _notes(self) -> list[str]:
        held_out, blocks = self._profile.held_out, self._scenario.blocks
        notes = [
            f"held-out error {held_out.median_error_pct:g} % (median), {held_out.p95_error_pct:g} % (95th percentile)"
        ]
        if self._trains is Trains.BLOCK and blocks.schedule == "gradient" and blocks.gradient_pass is None:
            notes.append("the gradient-based order's full pass is predicted as a block of all layers without optimizer")
        merging = self._profile.file.merging
        if self._stacks and merging is not None:
            notes.append(
                "every client merges the stacks that arrive before it trains: measured by itself, held-out error "
                f"{merging.median_error_pct:g} % (median)"
            )
        return notes

    def _point(self, block: Block | None) -> Point:
        local, lora = self._scenario.local, self._scenario.lora
        adapter = self._trains in ADAPTERS
        return Point(
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
        merging, lora = self._profile.file.merging, self._scenario.lora
        targets, largest = join_targets(lora.targets), lora.rank * max(cohorts.sizes())
        wanted = f"merging stacks of rank {largest} on {targets}"
        if merging is None:
            # Another file would have to measure all the steps again.
            raise CostError(
                f"profile {self._profile.name} does not cover {wanted}; merging was not measured. "
                f"`{self.file.command}`, run on that file, adds it; or give compute.seconds"
            )
        covered = merging.largest_rank(targets)
        if largest > covered:
            # Stacks are measured up to a multiple of the largest rank.
            rank = math.ceil(largest * max(self.file.plan.ranks) / covered) if covered else None
            raise self._not_covered(f"{wanted}; it covers stacks of rank up to {covered}", rank=rank)
        return Merges(merging, self._architecture, targets, lora.rank, cohorts)

    def _update_seconds(self, block: Block | None) -> float:
        amounts = work(self._architecture, self._point(block))
        prices = self._profile.prices
        return self._scenario.local.steps * prices.step(amounts) + prices.update(amounts)

    def _check(self, setup: Setup) -> None:
        """Refuse other models, devices and methods."""
        file, scenario = self._profile.file, self._scenario
        if setup.architecture is None or Shape.of(setup.architecture) != file.model.shape:
            name = setup.architecture.name if setup.architecture else "a run without a model"
            raise self._not_covered(f"{name}; it covers models of the shape of {file.model.name}")
        for device in sorted({group.device for group in scenario.fleet if group.device is not None}):
            if device.lower() != file.device.name.lower():
                raise self._not_covered(f"device {device}; it covers {file.device.name}")
        if recomputes(setup):
            raise CostError(
                f"profile {self._profile.name} does not cover train.activation_checkpointing: its steps kept their "
                "activations. Leave it out, or give compute.seconds"
            )
        lora = scenario.lora
        adapter = (join_targets(lora.targets), lora.rank) if self._trains in ADAPTERS else (None, None)
        if (self._trains, *adapter) not in self._profile.covered:
            what = (
                self._trains.value
                if adapter == (None, None)
                else f"{self._trains.value} rank {adapter[1]} on {adapter[0]}"
            )
            covered = ", ".join(_named(*key) for key in self._profile.covered)
            raise self._not_covered(f"{what}; it covers {covered}")

    def _check_range(self, point: Point) -> None:
        """Refuse what is smaller or larger than anything measured, or did not fit."""
        covered = self._profile.covered[point.trains, point.targets, point.rank]
        within = (
            _inside(point.batch_size, covered.batch_sizes)
            and _inside(point.sequence_length, covered.sequence_lengths)
            and _inside(point.layers or 0.0, covered.layers)
        )
        if not within:
            raise self._not_covered(f"{point.label()}; it covers {covered}")
        failed = self._profile.too_large(point)
        if failed is not None:
            raise CostError(
                f"profile {self._profile.name}: {point.label()} does not fit into the memory of "
                f"{self._profile.file.device.name}: already {failed.point.label()} did not ({failed.reason})"
            )

    def _not_covered(self, what: str, *, rank: int | None = None) -> CostError:
        command = measuring_command(self.file, self._setup, self._trains, rank=rank)
        return CostError(
            f"profile {self._profile.name} does not cover {what}. Measure it with `{command}`, or give compute.seconds"
        )


def _named(trains: Trains, targets: str | None, rank: int | None) -> str:
    return trains.value if targets is None else f"{trains.value} rank {rank} on {targets}"


def _inside(value: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= value <= ends[1]


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"
