"""From a configuration to parameter counts: which family is counted by which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sim.errors import nearest
from sim.workload.architecture.configuration import Configuration, UnknownModelTypeError
from sim.workload.architecture.decoders import DECODERS, decoder
from sim.workload.architecture.model import Architecture
from sim.workload.architecture.others import gpt2, gpt_neox, opt, vit

_FAMILIES: dict[str, Callable[[Configuration], Architecture]] = {
    **dict.fromkeys(DECODERS, decoder),
    **{"gpt2": gpt2, "gpt_neox": gpt_neox, "opt": opt, "vit": vit},
}

MODEL_TYPES = tuple(sorted(_FAMILIES))
"""Values of `model_type` that `from_config` knows."""


def from_config(config: Mapping[str, Any], name: str) -> Architecture:
    """Count the parameters of the model that transformers builds from a configuration.

    Language models are counted as ``AutoModelForCausalLM`` builds them, vision models as
    ``ViTForImageClassification`` does.

    Parameters
    ----------
    config : mapping
        The parsed ``config.json``. Optional fields that it leaves out mean what they mean to transformers.
    name : str
        What to call the model.

    Returns
    -------
    Architecture
        Counts by layer and half.

    Raises
    ------
    UnknownModelTypeError
        If `model_type` is missing or none of `MODEL_TYPES`.
    ArchitectureError
        If a size is missing, out of range or no whole number.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise UnknownModelTypeError(
            f"{name}: the configuration has no 'model_type'; known are {', '.join(MODEL_TYPES)}"
        )
    if model_type not in _FAMILIES:
        raise UnknownModelTypeError(
            f"{name}: model type {model_type[:60]!r} is not one whose parameters can be counted from its "
            f"configuration: {nearest(model_type[:60], MODEL_TYPES)}"
        )
    return _FAMILIES[model_type](Configuration(config, name))
