"""How long a GPU is busy with one operator: matrix products by tiles and waves, all else by memory traffic.

Constants are fitted to measurements of single operators, or published; none is fitted to a training step.
docs/appendices/devices.md has the residuals, which `benchmarks/operators.py` prints, and what was chosen after
steps were seen.
"""

from __future__ import annotations

import math

from parasim_core.calibration.devices.catalogue import CatalogueDevice
from parasim_core.calibration.devices.operators import Operator, Phase
from parasim_core.sim.errors import CostError

TILES = ((128, 128), (64, 64))
"""Rows and columns of the result that one multiprocessor computes at a time, in ordinary units."""
TENSOR_TILES = ((128, 256), (256, 128), (128, 128), (64, 64))
"""The same in matrix units, which have larger ones."""
TILE_LATENCY = 4e-6
"""Before a tile's first product and after its last, while a multiprocessor multiplies nothing [s]."""
PRODUCT_BANDWIDTH = 0.6
"""Share of the bandwidth that matrix products reach which are bound by it."""
ELEMENTWISE_BANDWIDTH = 0.85
"""Share of the bandwidth that elementwise operators reach."""
REDUCTION_BANDWIDTH = 0.65
"""Share of the bandwidth that norms, softmax and their gradients reach."""
CACHE_SHARE = 0.5
"""Share of the cache below which an operator finds there what the one before left: an A100's has two halves, and data
that both read lie in either (NVIDIA A100 whitepaper, 2020)."""
CACHE_SPEED = 3.5
"""How much faster the cache is than the memory: an A100's L2 reads 5120 B a clock, 7.2e12 B/s, beside 2.04e12 B/s of
its memory (the same)."""
REACHED = {"geforce": 1.0, "workstation": 0.7, "low-power": 0.45, "jetson": 0.7, "apple": 0.7}
"""Share of the printed matrix rate that large products reach where nobody has published what a device's own do.
GeForce: all of it, as they run above the printed clock; whole steps reach 80 to 90 %. The others by assumption, 80 %
if not named."""
MOST_REACHED = 0.95
"""Median rate of large products, of the largest rate that anyone found: float32 on A100, H100 and V100."""
ATTENTION = 0.615
"""Share of the printed matrix rate that fused attention reaches going forward: the middle of the 50 to 73 % of
FlashAttention-2 on an A100 (Dao 2023, abstract)."""
ATTENTION_ON_HOPPER = 0.35
"""The same of the same kernel from Hopper on (FlashAttention-3, Shah and others 2024, abstract)."""
ATTENTION_BACKWARD = 63 / 73
"""How fast its backward pass is beside that: the best of either on an A100 (Dao 2023)."""
SINCE_HOPPER = ("h100", "h200", "b200")
HALF = ("bfloat16", "float16")
_REDUCTIONS = ("softmax", "layer_norm", "rms_norm", "mean", "sum", "nll_loss", "logsumexp", "norm")


def matrix_rate(device: CatalogueDevice, precision: str) -> float:
    """Rate of large matrix products [1/s]: measured, or the share of the printed one that the class reaches.

    Raises
    ------
    CostError
        If the device has no rate for the precision.
    """
    if precision not in device.operations_per_second:
        known = " and ".join(device.operations_per_second)
        raise CostError(f"device {device.name} has no rate for {precision}; the catalogue knows {known}")
    if precision in device.achievable:
        return device.achievable[precision] * MOST_REACHED
    return device.operations_per_second[precision] * REACHED.get(device.kind, 0.8)


def seconds(operator: Operator, device: CatalogueDevice) -> float:
    """Time that one call keeps a device busy [s].

    Parameters
    ----------
    operator : Operator
        What runs.
    device : CatalogueDevice
        Where.

    Raises
    ------
    CostError
        If the device has no rate for a precision in which there is something to multiply.
    """
    if not operator.flops:
        share = REDUCTION_BANDWIDTH if _reduces(operator) else ELEMENTWISE_BANDWIDTH
        # The update's weights and moments were last seen a step ago.
        cached = operator.phase is not Phase.OPTIMIZER and operator.traffic < CACHE_SHARE * device.cache
        return device.launch + operator.traffic / (share * device.bandwidth * (CACHE_SPEED if cached else 1.0))
    rate = device.sustained * matrix_rate(device, operator.precision)
    if "scaled_dot_product" in operator.name:
        computing = operator.flops / _attention_rate(operator, device)
    elif operator.shape and device.processors:
        computing = _tiled(operator, rate, device.processors)
    else:
        computing = operator.flops / rate
    return device.launch + max(computing, operator.traffic / (PRODUCT_BANDWIDTH * device.bandwidth))


def _attention_rate(operator: Operator, device: CatalogueDevice) -> float:
    """Rate of fused attention [1/s]: a share of the printed one, and no more than products reach."""
    share = ATTENTION_ON_HOPPER if device.name.startswith(SINCE_HOPPER) else ATTENTION
    backward = ATTENTION_BACKWARD if "backward" in operator.name else 1.0
    printed = share * device.operations_per_second[operator.precision]
    return backward * device.sustained * min(printed, matrix_rate(device, operator.precision))


def _tiled(operator: Operator, rate: float, processors: int) -> float:
    """Time of a matrix product whose tiles are dealt out in waves, by the tiles that suit it best [s]."""
    batch, rows, columns, inner = operator.shape
    times = []
    for high, wide in TENSOR_TILES if operator.precision in HALF else TILES:
        waves = math.ceil(batch * math.ceil(rows / high) * math.ceil(columns / wide) / processors)
        times.append(waves * (2 * high * wide * inner * processors / rate + TILE_LATENCY))
    return min(times)


def _reduces(operator: Operator) -> bool:
    return operator.phase is not Phase.OPTIMIZER and any(word in operator.name for word in _REDUCTIONS)
