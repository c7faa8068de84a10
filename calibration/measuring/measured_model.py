"""The model that is measured, and its trainable parts: the trainer's own, with random weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import nn

from parasim_core.calibration.measuring.configuration import model_config
from parasim_core.calibration.measuring.this_machine import available_bytes
from parasim_core.calibration.profiles.points import StepPoint, block_at, split_targets
from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import ALL_LINEAR, Block
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.architecture import configuration, counted
from parasim_core.train.models.blocks import Part
from parasim_core.train.models.building import base_dtype, keep_no_cache, placed, random_model
from parasim_core.train.models.out_of_memory import free_memory, is_out_of_memory
from parasim_core.train.update.trained_part import trained_part


def language_model(name: str, config: Mapping[str, Any]) -> Architecture:
    """Count the parameters of a language model.

    Raises
    ------
    ArchitectureError
        If it cannot be counted.
    CostError
        If it is no language model: others are not measured yet.
    """
    found = counted(name, config)
    if not found.vocabulary_size:
        raise CostError(f"--model {name}: only language models are measured, this is a {found.model_type}")
    return found


def build_model(name: str, config: Mapping[str, Any], device: torch.device) -> nn.Module:
    """Build a model with random weights, as the trainer would hold it on this device.

    Parameters
    ----------
    name : str
        What it is called, for messages.
    config : mapping
        Its configuration.
    device : torch.device
        Where it is held.

    Raises
    ------
    ArchitectureError
        If transformers does not know its type.
    CostError
        If its weights alone are too large for the device.
    """
    ready = configuration(config, name)
    parameters = counted(name, config).parameters
    check_fit(name, parameters, device)
    model: Any = None
    try:
        # Drawing billions of weights takes minutes on a CPU.
        with torch.device(device):
            model = random_model(ready, seed=0)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    if model is None:
        # In float32 it is twice as large as it will be on the device.
        free_memory()
        check_fit(name, parameters, torch.device("cpu"))
        model = random_model(ready, seed=0)
    keep_no_cache(model)
    return placed(model, device, base_dtype(device)).eval()


def check_fit(name: str, parameters: int, device: torch.device) -> None:
    """Refuse a model whose weights alone are too large, before Linux kills the process that builds it.

    Parameters
    ----------
    name : str
        What it is called, for messages.
    parameters : int
        How many it has.
    device : torch.device
        Where it would be held, in the precision that the trainer holds it in there.

    Raises
    ------
    CostError
        If they are larger than the memory there.
    """
    if device.type == "cuda":
        where, there = "this GPU has", torch.cuda.get_device_properties(device).total_memory
    else:
        where, there = "this machine has free", available_bytes()
    precision = base_dtype(device)
    needed = parameters * precision.itemsize
    if needed > there:
        raise CostError(
            f"--model {name}: {parameters / 1e9:.2f} billion parameters take {needed / 1e9:.1f} GB in "
            f"{str(precision).removeprefix('torch.')}, more than the {there / 1e9:.1f} GB that {where}"
        )


class MeasuredModel:
    """A model under measurement.

    Parameters
    ----------
    name : str
        As in `calibration.measuring.configuration.model_config`.
    device : torch.device
        Where it is measured.
    config : mapping, optional
        Its configuration, where it is known already.
    """

    def __init__(self, name: str, device: torch.device, config: Mapping[str, Any] | None = None):
        self.name = name
        self.device = device
        self.config = model_config(name) if config is None else dict(config)
        self.architecture = language_model(name, self.config)

    @cached_property
    def model(self) -> Any:
        """The model, built when it is first asked for."""
        return build_model(self.name, self.config, self.device)

    def part(self, point: StepPoint) -> AbstractContextManager[Part]:
        """What a point trains; adapters are gone from the model afterwards."""
        block = None if point.layers is None else block_at(self.architecture, point.first_layer or 0, point.layers)
        lora = Lora(rank=point.rank or 1, targets=split_targets(point.targets or ALL_LINEAR))
        return trained_for_now(self.model, point.trains, block, lora)


@contextmanager
def trained_for_now(model: nn.Module, trains: Trains, block: Block | None, lora: Lora) -> Iterator[Part]:
    """What the trainer trains of a model; an adapter is gone from it afterwards.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    trains : Trains
        What is trained.
    block : Block or None
        Which block, where blocks are trained.
    lora : Lora
        Adapter, where one is trained.
    """
    trained = trained_part(trains, model, None if block is None else [block], lora, seed=0)
    try:
        yield trained.part(0)
    finally:
        if trained.adapter is not None:
            trained.adapter.remove()
