"""The floor of a step: unavoidable operations and the rate of matrix products, by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from benchmarks.floor import matrix_products, matrix_rates, timing_on, unavoidable_flops
from parasim_core.calibration.devices.operators import Operator, Phase
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
from parasim_core.sim.workload.blocks import partition
from parasim_core.sim.workload.methods import Trains


def test_half_of_attention_and_nothing_that_comes_once():
    product = Operator("aten.mm", Phase.FORWARD, "float32", 100, 0)
    attention = Operator("aten._scaled_dot_product_flash_attention", Phase.BACKWARD, "float32", 40, 0)
    once = Operator("aten.mm", Phase.PREPARATION, "float32", 7, 0)
    assert unavoidable_flops({product: 3, attention: 2, once: 5}) == 3 * 100 + 2 * 40 / 2


def test_a_block_at_the_top_has_a_lower_floor():
    shapes = ShapeModel("demo", "float32")
    bottom, *_, top = partition(shapes.architecture, 1)
    floors = [
        unavoidable_flops(shapes.trace(TracedStep(Trains.BLOCK, block, 2, 16)).operators) for block in (bottom, top)
    ]
    # 2 operations a weight and token forward, and below that nothing can go.
    forward = 2 * 32 * shapes.architecture.layer_parameters
    assert floors[0] > floors[1] > forward


def test_products_of_every_shape_once():
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 2))
    expected = [(7, 3, 5), (7, 5, 3), (5, 7, 3), (7, 5, 2), (7, 2, 5), (2, 7, 5)]
    assert matrix_products(model, 7) == expected


def test_a_gpus_rate_is_what_it_sustains(monkeypatch: pytest.MonkeyPatch):
    # Half a second at least, once: products of 1/16 s are repeated 1, 2, 4 and 8 times. A CPU's are 5 bursts of 20 ms,
    # for which one such product is enough.
    draw = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *sizes, device, dtype: draw(*sizes, dtype=dtype))
    for device, products in (("cuda", 1 + 1 + 2 + 4 + 8), ("cpu", 5 * 2)):
        done: list[float] = []

        def multiply(left: torch.Tensor, right: torch.Tensor, done: list[float] = done) -> torch.Tensor:
            done.append(1 / 16)
            return left

        monkeypatch.setattr(torch.Tensor, "__matmul__", multiply)
        rates = matrix_rates([(4, 8, 16)], torch.float32, torch.device(device), lambda done=done: sum(done))
        assert len(done) == products
        assert rates == {(4, 8, 16): pytest.approx(2 * 4 * 8 * 16 * 16)}
    assert timing_on(torch.device("cuda")).label == "sustained over 0.5 s"
    assert "bursts" in timing_on(torch.device("cpu")).label


def test_a_rate_is_operations_over_seconds():
    # A clock that goes on by a second whenever it is read: a product takes 1 s, and has 2 x 4 x 8 x 16 operations.
    ticks = itertools.count()
    rates = matrix_rates([(4, 8, 16)], torch.float32, torch.device("cpu"), lambda: float(next(ticks)))
    assert rates == {(4, 8, 16): pytest.approx(2 * 4 * 8 * 16)}
