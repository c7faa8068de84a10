"""How many parameters a model has, layer by layer, without building it.

`model` says what an architecture is, `decoders` and `others` count the known families from their
configuration, `catalogue` finds a model by name or reads a ``config.json``. Models of other families are
counted by building them without memory, which needs transformers: see `train.models.architecture`.
"""

from __future__ import annotations

from parasim_core.sim.workload.architecture.catalogue import (
    MODEL_TYPES,
    architecture,
    catalogue_names,
    find_config,
    from_config,
    read_config,
)
from parasim_core.sim.workload.architecture.configuration import LARGEST_LAYER_COUNT, UnknownModelTypeError
from parasim_core.sim.workload.architecture.model import Architecture, Half, Layer, Linear

__all__ = [
    "LARGEST_LAYER_COUNT",
    "MODEL_TYPES",
    "Architecture",
    "Half",
    "Layer",
    "Linear",
    "UnknownModelTypeError",
    "architecture",
    "catalogue_names",
    "find_config",
    "from_config",
    "read_config",
]
