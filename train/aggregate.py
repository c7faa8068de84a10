"""The server's mean of the clients' deltas, uniform or weighted by their numbers of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from train.blocks import Values


def mean(deltas: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> Values:
    """Average updates: sum_i w_i delta_i / sum_i w_i.

    Parameters
    ----------
    deltas : sequence of mapping of str to torch.Tensor
        One per client, under the same names.
    weights : sequence of float
        One per client, positive: all equal for a uniform mean, n_i for FedAvg's.

    Returns
    -------
    dict of str to torch.Tensor
        float32. Summed in float64, so that N equal deltas have exactly themselves as their mean.
    """
    total = float(sum(weights))
    averaged: Values = {}
    for name, first in deltas[0].items():
        summed = torch.zeros_like(first, dtype=torch.float64)
        for delta, weight in zip(deltas, weights, strict=True):
            summed.add_(delta[name].to(torch.float64), alpha=float(weight))
        averaged[name] = (summed / total).to(torch.float32)
    return averaged
