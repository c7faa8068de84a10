"""The catalogue's figures, and how a device is found by its name."""

from __future__ import annotations

import pytest

from parasim_core.calibration.devices.catalogue import as_driver_says, device, family, known_devices
from parasim_core.sim.errors import CostError


@pytest.mark.parametrize(
    ("name", "bandwidth", "rate"),
    [
        ("a100-40gb", 1555e9, 312e12),
        ("a100-80gb", 2039e9, 312e12),
        ("h100", 3.35e12, 989.5e12),
        ("h200", 4.8e12, 989.5e12),
        ("l40s", 864e9, 362.05e12),
        ("rtx-4090", 1008e9, 165.2e12),
        # Two operations a clock by each core in float32, twice that in bfloat16: 4 x 10,496 cores x 1.695 GHz = 71.16.
        ("rtx-3090", 936e9, 71.16e12),
        # 4 x 21,760 cores x 2.407 GHz = 209.5.
        ("rtx-5090", 1792e9, 209.5e12),
        ("rtx-a6000", 768e9, 154.8e12),
        ("l4", 300e9, 121e12),
        ("mi300x", 5300e9, 1307.4e12),
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
    "h100-nvl": 95_830,
    "b200": 183_359,
    "v100-pcie-32gb": 32_768,
    "a10g": 23_028,
    "l4": 23_034,
    "t4": 15_360,
    "rtx-a6000": 49_140,
    "rtx-6000-ada": 49_140,
    "rtx-3060": 12_288,
    "rtx-3090": 24_576,
    "rtx-4070-ti-super": 16_376,
    "rtx-4090": 24_564,
    "rtx-5090": 32_607,
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
    # Whatever is there beside the vendor's figures says whose it is, and no measured rate is above the vendor's.
    assert bool(own.achievable) == bool(own.achievable_source)
    assert bool(own.price_per_hour) == bool(own.price_source)
    assert all(rate <= own.operations_per_second[precision] for precision, rate in own.achievable.items())


@pytest.mark.parametrize(
    ("name", "found"),
    [("NVIDIA A100-SXM4-80GB", "a100-80gb"), ("A6000", "rtx-a6000"), ("NVIDIA GeForce RTX 4090", "rtx-4090")],
)
def test_drivers_and_publications_are_understood_where_one_device_is_meant(name: str, found: str) -> None:
    assert as_driver_says(name).name == found


def test_a_name_that_fits_none_is_refused() -> None:
    with pytest.raises(CostError, match="no device"):
        as_driver_says("Radeon VII")


def test_a_family_means_its_smallest_member_and_a_stranger_is_refused() -> None:
    assert device("a100").name == "a100-40gb"
    # There are cards of either size too, which have as much memory as the modules.
    assert [own.name for own in family("a100")] == ["a100-40gb", "a100-80gb"]
    with pytest.raises(CostError, match="did you mean 'h100'"):
        device("h1000")


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
        ("rtx-4091", "did you mean 'rtx-4090'?"),
        ("nonsense", "allowed are a10, "),
        ("", "allowed are a10, "),
    ],
)
def test_a_stranger_is_told_what_was_probably_meant(name: str, hint: str) -> None:
    with pytest.raises(CostError, match="paraSim list devices") as error:
        device(name)
    assert hint in str(error.value)
