"""The roofline by hand, its bounds on random operators, and the catalogue's figures."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.devices.catalogue import (
    SCALING_BAND,
    SUSTAINED,
    CatalogueDevice,
    device,
    known_devices,
    predict,
    roofline,
    scale,
)
from calibration.devices.operators import Operator, Phase
from sim.errors import CostError

SLOW = CatalogueDevice("slow", 1e9, "float32", 1e9, 1e-6, {"float32": 1e9, "bfloat16": 4e9}, "made up")


def call(flops: int, traffic: int, precision: str = "float32") -> Operator:
    return Operator("aten.mm", Phase.FORWARD, precision, flops, traffic)


def test_an_operator_takes_the_longest_of_three_times() -> None:
    # 2e9 operations at 1e9/s: 2 s. 3e9 B at 1e9 B/s: 3 s. Nearly nothing: one launch of 1 us.
    assert roofline({call(2_000_000_000, 1): 1}, SLOW) == pytest.approx(2.0)
    assert roofline({call(2_000_000_000, 3_000_000_000): 1}, SLOW) == pytest.approx(3.0)
    assert roofline({call(0, 8): 1000}, SLOW) == pytest.approx(1e-3)
    # bfloat16 multiplies four times as fast; half the share takes twice as long, a launch as long as ever.
    assert roofline({call(2_000_000_000, 1, "bfloat16"): 1}, SLOW) == pytest.approx(0.5)
    assert roofline({call(2_000_000_000, 1): 1, call(0, 8): 1}, SLOW, share=0.5) == pytest.approx(4.0 + 1e-6)


def test_a_measured_time_scales_by_the_ratio_of_the_rooflines() -> None:
    # Bound by compute, a device of twice the rate takes half the measured 10 s; the band is a factor either way.
    fast = dataclasses.replace(SLOW, name="fast", operations_per_second={"float32": 2e9})
    work = {call(2_000_000_000, 1): 1}
    scaled = scale(10.0, (work, SLOW), (work, fast))
    assert scaled.seconds == pytest.approx(5.0)
    assert (scaled.low, scaled.high) == pytest.approx((5.0 / SCALING_BAND, 5.0 * SCALING_BAND))
    assert scaled.origin == "extrapolated"
    assert "measured on slow, scaled to fast" in scaled.source


operators = st.dictionaries(
    st.builds(call, st.integers(0, 10**12), st.integers(0, 10**10), st.sampled_from(["float32", "bfloat16"])),
    st.integers(1, 50),
    min_size=1,
    max_size=20,
)


@given(operators, st.sampled_from(known_devices()))
def test_the_band_holds_the_guess_and_begins_at_the_roofline(work: dict[Operator, int], name: str) -> None:
    guess = predict(work, device(name))
    assert guess.low <= guess.seconds <= guess.high
    assert guess.low == roofline(work, device(name))
    assert guess.seconds <= guess.low / SUSTAINED * (1 + 1e-12)
    assert guess.origin == "extrapolated"


@given(operators, operators, st.sampled_from(known_devices()))
def test_rooflines_add_up(first: dict[Operator, int], second: dict[Operator, int], name: str) -> None:
    both = {key: first.get(key, 0) + second.get(key, 0) for key in {*first, *second}}
    own = device(name)
    assert roofline(both, own) == pytest.approx(roofline(first, own) + roofline(second, own), rel=1e-9)


@given(operators, st.sampled_from(known_devices()), st.sampled_from(known_devices()), st.floats(1e-3, 1e3))
def test_scaling_there_and_back_changes_nothing(
    work: dict[Operator, int], here: str, there: str, seconds: float
) -> None:
    away = scale(seconds, (work, device(here)), (work, device(there))).seconds
    assert scale(away, (work, device(there)), (work, device(here))).seconds == pytest.approx(seconds, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "bandwidth", "rate"),
    [
        ("a100-40gb", 1555e9, 312e12),
        ("a100-80gb", 2039e9, 312e12),
        ("h100", 3.35e12, 989.5e12),
        ("h200", 4.8e12, 989.5e12),
        ("l40s", 864e9, 362.05e12),
        ("rtx-4090", 1008e9, 165.2e12),
    ],
)
def test_figures_of_the_datasheets(name: str, bandwidth: float, rate: float) -> None:
    own = device(name.upper())
    assert (own.bandwidth, own.operations_per_second["bfloat16"]) == (bandwidth, rate)


# What boards are sold by is not what they have: `nvidia-smi --query-gpu=memory.total`, and the RAM of `tegrastats`,
# both in MiB.
REPORTED = {
    "a100-40gb": 40_960,
    "a100-80gb": 81_920,
    "h100": 81_559,
    "h200": 143_771,
    "l40s": 46_068,
    "rtx-4090": 24_564,
    "jetson-agx-orin": 62_841,
}


@pytest.mark.parametrize(("name", "mebibytes"), REPORTED.items())
def test_memory_is_what_the_device_reports(name: str, mebibytes: int) -> None:
    assert device(name).memory == mebibytes * 2**20
    assert device(name).memory_source.startswith(("nvidia-smi", "tegrastats"))


def test_memory_that_no_tool_reports_is_in_binary_units_too() -> None:
    for name in known_devices():
        assert device(name).memory % 2**20 == 0
        assert len(device(name).memory_source) > 20


@pytest.mark.parametrize("name", known_devices())
def test_every_device_is_complete_and_has_a_source(name: str) -> None:
    own = device(name)
    assert min(own.memory, own.bandwidth, own.launch, *own.operations_per_second.values()) > 0
    assert own.precision in own.operations_per_second
    assert len(own.source) > 20


def test_a_family_means_its_smallest_member_and_a_stranger_is_refused() -> None:
    assert device("a100").name == "a100-40gb"
    with pytest.raises(CostError, match="did you mean 'h100'"):
        device("h1000")
    with pytest.raises(CostError, match="float16"):
        roofline({call(1, 1, "float16"): 1}, device("h100"))
    for seconds in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(CostError):
            scale(seconds, ({}, SLOW), ({}, SLOW))


@pytest.mark.parametrize(("name", "found"), [("RTX 4090", "rtx-4090"), ("Jetson_AGX  Orin", "jetson-agx-orin")])
def test_spaces_hyphens_and_capitals_are_spelling(name: str, found: str) -> None:
    assert device(name).name == found


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        # As drivers call them.
        ("NVIDIA A100-SXM4-80GB", "did you mean 'a100-80gb'?"),
        ("NVIDIA H100 80GB HBM3", "did you mean 'h100'?"),
        ("NVIDIA GeForce RTX 4090", "did you mean 'rtx-4090'?"),
        ("rtx-4080", "did you mean 'rtx-4090'?"),
        ("nonsense", "allowed are a100-40gb, "),
        ("", "allowed are a100-40gb, "),
    ],
)
def test_a_stranger_is_told_what_was_probably_meant(name: str, hint: str) -> None:
    with pytest.raises(CostError, match="paraSim list devices") as error:
        device(name)
    assert hint in str(error.value)
