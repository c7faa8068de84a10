"""The model that is measured, and its trainable parts: the trainer's own, with random weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from calibration.configuration import counted, for_transformers, model_config
from calibration.points import ADAPTERS, Point, block_at, split_targets
from sim.architecture import Architecture
from sim.errors import CostError
from sim.methods import Trains
from train.adapters import Adapter, LoraSettings
from train.blocks import Part, block_parameters
from train.models import base_dtype, random_model


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


def build_model(config: Mapping[str, Any], device: torch.device) -> nn.Module:
    """Build a model with random weights, as the trainer would hold it on this device.

    Raises
    ------
    ArchitectureError
        If transformers does not know its type.
    """
    ready = for_transformers(config)
    try:
        # Drawing billions of weights takes minutes on a CPU.
        with torch.device(device):
            model: Any = random_model(ready, seed=0)
    except torch.OutOfMemoryError:
        model = random_model(ready, seed=0)
    model.config.use_cache = False
    built: nn.Module = model.to(device=device, dtype=base_dtype(device)).eval()
    return built


class Subject:
    """A model under measurement.

    Parameters
    ----------
    name : str
        As in `calibration.configuration.model_config`.
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
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model, built when it is first asked for."""
        if self._model is None:
            self._model = build_model(self.config, self.device)
        return self._model

    @contextmanager
    def part(self, point: Point) -> Iterator[Part]:
        """What a point trains; adapters are gone from the model afterwards."""
        if point.trains is Trains.BLOCK:
            assert point.first_layer is not None
            assert point.layers is not None
            yield block_parameters(self.model, block_at(self.architecture, point.first_layer, point.layers))
        elif point.trains in ADAPTERS:
            assert point.rank is not None
            assert point.targets is not None
            adapter = Adapter(self.model, LoraSettings(point.rank, targets=split_targets(point.targets)), seed=0)
            try:
                yield adapter.b_part if point.trains is Trains.LORA_B else adapter.part
            finally:
                adapter.remove()
        else:
            yield dict(self.model.named_parameters())
