"""Devices that were never measured: a catalogue, and seconds by roofline over the operators of a trace.

An operator takes the longest of three times: its floating-point operations at the device's rate for its precision, its
memory traffic at the device's bandwidth, and one launch. Vendors' rates are limits that no step reaches, so a time
from a trace alone has a wide band; one scaled from a measurement keeps that measurement's efficiency.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from calibration.devices.operators import Operators
from sim.errors import CostError, nearest
from sim.scenario import units

SUSTAINED = 0.6
"""Share of the vendor's rates that a step is assumed to reach."""
WEAK = 0.2
"""Share that no reasonable step stays below, by assumption: the upper end of the band."""
SCALING_BAND = 2.5
"""Factor either way within which a scaled time is expected; docs/devices.md has the checks behind it."""


@dataclass(frozen=True)
class CatalogueDevice:
    """A device of the catalogue.

    Attributes
    ----------
    name : str
        Name in scenarios.
    memory : float
        Memory as the device itself reports it [B], which is not what it is sold by: "24 GB" are 24,564 MiB.
    precision : str
        Type that the trainer holds base weights in there.
    bandwidth : float
        Memory bandwidth [B/s].
    launch : float
        Shortest time of one operator [s].
    operations_per_second : mapping of str to float
        Dense matrix rate by precision [1/s].
    source : str
        Where the other figures are from.
    memory_source : str
        What reports the memory.
    """

    name: str
    memory: float
    precision: str
    bandwidth: float
    launch: float
    operations_per_second: Mapping[str, float]
    source: str
    memory_source: str = ""


StepOn = tuple[Operators, CatalogueDevice]
"""What runs, and where."""


@dataclass(frozen=True)
class Extrapolation:
    """A time on a device where nothing was measured.

    Attributes
    ----------
    seconds : float
        Best guess [s].
    low, high : float
        Band that the truth is expected in [s].
    source : str
        What it is derived from.
    origin : str
        Always ``extrapolated``, as `provenance` calls it.
    """

    seconds: float
    low: float
    high: float
    source: str
    origin: str = "extrapolated"


def known_devices() -> tuple[str, ...]:
    """Names of the catalogue's devices."""
    return tuple(_catalogue())


def device(name: str) -> CatalogueDevice:
    """Find a device.

    Parameters
    ----------
    name : str
        Name in any capitalisation, with hyphens or spaces; of a family, such as ``a100``, the member with the least
        memory.

    Raises
    ------
    CostError
        If the catalogue has no such device.
    """
    return family(name)[0]


def family(name: str) -> list[CatalogueDevice]:
    """Find the devices that a name may mean: one, or those of a family, the one with the least memory first.

    Raises
    ------
    CostError
        If the catalogue has no such device.
    """
    wanted = "-".join(_words(name))
    if wanted in _catalogue():
        return [_catalogue()[wanted]]
    members = [known for known in _catalogue().values() if wanted and known.name.startswith(f"{wanted}-")]
    if not members:
        raise CostError(f"no device {name!r} in the catalogue; {closest(name)} (`paraSim list devices`)")
    return sorted(members, key=lambda known: known.memory)


def closest(name: str) -> str:
    """Say which device of the catalogue was probably meant, or list them.

    Drivers wrap the name in others, as in ``NVIDIA A100-SXM4-80GB``: a device all of whose words are there comes first.
    """
    words = _words(name)
    within = [known for known in _catalogue() if set(known.split("-")) <= set(words)]
    if within:
        return f"did you mean {max(within, key=len)!r}?"
    return nearest("-".join(words), _catalogue())


def roofline(operators: Operators, device: CatalogueDevice, share: float = 1.0) -> float:
    """Seconds that operators take at least, at a share of a device's rates.

    Parameters
    ----------
    operators : mapping of Operator to int
        Calls, such as those of a `calibration.memory.trace.StepTrace`.
    device : CatalogueDevice
        Where.
    share : float
        Share of rate and bandwidth that is reached, in (0, 1].

    Returns
    -------
    float
        sum over calls of max(flops / rate, traffic / bandwidth, launch) [s].

    Raises
    ------
    CostError
        If the device has no rate for a precision in which there is something to multiply.
    """
    total = 0.0
    for operator, calls in operators.items():
        compute = operator.flops / (share * _rate(device, operator.precision)) if operator.flops else 0.0
        total += calls * max(compute, operator.traffic / (share * device.bandwidth), device.launch)
    return total


def predict(operators: Operators, device: CatalogueDevice) -> Extrapolation:
    """Predict a time from a trace alone.

    Parameters
    ----------
    operators : mapping of Operator to int
        Calls.
    device : CatalogueDevice
        Where they would run.

    Returns
    -------
    Extrapolation
        At `SUSTAINED` of the vendor's rates; the band runs from all of them to `WEAK`.
    """
    return Extrapolation(
        roofline(operators, device, SUSTAINED),
        roofline(operators, device),
        roofline(operators, device, WEAK),
        f"roofline of traced operators on {device.name} at {SUSTAINED:.0%} of: {device.source}",
    )


def scale(seconds: float, measured_on: StepOn, wanted_on: StepOn) -> Extrapolation:
    """Carry a measured time over to another device.

    Parameters
    ----------
    seconds : float
        Measured time [s], positive.
    measured_on, wanted_on : tuple of operators and CatalogueDevice
        What ran and where, and what would run where: the same step, traced in either device's precision.

    Returns
    -------
    Extrapolation
        The measured time by the ratio of the rooflines, so that both devices are assumed equally efficient; within a
        factor of `SCALING_BAND`.

    Raises
    ------
    CostError
        If the measured time is not positive and finite.
    """
    if not 0 < seconds < math.inf:
        raise CostError(f"the measured time is {seconds} s, only a positive and finite one can be scaled")
    scaled = seconds * roofline(*wanted_on) / roofline(*measured_on)
    return Extrapolation(
        scaled,
        scaled / SCALING_BAND,
        scaled * SCALING_BAND,
        f"measured on {measured_on[1].name}, scaled to {wanted_on[1].name} by the ratio of their rooflines",
    )


def _words(name: str) -> list[str]:
    return re.split(r"[\s_-]+", name.strip().lower())


def _rate(device: CatalogueDevice, precision: str) -> float:
    if precision not in device.operations_per_second:
        known = " and ".join(device.operations_per_second)
        raise CostError(f"device {device.name} has no rate for {precision}; the catalogue knows {known}")
    return device.operations_per_second[precision]


@cache
def _catalogue() -> dict[str, CatalogueDevice]:
    text = (resources.files("calibration") / "devices.json").read_text(encoding="utf-8")
    readers: dict[str, Callable[[Any], float]] = {
        "memory": units.size,
        "bandwidth": units.bandwidth,
        "launch": units.duration,
    }
    return {
        name: CatalogueDevice(name, **fields | {field: read(fields[field]) for field, read in readers.items()})
        for name, fields in json.loads(text).items()
    }
