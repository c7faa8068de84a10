"""The optimizer of a local update: PyTorch's AdamW, or that of bitsandbytes, which keeps its moments in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

OptimizerName = Literal["adamw", "adamw-8bit", "paged-adamw-8bit"]


def make_optimizer(name: OptimizerName, parameters: Sequence[nn.Parameter], **constants: Any) -> Optimizer:
    """Make AdamW for some parameters, with no state yet.

    Parameters
    ----------
    name : {"adamw", "adamw-8bit", "paged-adamw-8bit"}
        PyTorch's, or one of bitsandbytes, which is imported for it.
    parameters : sequence of torch.nn.Parameter
        What it changes, all on one device: a GPU, for moments of 8 bits.
    **constants : float
        ``lr``, ``eps`` and ``weight_decay``.
    """
    if name == "adamw":
        return torch.optim.AdamW(parameters, **constants, fused=parameters[0].device.type in ("cpu", "cuda"))
    from bitsandbytes import optim

    kind: Any = optim.PagedAdamW8bit if name == "paged-adamw-8bit" else optim.AdamW8bit
    made: Optimizer = kind(parameters, **constants)
    return made
