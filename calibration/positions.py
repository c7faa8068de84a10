"""How long a sequence a model can read: only a learned table of positions sets a limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from calibration.configuration import for_transformers
from train.models import random_model

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
        return positions_of(random_model(for_transformers(config), seed=0))


def positions_of(model: nn.Module) -> int | None:
    """Longest sequence that a built model has positions for [tokens]; None without a limit."""
    tables = [
        # OPT's table begins with entries that stand for no position.
        module.num_embeddings - int(getattr(module, "offset", 0))
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in _TABLES
    ]
    return min(tables, default=None)
