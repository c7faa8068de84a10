"""Commands that measure what a profile lacks."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from calibration.devices import device
from calibration.measured_file import MeasuredFile, Shape
from calibration.points import ADAPTERS, join_targets
from sim.errors import CostError
from sim.methods import Trains
from sim.simulate import Setup


def measuring_command(file: MeasuredFile, setup: Setup, trains: Trains, *, rank: int | None = None) -> str:
    """Command that measures what a scenario needs, together with all that a profile of its model covers already.

    The scenario may be of another device than the profile: then the command is for that one, and says so.

    Parameters
    ----------
    file : MeasuredFile
        The profile: its device and threads, and its plan where the scenario's model has the same shape.
    setup : Setup
        The scenario and what follows from it.
    trains : Trains
        What its clients train.
    rank : int, optional
        Rank of adapters that is needed beside the scenario's own.
    """
    scenario, plan = setup.scenario, file.plan
    same = setup.architecture is not None and Shape.of(setup.architecture) == file.model.shape
    lists: dict[str, set[Any]] = {
        "--batch-size": {scenario.local.batch_size} | set(plan.batch_sizes if same else ()),
        "--sequence-length": {scenario.local.sequence_length} | set(plan.sequence_lengths if same else ()),
        "--layers": _widths(setup, trains) | set(plan.layers if same else ()),
        "--rank": set(plan.ranks if same else ()),
        "--targets": set(plan.targets if same else ()),
    }
    if trains in ADAPTERS:
        # No measurement takes a larger rank than the model is wide.
        widest = scenario.lora.rank if setup.architecture is None else setup.architecture.hidden_size
        lists["--rank"] |= {min(wanted, widest) for wanted in (scenario.lora.rank, rank or scenario.lora.rank)}
        lists["--targets"].add(join_targets(scenario.lora.targets))
    other = _other_device(file, setup)
    kind = file.device.kind if other is None else _kind(other, file.device.kind)
    words = ["paraSim", "calibrate", "--model", scenario.model or file.model.name, "--device", kind]
    for option, values in lists.items():
        # A plan without adapters says so; to anything else the command has a default.
        if values or (same and option == "--rank"):
            words += [option, _listed(values)]
    if other is None and kind == "cpu":
        words += ["--threads", str(file.device.threads)]
    command = shlex.join([*words, "--out", "profile.json"])
    return command if other is None else f"{command}  # on {other} itself"


def _other_device(file: MeasuredFile, setup: Setup) -> str | None:
    """Device of the scenario that is not the profile's; the first one by name, as in the profile's complaint."""
    named = {group.device for group in setup.scenario.fleet if group.device is not None}
    return min((name for name in named if name.lower() != file.device.name.lower()), default=None)


def _kind(name: str, otherwise: str) -> str:
    """Kind of a device: the trainer holds base weights in bfloat16 on GPUs alone."""
    try:
        return "cuda" if device(name).precision == "bfloat16" else "cpu"
    except CostError:
        return otherwise


def _widths(setup: Setup, trains: Trains) -> set[float]:
    """Widths of the scenario's blocks."""
    return {block.layers for block in setup.blocks or ()} if trains is Trains.BLOCK else set()


def _listed(values: Iterable[Any]) -> str:
    return ",".join(value if isinstance(value, str) else f"{value:g}" for value in sorted(values))
