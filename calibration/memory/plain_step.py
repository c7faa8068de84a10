"""A training step as most scripts write it: AdamW on the weights themselves, without master or working copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from parasim_core.calibration.memory.recipe import Recipe
from parasim_core.train.data.task import Batch
from parasim_core.train.models.blocks import Part, activate


def train_plainly(
    model: nn.Module,
    part: Part,
    batches: Sequence[Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    recipe: Recipe,
) -> None:
    """Take one step on a part of a model in place: its passes, then AdamW unless the recipe has none.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    part : mapping of str to torch.nn.Parameter
        What is trained.
    batches : sequence of mapping of str to torch.Tensor
        The step's batches, whose gradients add up.
    loss : callable
        Mean loss of the model on a batch.
    recipe : Recipe
        How.
    """
    activate(model, part)
    model.train()
    optimizer = None
    if recipe.optimizer != "none":
        optimizer = torch.optim.AdamW(part.values(), lr=1e-5, fused=True)
    for batch in batches:
        loss(model, batch).backward()  # type: ignore[no-untyped-call]
    if optimizer is not None:
        optimizer.step()
        optimizer.zero_grad()
