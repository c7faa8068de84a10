"""The batches of one optimizer step, each weighted by what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from parasim_core.train.data.evaluate import predictions


class Share(NamedTuple):
    """A batch of a step.

    Attributes
    ----------
    batch : dict of str to torch.Tensor
        The batch, on the device.
    weight : torch.Tensor or None
        Share of the step's predictions that are this batch's; None if they all are.
    """

    batch: dict[str, Tensor]
    weight: Tensor | None


def weighted(batches: Sequence[dict[str, Tensor]]) -> list[Share]:
    """Weigh batches, so that the sum of their mean losses is the mean over all that they predict."""
    # Counts stay on the device: to read them would be to wait for it.
    counts = [predictions(batch) for batch in batches]
    total = torch.stack(counts).sum()
    return [Share(batch, count / total) for batch, count in zip(batches, counts, strict=True)]
