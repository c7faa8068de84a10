"""A profile fitted to published runtimes: what the ParaBlock paper's A100s must have taken per round.

Such a profile knows a model and data set only as far as the paper ran them. Between and beyond the published
batch sizes it scales along the line through batch 2 and 4 of Llama 3-8B, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sim.architecture import Architecture
from sim.blocks import Block
from sim.costs import Cost
from sim.errors import CostError, nearest
from sim.fleet import Fleet
from sim.methods import Trains
from sim.simulate import Setup

KIND = "published"
Seconds = Mapping[int, float]
"""Computation per round by batch size [s]."""
DEFAULT_DATASET = "alpaca-gpt4"
_ORIGINS = ("fitted", "predicted", "extrapolated")
"""From the most certain one on."""


@dataclass(frozen=True)
class PublishedProfile:
    """Seconds per round behind published runtimes.

    Attributes
    ----------
    name : str
        Name of the profile.
    device : str
        Device of the published runs.
    source : str
        Publication.
    block_seconds, lora_seconds : mapping of (model, dataset) to {batch size: seconds}
        Fitted computation per round [s]: training a block of `reference_layers` layers, or q and v adapters.
    non_overlapping : float
        Part of a round during which nothing can be sent [s].
    seconds_per_billion : float
        Computation per 1e9 more trained weights in a block, per round [s].
    full_factor : float
        Computation of full fine-tuning over that of a block.
    merge_seconds_per_billion : float
        Merging a stack of adapters and starting anew, per 1e9 weights of the model and round [s].
    steps, sequence_length, rank : int
        Local work that the seconds stand for; steps are inferred, the sequence length is not published.
    """

    name: str
    device: str
    source: str
    block_seconds: Mapping[tuple[str, str], Seconds]
    lora_seconds: Mapping[tuple[str, str], Seconds]
    non_overlapping: float
    seconds_per_billion: float
    full_factor: float
    merge_seconds_per_billion: float
    steps: int = 40
    sequence_length: int = 512
    rank: int = 32
    reference_layers: int = 2
    batch_sizes: range = range(2, 9)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PublishedProfile:
        """Read the `fit` section of a profile file, already checked to be of this kind."""
        fit = data["fit"]

        def table(name: str) -> dict[tuple[str, str], dict[int, float]]:
            rows: dict[tuple[str, str], dict[int, float]] = {}
            for row in fit[name]:
                rows.setdefault((row["model"], row["dataset"]), {})[row["batch_size"]] = row["seconds"]
            return rows

        return cls(
            name=data["name"],
            device=data["device"]["name"],
            source=data["source"],
            block_seconds=table("block_seconds"),
            lora_seconds=table("lora_seconds"),
            non_overlapping=fit["non_overlapping_s"],
            seconds_per_billion=fit["seconds_per_billion_block_weights"],
            full_factor=fit["full_over_block"],
            merge_seconds_per_billion=fit["merge_seconds_per_billion_weights"],
        )

    def costs(self, setup: Setup) -> PublishedCosts:
        """Costs of one scenario.

        Raises
        ------
        CostError
            If the profile does not cover it, naming what it covers.
        """
        return PublishedCosts(self, setup)

    def batch_factor(self, dataset: str, batch_size: int) -> float:
        """Seconds at a batch size over those at batch 4, on the line through Llama 3-8B's batches 2 and 4."""
        known = self.block_seconds[("llama-3-8b", dataset)]
        slope = (known[4] - known[2]) / 2
        return (known[4] + slope * (batch_size - 4)) / known[4]


class PublishedCosts:
    """Costs of one scenario according to a published profile."""

    def __init__(self, profile: PublishedProfile, setup: Setup):
        self._profile = profile
        self._trains = setup.method.trains
        self._blocks = setup.blocks or ()
        self._scenario = scenario = setup.scenario
        self._fleet = Fleet(scenario.fleet)
        self._dataset = scenario.compute.dataset or DEFAULT_DATASET
        self._notes: list[str] = []
        self._origin = _ORIGINS[0]
        self._check(setup.architecture)
        assert setup.architecture is not None
        self._model = setup.architecture.name
        self._weights = setup.architecture.parameters
        self._reference_block = sum(layer.parameters for layer in setup.architecture.layers[: profile.reference_layers])
        self._steps_factor = scenario.local.steps / profile.steps
        if scenario.local.steps != profile.steps:
            inferred = f"scaled from {profile.steps} local steps (inferred, not published) to {scenario.local.steps}"
            self._note("extrapolated", inferred)
        self._seconds = self._update_seconds()
        serial = scenario.compute.non_overlapping
        self._serial = profile.non_overlapping if serial is None else serial

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """Seconds of an update: the fitted ones of a 2-layer block, more or less for other widths."""
        seconds = self._seconds
        if block is not None:
            more_weights = block.parameters - self._reference_block
            seconds += self._profile.seconds_per_billion * more_weights / 1e9 * self._steps_factor
        speed = self._fleet.group(client).speed
        return Cost(seconds / speed, min(self._serial, seconds) / speed)

    def full_pass(self, client: int) -> float:
        """One step of full fine-tuning, or what the scenario says."""
        given = self._scenario.blocks.gradient_pass
        step = self._base(self._profile.block_seconds, "block") * self._profile.full_factor / self._profile.steps
        return (step if given is None else given) / self._fleet.group(client).speed

    def provenance(self) -> dict[str, object]:
        """Say which profile, and what is fitted, predicted or extrapolated."""
        profile = self._profile
        return {
            "origin": self._origin,
            "profile": profile.name,
            "source": profile.source,
            "device": profile.device,
            "dataset": self._dataset,
            "notes": self._notes,
        }

    def _update_seconds(self) -> float:
        profile, trains = self._profile, self._trains
        if trains is Trains.BLOCK:
            if any(block.layers != profile.reference_layers for block in self._blocks):
                widths = f"block widths other than {profile.reference_layers} layers at a fixed cost per weight"
                self._note("predicted", widths)
            return self._base(profile.block_seconds, "block") * self._steps_factor
        if trains is Trains.EVERYTHING:
            self._note("predicted", f"full fine-tuning at {profile.full_factor:.3f} x a block's computation")
            return self._base(profile.block_seconds, "block") * profile.full_factor * self._steps_factor
        seconds = self._base(profile.lora_seconds, "LoRA") * self._steps_factor
        if trains is Trains.LORA_B:
            self._note("predicted", "training B alone takes as long as A and B")
        if trains is Trains.STACKED_LORA:
            per_billion = profile.merge_seconds_per_billion
            self._note("predicted", f"merging the stack at {per_billion:.2f} s per 1e9 weights and round")
            seconds += per_billion * self._weights / 1e9
        return seconds

    def _base(self, table: Mapping[tuple[str, str], Seconds], what: str) -> float:
        """Seconds at the scenario's batch size; from batch 4 where that batch size was not published."""
        batch_size = self._scenario.local.batch_size
        known = table.get((self._model, self._dataset))
        if known is None:
            # Only Llama 3.2-3B's adapters on MathInstruct: as much cheaper than Alpaca as the 8B model's are.
            other = table["llama-3-8b", self._dataset][4] / table["llama-3-8b", DEFAULT_DATASET][4]
            known = {4: table[self._model, DEFAULT_DATASET][4] * other}
            self._note("predicted", f"{what} seconds of {self._model} on {self._dataset} by the ratio of the data sets")
        if batch_size in known:
            return known[batch_size]
        note = f"batch size {batch_size} on the line through Llama 3-8B's blocks at 2 and 4"
        if min(known) < batch_size < max(known):
            self._note("predicted", f"interpolated: {note}")
        else:
            self._note("extrapolated", note)
        return known[4] * self._profile.batch_factor(self._dataset, batch_size)

    def _note(self, origin: str, note: str) -> None:
        """Keep what a number rests on; the least certain one names the origin of all."""
        self._origin = max(self._origin, origin, key=_ORIGINS.index)
        if note not in self._notes:
            self._notes.append(note)

    def _check(self, architecture: Architecture | None) -> None:
        """Refuse what the profile does not cover."""
        profile, local, lora = self._profile, self._scenario.local, self._scenario.lora
        models, datasets = (sorted(set(names)) for names in zip(*profile.block_seconds, strict=True))
        model = architecture.name if architecture else "a run without a model"
        devices = {group.device for group in self._scenario.fleet if group.device is not None}
        others = sorted(device for device in devices if device.lower() != profile.device.lower())
        adapted = self._trains in (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA)
        own_adapter = sorted(lora.targets) == ["q_proj", "v_proj"] and lora.rank == profile.rank
        batches = f"{profile.batch_sizes[0]} to {profile.batch_sizes[-1]}"
        unpublished = f"the paper does not publish its own, which stands here as {profile.sequence_length}"
        meant = "" if self._dataset in datasets else nearest(self._dataset, datasets)
        covered = {
            f"{model}; it covers {' and '.join(models)}.": model in models,
            f"data set {self._dataset!r}; {meant}": self._dataset in datasets,
            f"device {', '.join(others)}; it covers {profile.device}.": not others,
            f"batch size {local.batch_size}; it covers {batches}.": local.batch_size in profile.batch_sizes,
            f"sequence length {local.sequence_length}; {unpublished}.": local.sequence_length
            == profile.sequence_length,
            f"this adapter; it covers rank {profile.rank} on q_proj and v_proj.": own_adapter or not adapted,
        }
        for what, is_covered in covered.items():
            if not is_covered:
                raise CostError(
                    f"profile {profile.name} does not cover {what} "
                    "Measure it with `paraSim calibrate`, or give compute.seconds"
                )
