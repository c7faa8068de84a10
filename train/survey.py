"""The full pass of the gradient-based schedule: how large each block's gradient is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from train.blocks import activate
from train.task import Batch
from train.timing import now

if TYPE_CHECKING:
    from train.local import Loss
    from train.trained import TrainedBlocks


def block_gradient_norms(trained: TrainedBlocks, batch: Batch, loss: Loss) -> tuple[Tensor, float]:
    """Norm of the gradient of every block on one batch.

    Parameters
    ----------
    trained : TrainedBlocks
        The model and its blocks.
    batch : mapping of str to torch.Tensor
        The batch.
    loss : callable
        Mean loss of a model on a batch.

    Returns
    -------
    tuple of torch.Tensor and float
        Norms, shape (blocks,), float32 on the CPU; and the seconds that the pass took [s].
    """
    model = trained.model
    parts = [trained.part(item) for item in range(trained.count)]
    every = {name: parameter for part in parts for name, parameter in part.items()}
    device = next(iter(every.values())).device
    activate(model, every)
    began = now(device)
    loss(model, batch).backward()  # type: ignore[no-untyped-call]
    norms = torch.stack([torch.nn.utils.get_total_norm([p.grad for p in part.values()]) for part in parts])  # type: ignore[misc]
    seconds = now(device) - began
    for parameter in every.values():
        parameter.grad = None
    return norms.float().cpu(), seconds
