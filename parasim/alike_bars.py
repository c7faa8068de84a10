"""Sweeps whose bars would be alike because nothing tells their runs apart: found before anything runs.

Seconds that are given do not change with what computing depends on, such as the batch size: bars of equal length would
pass for a result. That a longer link changes nothing is a result, and no business of this module.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from parasim_core.calibration.memory.recipe import recipe_of
from parasim_core.sim.analysis.sweep import Axis, SweepPoint
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import PLANNED
from parasim_core.sim.workload.methods import Trains
from parasim_core.sim.workload.payload import message_bytes
from parasim_core.train.runs.settings import RECIPE

T = TypeVar("T")

_COMPUTING = ("model", "method", "local", "train")
"""Sections that what every local update computes depends on."""
_OF_SOME = {"blocks": (Trains.BLOCK,), "lora": (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA)}
"""Sections that matter to methods which train such things."""
_KEYS = {
    "model": "{llama-3-8b: 3s, llama-3.2-3b: 2s}",
    "method": "{parablock: 3s, fedit: 2s}",
    "batch_size": "{2: 3s, 4: 5s}",
}
"""Of columns that `compute.seconds` can tell apart: how."""
_BY_PROFILE = ("accumulation", *RECIPE)
"""Settings of training that a profile prices."""


@dataclass(frozen=True)
class Seen:
    """What a simulation sees of one run.

    Attributes
    ----------
    given : tuple or None
        Keys of `compute.seconds` that the run's seconds stand under, and these; None where a profile has them.
    fields : str
        Whatever else of the scenario a simulation looks at.
    trained : tuple
        What is trained, of which model, and how much of it.
    """

    given: tuple[object, ...] | None
    fields: str
    trained: tuple[object, ...]


def seen(setup: Setup) -> Seen:
    """Tell what a simulation sees of a scenario: two that are alike in it take equally long."""
    scenario, sizes = setup.scenario, setup.payload
    trains, blocks = setup.method.trains, scenario.blocks
    much = (blocks.layers, blocks.count) if trains is Trains.BLOCK else (scenario.lora.rank, scenario.lora.targets)
    trained = (trains, scenario.model, None if trains is Trains.EVERYTHING else much)
    ignored = {**PLANNED, "name": True, "train": True}
    if scenario.compute.seconds is None:
        given, gpus = scenario.train or {}, max(group.gpus for group in scenario.fleet)
        # How GPUs share a model out makes no difference to one alone.
        priced = (given.get(name) for name in _BY_PROFILE if name != "sharding" or gpus > 1)
        training = [recipe_of(scenario, gpus=gpus), *priced]
        return Seen(None, repr((scenario.model_dump(exclude=ignored), training)), trained)
    # With given seconds, of model, method and blocks only the messages are left, and who sends them when.
    derived = dict.fromkeys(("model", "method", "local", "lora", "blocks", "cyclic", "payload", "wire"), True)
    # Devices tell what clients hold, not how fast they are.
    fleet = {"__all__": PLANNED["fleet"]["__all__"] | {"device", "gpus"}}
    left = scenario.model_dump(exclude={**ignored, **derived, "compute": {"seconds"}, "fleet": fleet})
    # Rounding apart: sizes are divided by the bytes of a value before they are multiplied with them.
    messages = [
        [f"{message_bytes(values, sizes.bytes_per_parameter, how):.9g}" for values in parameters]
        for parameters, how in ((sizes.parameters_up, sizes.up), (sizes.parameters_down, sizes.down))
    ]
    surveyed = scenario.blocks.gradient_pass if setup.ranks_blocks else False
    # Blocks of one size make no difference where everybody gets each of them in its round.
    some = setup.cohorts.members is not None or setup.opened
    which = len(sizes.parameters_up) > 1 or setup.traits.takes_turns or some
    schedule = tuple(setup.schedule) if which else ()
    order = (setup.method.shape, scenario.method.model_dump(exclude={"name"}), schedule, surveyed)
    fields = (left, messages, sizes.stacked, scenario.wire.serialization, order)
    return Seen(scenario.given_seconds, repr(fields), trained)


def check_told_apart(axes: Sequence[Axis], points: Sequence[SweepPoint], runs: Sequence[Seen]) -> list[str]:
    """Refuse a sweep that would draw the same bar for different values of a field.

    Parameters
    ----------
    axes : sequence of Axis
        What is swept.
    points : sequence of SweepPoint
        Its runs.
    runs : sequence of Seen
        What a simulation sees of each.

    Returns
    -------
    list of str
        What to know of axes along which seconds stay the same and messages don't, a sentence each.

    Raises
    ------
    ScenarioError
        Naming the axis and two of its values.
    """
    notes = []
    for axis in axes:
        if not axis.fields or len(axis.values) < 2:
            continue
        along: dict[Hashable, list[tuple[str, Seen]]] = {}
        for point, run in zip(points, runs, strict=True):
            others = tuple(text for column, text in point.labels.items() if column != axis.column)
            along.setdefault(others, []).append((point.labels[axis.column], run))
        # For each combination of the other axes, values that a simulation cannot tell apart.
        given, ignored = runs[0].given is not None, all(map(_not_simulated, axis.fields))
        for line in along.values():
            alike = _grouped((f"{run.given} {run.fields}", value) for value, run in line)
            same = next((values for values in alike.values() if len(values) > 1), None)
            if same and (ignored or (given and _computes(axis, line[0][1]))):
                raise ScenarioError(_refusal(axis, same, given=given and not ignored))
        if any(share_seconds([run for _, run in line]) for line in along.values()):
            notes.append(
                f"compute.seconds is the same for more than one {axis.column}: their bars differ in what is sent, "
                f"not in what is computed; {_advice(axis)}."
            )
    return notes


def share_seconds(runs: Iterable[Seen]) -> bool:
    """Tell whether some runs have the same given seconds and train different things."""
    trained = _grouped((str(run.given), run.trained) for run in runs if run.given is not None)
    return any(len(set(what)) > 1 for what in trained.values())


def _computes(axis: Axis, run: Seen) -> bool:
    """Tell whether what is computed depends on an axis, so that seconds should."""
    section = axis.fields[0].partition(".")[0]
    return section in _COMPUTING or run.trained[0] in _OF_SOME.get(section, ()) or _is_device(axis)


def _is_device(axis: Axis) -> bool:
    return axis.fields[0].startswith("fleet.") and axis.fields[0].endswith((".device", ".gpus"))


def _advice(axis: Axis) -> str:
    """Say how seconds could tell an axis's values apart."""
    if _is_device(axis):
        return "give each its fleet.*.speed instead, or leave the seconds out: then they are predicted for each device"
    keys = _KEYS.get(axis.column)
    return (
        f"give it by {axis.column.replace('_', ' ')}, such as {keys}, or " if keys else ""
    ) + "name a device (compute.device) or a profile instead"


def _not_simulated(field: str) -> bool:
    """Tell whether a simulation never looks at a field, whatever its costs are from."""
    section, _, rest = field.partition(".")
    if section == "fleet":
        return rest.partition(".")[2].partition(".")[0] in PLANNED["fleet"]["__all__"]
    return section == "name" or section in PLANNED or (section == "train" and rest not in _BY_PROFILE)


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def _refusal(axis: Axis, values: Sequence[str], *, given: bool) -> str:
    which = f"{axis.column} {' and '.join(values[:2])}: their bars would be alike"
    if not given:
        return f"{which}; a simulation does not look at what differs between them"
    return f"{which}; compute.seconds is the same for both, and nothing else differs: {_advice(axis)}"
