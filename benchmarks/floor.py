"""The floor of a training step: the operations that it cannot avoid, at the rate that the device's matrix unit reaches.

No step of the same model on the same tokens can be faster without leaving out mathematics; how close a measured
step comes says what is left to gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from parasim_core.calibration.devices.operators import Operators, one_step

Product = tuple[int, int, int]
"""Sizes (rows, inner, columns) of one matrix product."""
_ATTENTION = "scaled_dot_product"


@dataclass(frozen=True)
class Timing:
    """How a product's rate is measured.

    Attributes
    ----------
    tries : int
        How often; the best counts.
    seconds : float
        How long a try multiplies without a break, at least [s].
    label : str
        The same in words.
    """

    tries: int
    seconds: float
    label: str


def timing_on(device: torch.device) -> Timing:
    """How the rate of a device is measured.

    A GPU lowers its clock within tenths of a second once its power is used up: training runs at the rate that it
    sustains. A CPU's is the best of several bursts: others on the machine can only slow it down.
    """
    if device.type == "cuda":
        return Timing(1, 0.5, "sustained over 0.5 s")
    return Timing(5, 0.02, "best of 5 bursts of 20 ms")


def unavoidable_flops(operators: Operators) -> float:
    """Operations of one step that no implementation of it can leave out.

    Parameters
    ----------
    operators : mapping of Operator to int
        As a trace of the trainer's own step counts them: nothing below the trained part has a backward pass, and
        no gradient is taken of what is frozen.

    Returns
    -------
    float
        All matrix products, and half of attention's: under a causal mask the other half is known to be zero.
    """
    step = one_step(operators)
    return sum(calls * one.flops * (0.5 if _ATTENTION in one.name else 1.0) for one, calls in step.items())


def matrix_products(model: nn.Module, tokens: int) -> list[Product]:
    """Products that the linear modules of a model need, once each.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    tokens : int
        Tokens per batch.

    Returns
    -------
    list of (int, int, int)
        Of every distinct shape of module: the forward pass, the gradient of its input and that of its weight.
    """
    found: dict[Product, None] = {}
    for module in model.modules():
        if isinstance(module, nn.Linear):
            inputs, outputs = module.in_features, module.out_features
            for product in ((tokens, inputs, outputs), (tokens, outputs, inputs), (outputs, tokens, inputs)):
                found[product] = None
    return list(found)


def matrix_rates(
    products: Iterable[Product], dtype: torch.dtype, device: torch.device, clock: Callable[[], float]
) -> dict[Product, float]:
    """Measure how fast a device multiplies matrices.

    Parameters
    ----------
    products : iterable of (int, int, int)
        Sizes.
    dtype : torch.dtype
        Of both factors and the result.
    device : torch.device
        Where.
    clock : callable
        Time once the device has done all that it was given [s].

    Returns
    -------
    dict of (int, int, int) to float
        Operations per second [1/s], measured as `timing_on` says.
    """
    rates, timing = {}, timing_on(device)
    for rows, inner, columns in products:
        # As `nn.Linear` keeps its weight: one factor is read transposed.
        left = torch.randn(rows, inner, device=device, dtype=dtype)
        right = torch.randn(columns, inner, device=device, dtype=dtype)
        seconds = min(_seconds(left, right, clock, timing.seconds) for _ in range(timing.tries))
        rates[rows, inner, columns] = 2.0 * rows * inner * columns / seconds
    return rates


def _seconds(left: Any, right: Any, clock: Callable[[], float], least: float) -> float:
    """Seconds of one product, averaged over as many as take a while [s]."""
    left @ right.T
    count = 1
    while True:
        began = clock()
        for _ in range(count):
            left @ right.T
        seconds = clock() - began
        if seconds >= least:
            return seconds / count
        count *= 2
