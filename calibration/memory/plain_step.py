"""A training step as most scripts write it: AdamW on the weights themselves, without master or working copy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from calibration.memory.recipe import Recipe
from train.data.task import Batch
from train.models.blocks import Part, activate

aten = torch.ops.aten
CHUNK = 1024
"""Tokens whose logits exist at once in a chunked head."""


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
    # Float32 adapters are multiplied as transformers' Trainer does it, in mixed precision.
    autocast = recipe.weights == "float32-autocast" or recipe.adapters == "float32"
    mixed = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
    for batch in batches:
        with mixed:
            value = loss(model, batch)
        value.backward()  # type: ignore[no-untyped-call]
    if optimizer is not None:
        optimizer.step()
        optimizer.zero_grad()


def chunked_loss(model: Any, batch: Batch) -> Tensor:
    """Mean loss of a language model whose head and cross entropy see `CHUNK` tokens at a time.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model.
    batch : mapping of str to torch.Tensor
        Token ids, attention mask and labels of shape (batch, tokens).
    """
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    hidden = model.base_model(**inputs)[0][:, :-1].flatten(0, 1)
    head = model.get_output_embeddings()
    loss: Tensor = _ChunkedHead.apply(hidden, head.weight, batch["labels"][:, 1:].flatten())  # type: ignore[no-untyped-call]
    return loss


class _ChunkedHead(torch.autograd.Function):
    """Head and cross entropy, whose gradients are made in the forward pass, chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
        for_hidden = torch.empty_like(hidden)
        for_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        losses = []
        pieces = zip(*(torch.split(whole, CHUNK) for whole in (hidden, labels, for_hidden)), strict=True)
        for piece, answers, gradient in pieces:
            logits = (piece @ weight.t()).float()
            losses.append(nn.functional.cross_entropy(logits, answers, reduction="sum"))
            wrong = (
                logits.softmax(-1).scatter_add_(1, answers[:, None], -torch.ones_like(logits[:, :1])).to(weight.dtype)
            )
            gradient.copy_(wrong @ weight)
            if for_weight is not None:
                for_weight.add_(wrong.t() @ piece)
        ctx.save_for_backward(for_hidden, for_weight)
        return torch.stack(losses).sum() / len(labels)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        for_hidden, for_weight = ctx.saved_tensors
        return for_hidden * grad[0], None if for_weight is None else for_weight * grad[0], None


def keep_products() -> Any:
    """Contexts of a selective checkpoint: attention and every other matrix product are kept, all else is made again.

    This is what torchtitan's selective option for single operators keeps.
    """
    products = Counter[bool]()

    def policy(context: Any, func: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        packet = getattr(func, "_overloadpacket", None)
        kept = "scaled_dot_product" in str(packet)
        if packet in (aten.mm, aten.addmm, aten.bmm, aten.baddbmm):
            products[context.is_recompute] += 1
            kept = products[context.is_recompute] % 2 == 1
        return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)  # type: ignore[no-untyped-call]
