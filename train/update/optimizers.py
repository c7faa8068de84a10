"""The optimizer of a local update: PyTorch's AdamW, or that of bitsandbytes, which keeps its moments in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from train.update.local import LocalSettings


def adamw(parameters: Sequence[nn.Parameter], settings: LocalSettings) -> Optimizer:
    """Make AdamW for some parameters, with no state yet.

    Parameters
    ----------
    parameters : sequence of torch.nn.Parameter
        What it changes, all on one device: a GPU, for moments of 8 bits.
    settings : LocalSettings
        Which AdamW, and its constants.
    """
    constants: dict[str, Any] = {
        "lr": settings.learning_rate,
        "eps": settings.epsilon,
        "weight_decay": settings.weight_decay,
    }
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **constants, fused=parameters[0].device.type in ("cpu", "cuda"))
    from bitsandbytes import optim

    kind: Any = optim.PagedAdamW8bit if settings.optimizer == "paged-adamw-8bit" else optim.AdamW8bit
    made: Optimizer = kind(parameters, **constants)
    return made
