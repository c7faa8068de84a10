"""The server's mean of the clients' deltas, uniform or weighted by numbers of examples; FedCyBGD's overwriting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from parasim_core.train.models.blocks import Values


def mean(deltas: Sequence[Mapping[str, Tensor]], weights: Sequence[float], discounts: Sequence[float]) -> Values:
    """Average updates: sum_i w_i d_i delta_i / sum_i w_i.

    Parameters
    ----------
    deltas : sequence of mapping of str to torch.Tensor
        One per client, under the same names.
    weights : sequence of float
        One per client, positive: all equal for a uniform mean, n_i for FedAvg's.
    discounts : sequence of float
        One per client: what its update is multiplied by without counting for less, as a stale one is.

    Returns
    -------
    dict of str to torch.Tensor
        float32. Summed in float64, so that N equal deltas have exactly themselves as their mean.
    """
    total = float(sum(weights))
    factors = [w * d for w, d in zip(weights, discounts, strict=True)]
    averaged: Values = {}
    for name, first in deltas[0].items():
        summed = torch.zeros_like(first, dtype=torch.float64)
        for delta, factor in zip(deltas, factors, strict=True):
            summed.add_(delta[name].to(torch.float64), alpha=float(factor))
        averaged[name] = (summed / total).to(torch.float32)
    return averaged


def overwriting(delta: Values, start: Values, replaced: Values) -> Values:
    """Tell what has to be added to the server's values to put those of a client in their place (FedCyBGD).

    Parameters
    ----------
    delta : values
        What the client changed.
    start : values
        What it began from: not the server's where it did not fetch these.
    replaced : values
        The server's.
    """
    if start is replaced:
        return delta
    return {name: start[name] - replaced[name] + value for name, value in delta.items()}


def root_mean_square(values: Mapping[str, Tensor]) -> float:
    """Root of the mean of the squares of all values, in float64."""
    squares = sum(float(value.to(torch.float64).square().sum()) for value in values.values())
    return math.sqrt(squares / sum(value.numel() for value in values.values()))
