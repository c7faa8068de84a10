"""A profile of one training step that a profiler recorded: what it took, and for which runs it may stand.

It knows one setting and scales to no other; `paraSim calibrate` measures many and does.
"""

from __future__ import annotations

from statistics import median
from typing import Annotated, Literal, Self

from pydantic import Field

from parasim_core.calibration.memory.peaks import batches_per_step
from parasim_core.calibration.profiles.profile_file import ProfileFile, Seconds, other_devices
from parasim_core.sim.engine.costs import Cost
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.fields import Line, Section, Whole
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.methods import Trains


class TracedDevice(Section):
    """Where it was recorded."""

    name: Line
    kind: Literal["cpu", "cuda"]


class TracedSetting(Section):
    """What was trained in each step; a profile covers runs of exactly this."""

    model: Line
    trains: Literal["block", "lora", "lora-b", "stacked-lora", "everything"]
    batch_size: Whole
    accumulation: Whole
    """Batches per step."""
    sequence_length: Whole
    adapter: Line
    """Rank and targets of an adapter; empty where there is none."""

    @classmethod
    def of(cls, setup: Setup) -> Self:
        """Setting of a run.

        Raises
        ------
        CostError
            If the run names no model.
        """
        scenario, trains = setup.scenario, setup.method.trains
        if setup.architecture is None:
            raise CostError("a step is that of a model, and the scenario names none")
        lora = scenario.lora
        targets = lora.targets if isinstance(lora.targets, str) else ", ".join(sorted(lora.targets))
        adapted = trains in (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA)
        return cls.model_validate(
            {
                "model": setup.architecture.name,
                "trains": trains.value,
                "batch_size": scenario.local.batch_size,
                "accumulation": batches_per_step(scenario),
                "sequence_length": scenario.local.sequence_length,
                "adapter": f"rank {lora.rank} on {targets}" if adapted else "",
            }
        )


class TracedProfile(ProfileFile):
    """Seconds of recorded steps."""

    kind: Literal["traced"]
    device: TracedDevice
    source: Line
    """The recording."""
    step_seconds: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=100_000)]
    """Of each step, in their order."""
    covers: TracedSetting

    def costs(self, setup: Setup) -> TracedCosts:
        """Costs of one scenario.

        Raises
        ------
        CostError
            If the steps were others than the scenario's, naming what is different.
        """
        return TracedCosts(self, setup)


class TracedCosts:
    """Costs of one scenario according to recorded steps."""

    def __init__(self, profile: TracedProfile, setup: Setup):
        self._profile, self._scenario = profile, setup.scenario
        self._fleet = Fleet(setup.scenario.fleet)
        asked, known = TracedSetting.of(setup).model_dump(), profile.covers.model_dump()
        different = [
            f"{field.replace('_', ' ')} {asked[field] or 'none'} (its is {known[field] or 'none'})"
            for field in known
            if asked[field] != known[field]
        ]
        if others := other_devices(setup.scenario, profile.device.name):
            different.append(f"device {', '.join(others)} (its is {profile.device.name})")
        if different:
            raise CostError(
                f"profile {profile.name} does not cover {'; '.join(different)}. Record such steps, measure many with "
                "`paraSim calibrate`, or give compute.seconds"
            )
        self._step = median(profile.step_seconds)
        self._blocks = setup.method.trains is Trains.BLOCK

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """So many steps as the update has, each as long as the recorded ones in the median."""
        scenario = self._scenario
        seconds = self._step * scenario.local.steps
        serial = scenario.compute.non_overlapping or 0.0
        return Cost.at_speed(self._fleet.group(client).speed, seconds, serial)

    def full_pass(self, client: int) -> float:
        """What the scenario says: no such pass was recorded.

        Raises
        ------
        CostError
            If it does not say it.
        """
        given = self._scenario.blocks.gradient_pass
        if given is None:
            raise CostError(f"profile {self._profile.name}: no full pass was recorded; give blocks.gradient_pass")
        return given / self._fleet.group(client).speed

    def provenance(self) -> dict[str, object]:
        """Say which recording, and how far its steps are apart."""
        steps = self._profile.step_seconds
        notes = [f"median of {len(steps)} steps of {min(steps):.4g} to {max(steps):.4g} s"]
        if self._blocks:
            notes.append("one block's step stands for every block's")
        return {
            "origin": "measured",
            "profile": self._profile.name,
            "source": self._profile.source,
            "device": self._profile.device.name,
            "notes": notes,
        }
