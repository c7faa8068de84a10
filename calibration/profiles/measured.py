"""A measured profile: what was measured on one device predicts scenarios of the same model within its ranges."""

from __future__ import annotations

import math
from functools import partial

from parasim_core.calibration.memory.peaks import batches_per_step
from parasim_core.calibration.memory.recipe import not_by_default
from parasim_core.calibration.profiles.cost_terms import full_pass_work, work
from parasim_core.calibration.profiles.measured_file import MeasuredFile, ModelShape
from parasim_core.calibration.profiles.measuring_command import measuring_command
from parasim_core.calibration.profiles.merge_rounds import Merges
from parasim_core.calibration.profiles.merging import merge_seconds
from parasim_core.calibration.profiles.points import ADAPTERS, AXES, StepPoint, first_layer_of, join_targets
from parasim_core.calibration.profiles.profile_file import WAYS_OUT, most_gpus, other_devices
from parasim_core.calibration.profiles.quality import doubt
from parasim_core.sim.engine.costs import Cost
from parasim_core.sim.engine.fleet import Cohorts, Fleet
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.methods import Trains


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
        self.file, self.name, self.device = file, file.name, file.device
        self.prices, self.held_out = file.fit, file.held_out

    def costs(self, setup: Setup) -> MeasuredProfileCosts:
        """Costs of one scenario.

        Raises
        ------
        CostError
            If the profile does not cover it, naming what it covers and the command that measures the rest.
        """
        return MeasuredProfileCosts(self, setup)


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
        self._architecture = self._checked_model()
        kind = self._point(None).kind
        self._samples = [sample for sample in self.file.samples if sample.point.kind == kind]
        self._ranges = self._measured_ranges(kind)
        self._seconds = {block: self._update_seconds(block) for block in setup.blocks or (None,)}
        self._merging = self._merges(setup.cohorts) if self._stacks else None

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """K steps and the constant of an update, over the client's speed; nothing of it keeps links idle.

        FLoRA's clients first merge every stack that they have not merged yet.
        """
        seconds = self._seconds[block]
        if self._merging is not None:
            seconds += self._merging.before(client, round)
        serial = self._scenario.compute.non_overlapping or 0.0
        return Cost.at_speed(self._fleet.group(client).speed, seconds, serial)

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
        file, warning = self.file, self._warning()
        found: dict[str, object] = {
            "origin": "badly fitted" if warning else "fitted",
            "profile": file.name,
            "source": f"measured {file.date} on {file.device.name}, {file.model.dtype}",
            "device": file.device.name,
            "date": file.date,
            "held_out": self._profile.held_out.model_dump(include={"points", "median_error_pct", "p95_error_pct"}),
            "notes": self._notes() + ([warning] if warning else []),
        }
        return found | {"warning": warning} if warning else found

    def _warning(self) -> str:
        """Say, if so, that the profile predicts badly."""
        merging = self.file.merging if self._stacks else None
        why = self._profile.held_out.doubt or (doubt(merging.median_error_pct) if merging is not None else "")
        return (
            f"do not rely on profile {self.file.name}: {why}; measure again while the machine is quiet" if why else ""
        )

    def _notes(self) -> list[str]:
        held_out, blocks = self._profile.held_out, self._scenario.blocks
        median, p95 = held_out.median_error_pct, held_out.p95_error_pct
        notes = [f"held-out error {median:g} % (median), {p95:g} % (95th percentile)"]
        if self._trains is Trains.BLOCK and blocks.schedule == "gradient" and blocks.gradient_pass is None:
            notes.append("the gradient-based order's full pass is predicted as a block of all layers without optimizer")
        if (batches := batches_per_step(self._scenario)) > 1:
            notes.append(
                f"a step over {batches} batches (train.accumulation) is {batches} passes and one optimizer step"
            )
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
                f"`{self.file.command}`, run on that file, adds it; {WAYS_OUT}"
            )
        covered = merging.largest_rank(targets)
        if largest > covered:
            # Stacks are measured up to a multiple of the largest rank.
            rank = math.ceil(largest * max(self.file.plan.ranks) / covered) if covered else None
            raise self._not_covered(f"{wanted}; it covers stacks of rank up to {covered}", rank=rank)
        seconds = partial(merge_seconds, merging.coefficients, self._architecture, targets)
        return Merges(seconds, lora.rank, cohorts)

    def _update_seconds(self, block: Block | None) -> float:
        point = self._point(block)
        self._check_range(point)
        amounts = work(self._architecture, point)
        prices = self._profile.prices
        step = prices.step(amounts, batches_per_step(self._scenario))
        return self._scenario.local.steps * step + prices.phase("update", amounts)

    def _checked_model(self) -> Architecture:
        """The scenario's model; other models and devices than the profile's are refused."""
        file, model = self.file, self._setup.architecture
        if model is None or ModelShape.of(model) != file.model.shape:
            name = model.name if model else "a run without a model"
            raise self._not_covered(f"{name}; it covers models of the shape of {file.model.name}")
        for device in other_devices(self._scenario, file.device.name):
            raise self._not_covered(f"device {device}; it covers {file.device.name}")
        if (gpus := most_gpus(self._scenario)) > 1:
            raise CostError(
                f"profile {file.name} does not cover {gpus} GPUs of a client (fleet[].gpus): its steps ran on one. "
                f"Leave it out, {WAYS_OUT}"
            )
        if fields := not_by_default(self._scenario, file.model.dtype):
            raise CostError(
                f"profile {file.name} does not cover {', '.join(fields)}: its steps were trained as by default. Leave "
                f"it out, {WAYS_OUT}"
            )
        return model

    def _measured_ranges(self, kind: str) -> dict[str, tuple[float, float]]:
        """Least and largest size along each axis that was measured; zeros for the width of what has none."""
        points = [sample.point for sample in self._samples if sample.visits]
        if not points:
            covered = ", ".join(dict.fromkeys(sample.point.kind for sample in self.file.samples if sample.visits))
            raise self._not_covered(f"{kind}; it covers {covered}")
        sizes = {axis: [point.size(axis) for point in points] for axis in AXES}
        return {axis: (min(known), max(known)) for axis, known in sizes.items()}

    def _check_range(self, point: StepPoint) -> None:
        """Refuse what is smaller or larger than anything measured, or needs as much memory as what did not fit."""
        if not all(low <= point.size(axis) <= high for axis, (low, high) in self._ranges.items()):
            batches, lengths, layers = map(_range, self._ranges.values())
            blocks = f", blocks of {layers} layer{'' if layers == '1' else 's'}" if self._ranges["layers"][1] else ""
            raise self._not_covered(
                f"{point.label()}; it covers batch sizes {batches}, sequence lengths {lengths}{blocks}"
            )
        for sample in self._samples:
            other = sample.point
            smaller = all(other.size(axis) <= point.size(axis) for axis in AXES)
            if not sample.fits and smaller and other.size("first_layer") >= point.size("first_layer"):
                raise CostError(
                    f"profile {self.file.name}: {point.label()} does not fit into the memory of "
                    f"{self.file.device.name}: already {other.label()} did not ({sample.reason})"
                )

    def _not_covered(self, what: str, *, rank: int | None = None) -> CostError:
        command = measuring_command(self.file, self._setup, self._trains, rank=rank)
        return CostError(f"profile {self.file.name} does not cover {what}. Measure it with `{command}`, {WAYS_OUT}")


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"
