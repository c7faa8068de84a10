"""Find a model's architecture: by its catalogue name, or from a Hugging Face ``config.json`` of a known family."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from parasim_core.sim.errors import ArchitectureError, nearest
from parasim_core.sim.support.atomic_files import read_text
from parasim_core.sim.workload.architecture.configuration import Configuration, UnknownModelTypeError
from parasim_core.sim.workload.architecture.decoders import DECODERS, decoder
from parasim_core.sim.workload.architecture.model import Architecture
from parasim_core.sim.workload.architecture.others import gpt2, gpt_neox, opt, vit

LARGEST_FILE = 8 * 2**20
"""Largest ``config.json`` that is read [B]; a list of 21,000 labels takes about 1.5 MB."""

_FAMILIES: dict[str, Callable[[Configuration], Architecture]] = {
    **dict.fromkeys(DECODERS, decoder),
    **{"gpt2": gpt2, "gpt_neox": gpt_neox, "opt": opt, "vit": vit},
}

MODEL_TYPES = tuple(sorted(_FAMILIES))
"""Values of `model_type` that `from_config` knows."""


def catalogue_names() -> tuple[str, ...]:
    """Name the models that are known without a file, in the order in which they are listed."""
    return tuple(_entries())


def architecture(name_or_path: str | os.PathLike[str]) -> Architecture:
    """Find the architecture of a model.

    Parameters
    ----------
    name_or_path : str or path
        A name of the catalogue in any capitalisation, or the path of a ``config.json`` or of a folder
        that holds one. A name of the catalogue comes first; ``./gpt2`` is always a path.

    Returns
    -------
    Architecture
        Counts by layer and half.

    Raises
    ------
    UnknownModelTypeError
        If the file is of a family that `from_config` does not know.
    ArchitectureError
        If there is no such name or file, or the file does not hold a usable configuration.
    """
    given = os.fspath(name_or_path)
    if given.lower() in _entries():
        return _from_catalogue(given.lower())
    return from_config(find_config(given), given)


def find_config(name_or_path: str) -> Mapping[str, Any]:
    """Find the configuration of a model, as `architecture` does.

    Raises
    ------
    ArchitectureError
        If there is no such name or file, or the file cannot be read.
    """
    if name_or_path.lower() in _entries():
        config: Mapping[str, Any] = _entries()[name_or_path.lower()]["config"]
        return config
    try:
        path = Path(name_or_path).expanduser()
        exists = path.exists()
    except (OSError, ValueError, RuntimeError):
        # What is no path at all, as it is too long or holds a null byte, names no file.
        exists = False
    if not exists:
        raise ArchitectureError(_unknown(name_or_path))
    return read_config(path)


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


def read_config(path: Path) -> Mapping[str, Any]:
    """Read a ``config.json``.

    Parameters
    ----------
    path : Path
        The file, or a folder that holds a ``config.json``.

    Returns
    -------
    mapping
        The parsed object.

    Raises
    ------
    ArchitectureError
        If there is no such file, it cannot be read, is larger than `LARGEST_FILE` or is no JSON object.
    """
    file = path / "config.json" if path.is_dir() else path
    if file != path and not file.exists():
        raise ArchitectureError(f"the folder {path} holds no config.json")
    try:
        text = read_text(file, LARGEST_FILE)
    except ValueError as error:
        raise ArchitectureError(str(error)) from None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArchitectureError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ArchitectureError(f"{file} holds no JSON object, so it is not the config.json of a model")
    return config


def _unknown(given: str) -> str:
    """Explain that a model is neither a name of the catalogue nor an existing path."""
    # Of a hub id such as meta-llama/Meta-Llama-3-8B, the last part is what resembles a catalogue name.
    suggestion = nearest(given.rpartition("/")[2][:80], catalogue_names())
    shown = given if len(given) <= 80 else given[:77] + "..."
    return (
        f"model {shown!r} is no name of the catalogue ({suggestion}), and there is no such file; "
        "any Hugging Face config.json, or a folder that holds one, can be given instead"
    )


@cache
def _from_catalogue(name: str) -> Architecture:
    return from_config(find_config(name), name)


@cache
def _entries() -> dict[str, dict[str, Any]]:
    text = resources.files("parasim_core.sim.workload.architecture").joinpath("catalogue.json").read_text("utf-8")
    entries: dict[str, dict[str, Any]] = json.loads(text)
    return entries
