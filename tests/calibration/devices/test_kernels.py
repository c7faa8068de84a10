"""Operators on a device by hand: tiles and waves, bandwidth, attention, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from parasim_core.calibration.devices.catalogue import CatalogueDevice, device
from parasim_core.calibration.devices.kernels import (
    CACHE_SPEED,
    ELEMENTWISE_BANDWIDTH,
    MOST_REACHED,
    PRODUCT_BANDWIDTH,
    REDUCTION_BANDWIDTH,
    TILE_LATENCY,
    matrix_rate,
    seconds,
)
from parasim_core.calibration.devices.operators import Operator, Phase
from parasim_core.sim.errors import CostError

RATES = {"float32": 1e12, "bfloat16": 4e12}
# What somebody found at best is as much above these rates as large products stay below it.
BEST = {precision: rate / MOST_REACHED for precision, rate in RATES.items()}
GPU = CatalogueDevice("gpu", 1e9, "float32", 1e9, 1e-6, RATES, "made up", processors=10, achievable=BEST)


def product(rows: int, columns: int, inner: int, precision: str = "float32", batch: int = 1) -> Operator:
    return Operator(
        "aten.mm", Phase.FORWARD, precision, 2 * batch * rows * columns * inner, 0, (batch, rows, columns, inner)
    )


def test_a_product_takes_as_many_waves_as_its_tiles_need() -> None:
    # 1280 x 128 are ten tiles of 128 x 128, one for each of ten processors: one wave. A processor does 1e11 operations
    # a second, a tile 2 x 128 x 128 x 1000 = 32.768e6 of them: 327.68 us, and 4 us around it. Launched in 1 us.
    wave = 2 * 128 * 128 * 1000 / 1e11 + TILE_LATENCY
    assert seconds(product(1280, 128, 1000), GPU) == pytest.approx(wave + 1e-6)
    # One row more is another tile, and another wave for it alone; in tiles of 64 x 64, 42 of a quarter of the work are
    # five waves, which is shorter.
    quarter = 2 * 64 * 64 * 1000 / 1e11 + TILE_LATENCY
    assert seconds(product(1281, 128, 1000), GPU) == pytest.approx(5 * quarter + 1e-6)
    # Ten alike matrices are ten times the tiles.
    assert seconds(product(1280, 128, 1000, batch=10), GPU) == pytest.approx(10 * wave + 1e-6)


def test_a_product_of_one_row_is_bound_by_reading_its_matrix() -> None:
    # 4 MB at 60 % of 1 GB/s are 6.67 ms; computing it takes far less.
    thin = Operator("aten.mm", Phase.FORWARD, "float32", 2_000_000, 4_000_000, (1, 1, 1000, 1000))
    assert seconds(thin, GPU) == pytest.approx(4e6 / (PRODUCT_BANDWIDTH * 1e9) + 1e-6)


def test_everything_else_is_bound_by_its_traffic() -> None:
    added = Operator("aten.add", Phase.FORWARD, "bfloat16", 0, 1_000_000)
    normed = Operator("aten.native_layer_norm", Phase.FORWARD, "bfloat16", 0, 1_000_000)
    assert seconds(added, GPU) == pytest.approx(1e6 / (ELEMENTWISE_BANDWIDTH * 1e9) + 1e-6)
    assert seconds(normed, GPU) == pytest.approx(1e6 / (REDUCTION_BANDWIDTH * 1e9) + 1e-6)


def test_what_half_the_cache_holds_is_not_fetched_from_memory() -> None:
    # 1 MB lies in half a cache of 4 MB, 2 MB do not; what an update reads was last seen a step ago.
    cached = dataclasses.replace(GPU, cache=4e6)
    added = Operator("aten.add", Phase.FORWARD, "bfloat16", 0, 1_000_000)
    assert seconds(added, cached) == pytest.approx(1e6 / (CACHE_SPEED * ELEMENTWISE_BANDWIDTH * 1e9) + 1e-6)
    twice = dataclasses.replace(added, traffic=2_000_000)
    assert seconds(twice, cached) == pytest.approx(2e6 / (ELEMENTWISE_BANDWIDTH * 1e9) + 1e-6)
    update = dataclasses.replace(added, phase=Phase.OPTIMIZER)
    assert seconds(update, cached) == seconds(update, GPU)


def test_a_card_whose_power_does_not_last_multiplies_slower_and_moves_as_much() -> None:
    # One wave of 327.68 us at the full rate and 4 us around it; at half the rate 655.36 us and 4 us.
    weak = dataclasses.replace(GPU, sustained=0.5)
    wave = 2 * 2 * 128 * 128 * 1000 / 1e11 + TILE_LATENCY
    assert seconds(product(1280, 128, 1000), weak) == pytest.approx(wave + 1e-6)
    attention = Operator("aten._scaled_dot_product_flash_attention", Phase.FORWARD, "bfloat16", 10**9, 0)
    assert seconds(attention, weak) - 1e-6 == pytest.approx(2 * (seconds(attention, GPU) - 1e-6))
    added = Operator("aten.add", Phase.FORWARD, "bfloat16", 0, 1_000_000)
    assert seconds(added, weak) == seconds(added, GPU)


def test_attention_reaches_a_share_of_the_printed_rate() -> None:
    # bfloat16, printed 4e12/s: forward 61.5 % of it; backward 63/73 of that; 35 % on Hopper, however it is called.
    forward = Operator("aten._scaled_dot_product_flash_attention", Phase.FORWARD, "bfloat16", 10**9, 0, (1, 64, 64, 64))
    backward = dataclasses.replace(forward, name=f"{forward.name}_backward", phase=Phase.BACKWARD)
    assert seconds(forward, GPU) == pytest.approx(1e9 / (0.615 * 4e12) + 1e-6)
    assert seconds(backward, GPU) == pytest.approx(1e9 / (0.615 * 4e12 * 63 / 73) + 1e-6)
    hopper = dataclasses.replace(GPU, name="h100-pcie")
    assert seconds(forward, hopper) == pytest.approx(1e9 / (0.35 * 4e12) + 1e-6)


def test_a_rate_is_measured_or_the_share_that_its_class_reaches() -> None:
    # 271 of 312e12 measured at best, of which large products reach 95 %: 257e12; a GeForce reaches what is printed.
    assert matrix_rate(device("a100-80gb"), "bfloat16") == pytest.approx(271e12 * 0.95)
    assert matrix_rate(device("rtx-4090"), "bfloat16") == pytest.approx(165.2e12)
    with pytest.raises(CostError, match="no rate for float8"):
        matrix_rate(device("a100-80gb"), "float8_e4m3fn")
