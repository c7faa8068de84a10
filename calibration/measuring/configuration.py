"""Configurations of models: found by name, counted, and read as transformers does; how long a sequence they take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from parasim_core.sim.workload.architecture import find_config
from parasim_core.train.models.architecture import configuration
from parasim_core.train.models.blocks import decoders
from parasim_core.train.models.building import DEMO, random_model
from parasim_demonstration.models import demonstration_config


def model_config(name: str) -> dict[str, Any]:
    """Find the configuration of a model.

    Parameters
    ----------
    name : str
        A name of the catalogue, ``demo`` (what the trainer demonstrates with), a ``config.json``, or a folder with
        one.

    Raises
    ------
    ArchitectureError
        If there is none.
    """
    if name == DEMO:
        return dict(json.loads(demonstration_config().to_json_string(use_diff=True)))
    return dict(find_config(name))


_TABLES = ("wpe", "embed_positions")
"""Names of such tables in transformers; rotary positions and biases are computed for any length."""


def longest_sequence(config: Mapping[str, Any]) -> int | None:
    """Longest sequence that a model has positions for [tokens]; None without a limit.

    Parameters
    ----------
    config : mapping
        Its configuration; the model is built without its weights.

    Raises
    ------
    ParaSimError
        If transformers does not know its type, or cannot build it.
    """
    with torch.device("meta"):
        return positions_of(random_model(configuration(config, str(config.get("model_type"))), seed=0))


def positions_of(model: nn.Module) -> int | None:
    """Longest sequence that a built model's text layers have positions for [tokens]; None without a limit."""
    tables = [
        # OPT's table begins with entries that stand for no position.
        module.num_embeddings - int(getattr(module, "offset", 0))
        for name, module in decoders(model)[-1].named_modules()
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in _TABLES
    ]
    return min(tables, default=None)
