"""Commands that measure what a profile lacks."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from parasim_core.calibration.devices.catalogue import device
from parasim_core.calibration.measuring.plan import OPTIONS
from parasim_core.calibration.profiles.measured_file import MeasuredFile, ModelShape
from parasim_core.calibration.profiles.points import ADAPTERS, join_targets
from parasim_core.calibration.profiles.profile_file import other_devices
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError
from parasim_core.sim.workload.methods import Trains


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
    scenario, local = setup.scenario, setup.scenario.local
    same = setup.architecture is not None and ModelShape.of(setup.architecture) == file.model.shape
    levels: dict[str, set[Any]] = {field: set(getattr(file.plan, field)) if same else set() for field in OPTIONS}
    levels["batch_sizes"].add(local.batch_size)
    levels["sequence_lengths"].add(local.sequence_length)
    if trains is Trains.BLOCK:
        levels["layers"] |= {block.layers for block in setup.blocks or ()}
    if trains in ADAPTERS:
        # No measurement takes a larger rank than the model is wide.
        widest = scenario.lora.rank if setup.architecture is None else setup.architecture.hidden_size
        levels["ranks"] |= {min(wanted, widest) for wanted in (scenario.lora.rank, rank or scenario.lora.rank)}
        levels["targets"].add(join_targets(scenario.lora.targets))
    other = next(iter(other_devices(scenario, file.device.name)), None)
    kind = file.device.kind if other is None else _kind(other, file.device.kind)
    # A plan without adapters says so; to anything else the command has a default.
    said = {field: sorted(values) for field, values in levels.items() if values or (same and field == "ranks")}
    threads = file.device.threads if other is None and kind == "cpu" else None
    command = calibrate_command(scenario.model or file.model.name, kind, said, threads, "--out", "profile.json")
    return command if other is None else f"{command}  # on {other} itself"


def calibrate_command(
    model: str, device: str, levels: Mapping[str, Iterable[Any]], threads: int | None, *more: str
) -> str:
    """Write a command line that measures.

    Parameters
    ----------
    model, device : str
        What, and on which kind of device.
    levels : mapping of str to iterable
        By field of `calibration.measuring.plan.MeasuringPlan`; what is not there has a default, and an empty list is
        none.
    threads : int or None
        Threads on a CPU.
    *more : str
        Options that come last.
    """
    words = ["paraSim", "calibrate", "--model", model, "--device", device]
    for field, values in levels.items():
        words += [OPTIONS[field], ",".join(value if isinstance(value, str) else f"{value:.15g}" for value in values)]
    if threads is not None:
        words += ["--threads", str(threads)]
    return shlex.join([*words, *more])


def _kind(name: str, otherwise: str) -> str:
    """Kind of a device: the trainer holds base weights in bfloat16 on GPUs alone."""
    try:
        return "cuda" if device(name).precision == "bfloat16" else "cpu"
    except CostError:
        return otherwise
