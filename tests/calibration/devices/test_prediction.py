"""A step's time by hand: GPU or CPU, whichever is longer, links between GPUs, and times carried over."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.calibration.devices.catalogue import CatalogueDevice, device, known_devices
from parasim_core.calibration.devices.kernels import seconds
from parasim_core.calibration.devices.operators import Operator, Phase
from parasim_core.calibration.devices.prediction import (
    HOST,
    HOST_COMPILED,
    SCALING_BAND,
    UNKNOWN_BAND,
    exchanging,
    predict,
    repeated,
    scale,
    step_seconds,
)
from parasim_core.calibration.memory.recipe import Recipe
from parasim_core.calibration.memory.together import Together
from parasim_core.sim.errors import CostError

SLOW = CatalogueDevice(
    "slow", 1e9, "float32", 1e9, 1e-6, {"float32": 1e9, "bfloat16": 4e9}, "made up", kind="cpu", link=1e9
)


def call(flops: int, traffic: int, precision: str = "float32", phase: Phase = Phase.FORWARD) -> Operator:
    return Operator("aten.mm" if flops else "aten.add", phase, precision, flops, traffic)


def test_a_step_is_as_long_as_gpu_or_cpu_need() -> None:
    # Ten products of 1e9 operations keep the device busy for 12.5 s (80 % of 1e9/s); a million tiny operators keep the
    # CPU busy for 20 s, with a launch of 1 us each on the device.
    assert step_seconds({call(10**9, 0): 10}, SLOW) == pytest.approx(10 * (1e9 / 0.8e9 + 1e-6))
    assert step_seconds({call(0, 0): 1_000_000}, SLOW) == pytest.approx(1e6 * HOST)
    compiled = step_seconds({call(0, 0): 1_000_000}, SLOW, Recipe(master=False, kernels="compiled"))
    assert compiled == pytest.approx(1e6 * HOST_COMPILED)


def test_gpus_that_share_weights_out_update_a_share_each() -> None:
    update = {call(0, 850_000_000, phase=Phase.OPTIMIZER): 1}
    # 0.85e9 B at 85 % of 1e9 B/s: one second, of which each of four GPUs takes a quarter.
    assert step_seconds(update, SLOW) == pytest.approx(1.0, rel=1e-5)
    assert step_seconds(update, SLOW, Recipe(gpus=4, sharded=True)) == pytest.approx(0.25, rel=1e-5)


def test_what_gpus_send_each_other_is_waited_for() -> None:
    # Four GPUs send 3/4 of everything over a link that carries 0.82e9 B/s of its 1e9. Data parallel: 2e9 B of
    # gradients, reduced and gathered.
    assert exchanging(Together(4, reduced=2 * 10**9), SLOW) == pytest.approx(3.0 / 0.82)
    # Sharded: weights of 2e9 B gathered twice, gradients of 4e9 B reduced once, for each of two batches.
    sharded = Together(4, sharded=True, gathered=2 * 10**9, reduced=4 * 10**9)
    assert exchanging(sharded, SLOW, 2) == pytest.approx(2 * 6.0 / 0.82)
    assert predict({}, SLOW, Recipe(gpus=4, sharded=True), sharded).seconds == pytest.approx(6.0 / 0.82)
    assert exchanging(Together(), SLOW) == 0.0


def test_gpus_beyond_a_machine_send_as_much_as_eight() -> None:
    # Links from machine to machine are not known: 7/8, and not 15/16.
    assert exchanging(Together(16, reduced=8 * 10**8), SLOW) == pytest.approx(1.4 / 0.82)


def test_devices_without_a_link_do_not_train_together() -> None:
    with pytest.raises(CostError, match="device slow has no link to another one"):
        exchanging(Together(2, reduced=1), dataclasses.replace(SLOW, link=0.0))


def test_more_batches_repeat_the_passes_and_not_the_update() -> None:
    once = {call(1, 0): 2, call(1, 0, phase=Phase.OPTIMIZER): 1, call(1, 0, phase=Phase.PREPARATION): 1}
    assert repeated(once, 4) == {call(1, 0): 8, call(1, 0, phase=Phase.OPTIMIZER): 1}


def test_a_measured_time_scales_by_the_ratio_of_the_predictions() -> None:
    # Bound by compute, a device of twice the rate takes half the measured 10 s; the band is a factor either way.
    fast = dataclasses.replace(SLOW, name="fast", operations_per_second={"float32": 2e9}, launch=5e-7)
    work = {call(2_000_000_000, 1): 1}
    scaled = scale(10.0, (work, SLOW), (work, fast))
    assert scaled.seconds == pytest.approx(5.0)
    # Nobody has published rows of CPUs; of servers and GeForce somebody has.
    assert (scaled.low, scaled.high) == pytest.approx((5.0 / UNKNOWN_BAND, 5.0 * UNKNOWN_BAND))
    server, card = (dataclasses.replace(SLOW, kind=kind) for kind in ("server", "geforce"))
    between = scale(10.0, (work, server), (work, card))
    assert between.high == pytest.approx(SCALING_BAND * between.seconds)
    assert scaled.origin == "extrapolated"
    assert "measured on slow, scaled to fast" in scaled.source
    for impossible in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(CostError):
            scale(impossible, ({}, SLOW), ({}, SLOW))


operators = st.dictionaries(
    st.builds(call, st.integers(0, 10**12), st.integers(0, 10**10), st.sampled_from(["float32", "bfloat16"])),
    st.integers(1, 50),
    min_size=1,
    max_size=20,
)


@given(operators, st.sampled_from(known_devices()))
def test_no_step_beats_the_vendors_figures_and_the_band_holds_the_guess(work: dict[Operator, int], name: str) -> None:
    own, guess = device(name), predict(work, device(name))
    # What the cache can hold may never have come from memory.
    least = sum(
        calls * max(one.flops / own.operations_per_second[one.precision], (one.traffic - own.cache) / own.bandwidth)
        for one, calls in work.items()
    )
    assert least <= guess.seconds
    assert guess.low <= guess.seconds <= guess.high
    assert guess.origin == "extrapolated"


@given(operators, operators, st.sampled_from(known_devices()))
def test_what_keeps_a_device_busy_adds_up(first: dict[Operator, int], second: dict[Operator, int], name: str) -> None:
    own = device(name)
    both = {key: first.get(key, 0) + second.get(key, 0) for key in {*first, *second}}
    parts = [sum(calls * seconds(one, own) for one, calls in work.items()) for work in (first, second, both)]
    assert parts[2] == pytest.approx(parts[0] + parts[1], rel=1e-9)


@given(operators, st.sampled_from(known_devices()), st.sampled_from(known_devices()), st.floats(1e-3, 1e3))
def test_scaling_there_and_back_changes_nothing(
    work: dict[Operator, int], here: str, there: str, measured: float
) -> None:
    away = scale(measured, (work, device(here)), (work, device(there))).seconds
    assert scale(away, (work, device(there)), (work, device(here))).seconds == pytest.approx(measured, rel=1e-9)
