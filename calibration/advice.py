"""Commands that measure what a profile lacks."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from calibration.measured_file import MeasuredFile, Shape
from calibration.points import ADAPTERS, join_targets
from sim.methods import Trains
from sim.simulate import Setup


def measuring_command(file: MeasuredFile, setup: Setup, trains: Trains, *, rank: int | None = None) -> str:
    """Command that measures what a scenario needs, together with all that a profile of its model covers already.

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
        lists["--rank"] |= {scenario.lora.rank, rank or scenario.lora.rank}
        lists["--targets"].add(join_targets(scenario.lora.targets))
    words = ["paraSim", "calibrate", "--model", scenario.model or file.model.name, "--device", file.device.kind]
    for option, values in lists.items():
        # A plan without adapters says so; to anything else the command has a default.
        if values or (same and option == "--rank"):
            words += [option, _listed(values)]
    if file.device.kind == "cpu":
        words += ["--threads", str(file.device.threads)]
    return shlex.join([*words, "--out", "profile.json"])


def _widths(setup: Setup, trains: Trains) -> set[float]:
    """Widths of the scenario's blocks."""
    return {block.layers for block in setup.blocks or ()} if trains is Trains.BLOCK else set()


def _listed(values: Iterable[Any]) -> str:
    return ",".join(value if isinstance(value, str) else f"{value:g}" for value in sorted(values))
