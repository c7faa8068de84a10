"""What determines a run: the settings that all methods of a comparison share, a method's own, the data, the weights.

Runs are told apart by one digest of it all: checkpoints of any other run must not be gone on from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from parasim_core.sim.scenario.scenario import PLANNED, Scenario
from parasim_core.sim.scenario.traces import followed_traces
from parasim_core.sim.workload.methods import METHODS, Trains
from parasim_core.train.runs.settings import RECIPE, TrainSettings
from parasim_core.train.runs.workbench import Workbench

Fields = dict[str, Any]
_DEFAULTS = TrainSettings.model_fields
_OLDEST = ("activation_checkpointing",)


def shared_settings(scenario: Scenario, settings: TrainSettings) -> Fields:
    """Everything that methods must agree on for their curves to be comparable.

    Parameters
    ----------
    scenario : Scenario
        Everything simulated, its method apart.
    settings : TrainSettings
        Everything else.

    Returns
    -------
    dict
        By field, as ``--set`` names it: plain values. How often checkpoints are taken is not among them, nor is the
        number of rounds: a run may be made longer.
    """
    simulated = {"name", "method", "lora", "cyclic", "train", "rounds"}
    fields = scenario.model_dump(mode="json", exclude={**dict.fromkeys(simulated, True), **PLANNED})
    own = {"checkpoint_every", "learning_rate", "cyclic"}
    # Directories from before there were recipes are gone on from, as long as nothing new is asked for.
    own |= {field for field in RECIPE if field not in _OLDEST and getattr(settings, field) == _DEFAULTS[field].default}
    return flat(fields | {"train": settings.model_dump(mode="json", exclude=own)})


def own_settings(scenario: Scenario, settings: TrainSettings) -> Fields:
    """Everything that concerns the scenario's method alone, under the same kind of names."""
    method = METHODS[scenario.method.name]
    fields: Fields = {"train": {"learning_rate": settings.rate(method.name)}}
    fields["method"] = scenario.method.model_dump(mode="json", exclude={"name"})
    if method.shape.traits.takes_turns:
        fields["train"]["cyclic"] = settings.cyclic.model_dump(mode="json")
        if settings.cyclic.optimizer == "kept" and settings.schedule != "constant":
            # The learning rate falls over all of a client's turns: with more of them, the first ones were others.
            fields["rounds"] = scenario.rounds
    if method.trains in (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA):
        fields["lora"] = scenario.lora.model_dump(mode="json")
    return flat(fields)


def contents(bench: Workbench, scenario: Scenario) -> dict[str, str]:
    """Digests of what settings only name.

    Parameters
    ----------
    bench : Workbench
        The base model and the data.
    scenario : Scenario
        Its links may follow traces.

    Returns
    -------
    dict of str to str
        Of the examples, of who has which, of the model's weights (the same on any number of threads) and of traces.
    """
    weights = hashlib.sha256()
    for name, parameter in bench.model.named_parameters():
        weights.update(f"{name} {tuple(parameter.shape)} {_bit_sum(parameter.detach())}".encode())
    followed = sorted(str(trace["sha256"]) for trace in followed_traces(scenario))
    traces = hashlib.sha256(json.dumps(followed).encode())
    shares = hashlib.sha256(json.dumps(bench.partition.clients).encode())
    return {
        "the examples": bench.data_digest,
        "the clients' shares of the examples": shares.hexdigest(),
        "the model's weights": weights.hexdigest(),
        **({"the traces of links": traces.hexdigest()} if followed else {}),
    }


def fingerprint(
    scenario: Scenario, settings: TrainSettings, bench: Workbench, clock: Mapping[str, object] | None
) -> str:
    """Digest everything that determines a run.

    Parameters
    ----------
    scenario : Scenario
        The method and everything simulated about it.
    settings : TrainSettings
        Everything else.
    bench : Workbench
        The base model and the data.
    clock : mapping or None
        Where simulated seconds come from (`Costs.provenance`); None if they are measured.

    Returns
    -------
    str
        Hexadecimal.
    """
    described = [
        scenario.method.name,
        shared_settings(scenario, settings),
        own_settings(scenario, settings),
        clock,
        contents(bench, scenario),
    ]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def flat(data: Any, prefix: str = "") -> Fields:
    """Name every value by its path with dots; a list of plain values is one value."""
    if isinstance(data, list) and any(isinstance(entry, dict | list) for entry in data):
        data = dict(enumerate(data))
    if not isinstance(data, dict):
        return {prefix: data}
    fields: Fields = {}
    for name, value in data.items():
        fields |= flat(value, f"{prefix}.{name}" if prefix else str(name))
    return fields


def _bit_sum(tensor: torch.Tensor) -> int:
    """Sum of a tensor's bit patterns: exact in any order, where a sum of floats depends on the threads."""
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[tensor.element_size()]
    return int(tensor.contiguous().view(integers).sum(dtype=torch.int64))
