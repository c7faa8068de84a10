"""A profile fitted to published runtimes: what the ParaBlock paper's A100s must have taken per round.

Such a profile knows a model and data set only as far as the paper ran them. Between and beyond the published
batch sizes it scales along the line through batch 2 and 4 of Llama 3-8B, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from parasim_core.calibration.memory.peaks import batches_per_step
from parasim_core.calibration.memory.recipe import not_by_default
from parasim_core.calibration.profiles.profile_file import WAYS_OUT, ProfileFile, Seconds, most_gpus, other_devices
from parasim_core.sim.engine.costs import Cost
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError, nearest
from parasim_core.sim.scenario.fields import Line, Section, Whole
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.methods import Trains

DEFAULT_DATASET = "alpaca-gpt4"
STEPS, SEQUENCE_LENGTH, RANK = 40, 512, 32
"""Local work that the seconds stand for; steps are inferred, the sequence length is not published."""
REFERENCE_LAYERS = 2
"""Width of the blocks that they stand for."""
BATCH_SIZES = range(2, 9)
_ORIGINS = ("fitted", "predicted", "extrapolated")
"""From the most certain one on."""


class PublishedSeconds(Section):
    """Fitted computation per round."""

    model: Line
    dataset: Line
    batch_size: Whole
    seconds: Seconds


Table = Sequence[PublishedSeconds]


class PublishedDevice(Section):
    """Device of the published runs."""

    name: Line


class PublishedFit(Section):
    """The numbers behind published runtimes."""

    block_seconds: tuple[PublishedSeconds, ...]
    """Of training a block of `REFERENCE_LAYERS` layers."""
    lora_seconds: tuple[PublishedSeconds, ...]
    """Of training adapters on q and v."""
    non_overlapping_s: Seconds
    """Part of a round during which nothing can be sent."""
    seconds_per_billion_block_weights: Seconds
    """Computation per 1e9 more trained weights in a block, per round."""
    full_over_block: Seconds
    """Computation of full fine-tuning over that of a block."""
    merge_seconds_per_billion_weights: Seconds
    """Merging a stack of adapters and starting anew, per 1e9 weights of the model and round."""


class PublishedProfile(ProfileFile):
    """Seconds per round behind published runtimes."""

    kind: Literal["published"]
    device: PublishedDevice
    source: Line
    """Publication."""
    fit: PublishedFit

    def costs(self, setup: Setup) -> PublishedCosts:
        """Costs of one scenario.

        Raises
        ------
        CostError
            If the profile does not cover it, naming what it covers.
        """
        return PublishedCosts(self, setup)


class PublishedCosts:
    """Costs of one scenario according to a published profile."""

    def __init__(self, profile: PublishedProfile, setup: Setup):
        self._profile, self._fit = profile, profile.fit
        self._trains = setup.method.trains
        self._blocks = setup.blocks or ()
        self._scenario = scenario = setup.scenario
        self._fleet = Fleet(scenario.fleet)
        self._dataset = scenario.compute.dataset or DEFAULT_DATASET
        self._notes: list[str] = []
        self._origin = _ORIGINS[0]
        self._model = self._checked(setup.architecture)
        self._reference_block = sum(layer.parameters for layer in self._model.layers[:REFERENCE_LAYERS])
        self._batches = batches_per_step(scenario)
        self._steps_factor = scenario.local.steps * self._batches / STEPS
        if scenario.local.steps != STEPS:
            inferred = f"scaled from {STEPS} local steps (inferred, not published) to {scenario.local.steps}"
            self._note("extrapolated", inferred)
        if self._batches > 1:
            passes = f"{self._batches} batches a step (train.accumulation) as {self._batches} steps"
            self._note("extrapolated", f"{passes}: what the optimizer takes is not published")
        if fields := not_by_default(scenario, "bfloat16"):
            self._note("extrapolated", f"{', '.join(fields)}: not priced, for how steps were trained is not published")
        self._seconds = self._update_seconds()
        serial = scenario.compute.non_overlapping
        self._serial = profile.fit.non_overlapping_s if serial is None else serial

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """Seconds of an update: the fitted ones of a 2-layer block, more or less for other widths."""
        seconds = self._seconds
        if block is not None:
            more_weights = block.parameters - self._reference_block
            seconds += self._fit.seconds_per_billion_block_weights * more_weights / 1e9 * self._steps_factor
        return Cost.at_speed(self._fleet.group(client).speed, seconds, self._serial)

    def full_pass(self, client: int) -> float:
        """One step of full fine-tuning, or what the scenario says."""
        given = self._scenario.blocks.gradient_pass
        step = self._base(self._fit.block_seconds, "block") * self._fit.full_over_block / STEPS
        return (step if given is None else given) / self._fleet.group(client).speed

    def provenance(self) -> dict[str, object]:
        """Say which profile, and what is fitted, predicted or extrapolated."""
        profile = self._profile
        return {
            "origin": self._origin,
            "profile": profile.name,
            "source": profile.source,
            "device": profile.device.name,
            "dataset": self._dataset,
            "notes": self._notes,
        }

    def _update_seconds(self) -> float:
        fit, trains = self._fit, self._trains
        if trains is Trains.BLOCK:
            if any(block.layers != REFERENCE_LAYERS for block in self._blocks):
                widths = f"block widths other than {REFERENCE_LAYERS} layers at a fixed cost per weight"
                self._note("predicted", widths)
            return self._base(fit.block_seconds, "block") * self._steps_factor
        if trains is Trains.EVERYTHING:
            self._note("predicted", f"full fine-tuning at {fit.full_over_block:.3f} x a block's computation")
            return self._base(fit.block_seconds, "block") * fit.full_over_block * self._steps_factor
        seconds = self._base(fit.lora_seconds, "LoRA") * self._steps_factor
        if trains is Trains.LORA_B:
            self._note("predicted", "training B alone takes as long as A and B")
        if trains is Trains.STACKED_LORA:
            per_billion = fit.merge_seconds_per_billion_weights
            self._note("predicted", f"merging the stack at {per_billion:.2f} s per 1e9 weights and round")
            seconds += per_billion * self._model.parameters / 1e9
        return seconds

    def _base(self, table: Table, what: str) -> float:
        """Seconds at the scenario's batch size; from batch 4 where that batch size was not published."""
        batch_size = self._scenario.local.batch_size
        known = _by_batch(table, self._model.name, self._dataset)
        if not known:
            # Only Llama 3.2-3B's adapters on MathInstruct: as much cheaper than Alpaca as the 8B model's are.
            other, alpaca = (_by_batch(table, "llama-3-8b", name)[4] for name in (self._dataset, DEFAULT_DATASET))
            known = {4: _by_batch(table, self._model.name, DEFAULT_DATASET)[4] * (other / alpaca)}
            self._note(
                "predicted", f"{what} seconds of {self._model.name} on {self._dataset} by the ratio of the data sets"
            )
        if batch_size in known:
            return known[batch_size]
        note = f"batch size {batch_size} on the line through Llama 3-8B's blocks at 2 and 4"
        if min(known) < batch_size < max(known):
            self._note("predicted", f"interpolated: {note}")
        else:
            self._note("extrapolated", note)
        line = _by_batch(self._fit.block_seconds, "llama-3-8b", self._dataset)
        return known[4] * ((line[4] + (line[4] - line[2]) / 2 * (batch_size - 4)) / line[4])

    def _note(self, origin: str, note: str) -> None:
        """Keep what a number rests on; the least certain one names the origin of all."""
        self._origin = max(self._origin, origin, key=_ORIGINS.index)
        if note not in self._notes:
            self._notes.append(note)

    def _checked(self, architecture: Architecture | None) -> Architecture:
        """The model, which the profile covers; what it does not cover is refused."""
        profile, local, lora = self._profile, self._scenario.local, self._scenario.lora
        models = sorted({row.model for row in profile.fit.block_seconds})
        datasets = sorted({row.dataset for row in profile.fit.block_seconds})
        model = architecture.name if architecture else "a run without a model"
        others, gpus = other_devices(self._scenario, profile.device.name), most_gpus(self._scenario)
        adapted = self._trains in (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA)
        own_adapter = sorted(lora.targets) == ["q_proj", "v_proj"] and lora.rank == RANK
        batches = f"{BATCH_SIZES[0]} to {BATCH_SIZES[-1]}"
        unpublished = f"the paper does not publish its own, which stands here as {SEQUENCE_LENGTH}"
        meant = "" if self._dataset in datasets else nearest(self._dataset, datasets)
        covered = {
            f"{model}; it covers {' and '.join(models)}.": model in models,
            f"data set {self._dataset!r}; {meant}": self._dataset in datasets,
            f"device {', '.join(others)}; it covers {profile.device.name}.": not others,
            f"{gpus} GPUs of a client (fleet[].gpus); it covers one.": gpus == 1,
            f"batch size {local.batch_size}; it covers {batches}.": local.batch_size in BATCH_SIZES,
            f"sequence length {local.sequence_length}; {unpublished}.": local.sequence_length == SEQUENCE_LENGTH,
            f"this adapter; it covers rank {RANK} on q_proj and v_proj.": own_adapter or not adapted,
        }
        for what, is_covered in covered.items():
            if not is_covered:
                raise CostError(
                    f"profile {profile.name} does not cover {what} Measure it with `paraSim calibrate`, {WAYS_OUT}"
                )
        assert architecture is not None
        return architecture


def _by_batch(table: Table, model: str, dataset: str) -> dict[int, float]:
    """Seconds by batch size."""
    return {row.batch_size: row.seconds for row in table if (row.model, row.dataset) == (model, dataset)}
