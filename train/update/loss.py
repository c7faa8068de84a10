"""The loss that is trained on: the model's own, in mixed precision or with a head that sees a few tokens at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from parasim_core.train.data.evaluate import IGNORED, evaluating, model_loss
from parasim_core.train.data.task import Batch
from parasim_core.train.models.building import ModelError

Loss = Callable[[nn.Module, Batch], Tensor]
CHUNK = 1024
"""Tokens whose logits exist at once in a chunked head."""
_TRIED = 8
_MAGNIFIED = 1000.0
_AGREES = 0.01
"""Relative difference of two losses that rounding to bfloat16 explains."""


def training_loss(*, chunked: bool = False, mixed: bool = False) -> Loss:
    """Choose the loss.

    Parameters
    ----------
    chunked : bool
        Whether a language model's head and cross entropy see `CHUNK` tokens at a time (`chunked_loss`).
    mixed : bool
        Whether matrix products are in bfloat16, whatever the weights are in (PyTorch's autocast).

    Returns
    -------
    callable
        Mean loss of a model on a batch, which other processes can be sent.
    """
    loss = chunked_loss if chunked else model_loss
    return Mixed(loss) if mixed else loss


@dataclass(frozen=True)
class Mixed:
    """A loss in mixed precision.

    Attributes
    ----------
    loss : callable
        In the precision of the weights.
    """

    loss: Loss

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean loss of a model on a batch."""
        with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
            return self.loss(model, batch)


def chunked_loss(model: Any, batch: Batch) -> Tensor:
    """Mean loss of a language model whose head and cross entropy see `CHUNK` tokens at a time.

    The same loss and gradients as the model's own, to rounding; but logits, and their gradient, never exist of more
    tokens. In exchange the gradient is made in the forward pass, for a loss that nothing is done to but scaling.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model, whose head is one matrix (`check_chunked`).
    batch : mapping of str to torch.Tensor
        Token ids, labels and what else its forward pass takes, of shape (batch, tokens); moved to the model's device.

    Returns
    -------
    torch.Tensor
        A scalar on the model's device.
    """
    head = model.get_output_embeddings().weight
    own = {name: tensor.to(head.device) for name, tensor in batch.items()}
    labels = own.pop("labels")
    hidden = model.base_model(**own)[0][:, :-1].flatten(0, 1)
    loss: Tensor = _ChunkedHead.apply(hidden, head, labels[:, 1:].flatten())  # type: ignore[no-untyped-call]
    return loss


def check_chunked(model: Any) -> None:
    """Make sure that a chunked head computes what the model does.

    Parameters
    ----------
    model : torch.nn.Module
        The model.

    Raises
    ------
    ModelError
        If it has no such head: none at all, one with a bias, or one that bounds or scales its logits.
    """
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    refused = f"train.loss: chunked is not possible with {type(model).__name__}, allowed is full: "
    if not isinstance(head, nn.Linear) or head.bias is not None:
        raise ModelError(f"{refused}its head is not one matrix")
    tokens = torch.arange(2 * _TRIED, device=head.weight.device).view(2, -1) % head.out_features
    batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": tokens}
    large: list[Tensor] = []

    def magnify(_: nn.Module, __: Any, logits: Tensor) -> Tensor:
        # Small ones, as of random weights, would not show a bound.
        large.append(logits * _MAGNIFIED)
        return large[0]

    with evaluating(model):
        losses = [(model_loss(model, batch), chunked_loss(model, batch))]
        with head.register_forward_hook(magnify):
            own = model_loss(model, batch)
        expected = nn.functional.cross_entropy(large[0][:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())
        losses.append((own, expected))
    if not all(torch.isclose(one.float(), other.float(), rtol=_AGREES) for one, other in losses):
        raise ModelError(f"{refused}it does more to its logits than its head")


class _ChunkedHead(torch.autograd.Function):
    """Head and cross entropy, whose gradients are made in the forward pass, chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        # Under autocast, weights are wider than what comes out of the layers.
        weight, ctx.precision = head.to(hidden.dtype), head.dtype
        for_hidden = torch.empty_like(hidden)
        for_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        predicted = (labels != IGNORED).sum()
        losses = []
        pieces = zip(*(torch.split(whole, CHUNK) for whole in (hidden, labels, for_hidden)), strict=True)
        for piece, answers, gradient in pieces:
            logits = (piece @ weight.t()).float()
            losses.append(nn.functional.cross_entropy(logits, answers, ignore_index=IGNORED, reduction="sum"))
            # A row that predicts nothing has no gradient: taken away where rows are short.
            seen = (answers != IGNORED).to(piece.dtype)[:, None]
            right = answers.clamp(min=0)[:, None]
            wrong = logits.softmax(-1).scatter_add_(1, right, -torch.ones_like(logits[:, :1])).to(weight.dtype)
            gradient.copy_((wrong @ weight).mul_(seen))
            if for_weight is not None:
                for_weight.add_(wrong.t() @ (piece * seen))
        ctx.save_for_backward(for_hidden, for_weight, predicted)
        return torch.stack(losses).sum() / predicted

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        for_hidden, for_weight, predicted = ctx.saved_tensors
        share = grad[0] / predicted
        return for_hidden * share, None if for_weight is None else (for_weight * share).to(ctx.precision), None
