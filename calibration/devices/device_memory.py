"""How much memory there is where a group of clients computes: its device's, by the catalogue or by a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from parasim_core.calibration.devices.catalogue import family
from parasim_core.calibration.profiles.loading import Profile, load_profile, shipped_profiles
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.errors import CostError

if TYPE_CHECKING:
    from parasim_core.calibration.profiles.measured_file import MeasuredFile


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of a device.

    Attributes
    ----------
    device : str
        Its name.
    memory : float
        All of it [B].
    precision : str
        Type that base weights are held in there.
    """

    device: str
    memory: float
    precision: str

    @classmethod
    def of(cls, file: MeasuredFile) -> DeviceMemory:
        """Memory of the device that a profile was measured on."""
        return cls(file.device.name, float(file.device.memory_bytes), file.model.dtype)


def device_memory(name: str | None, measured: MeasuredFile | None = None) -> DeviceMemory | None:
    """Find the memory of a group's device.

    Parameters
    ----------
    name : str or None
        The group's device, if it names one.
    measured : MeasuredFile, optional
        Profile that the computing times are from: a group that names no device computes on the profile's.

    Returns
    -------
    DeviceMemory or None
        By the catalogue, or else by a measured profile of that device; None if neither knows it. Of a family, such as
        ``a100``, that of the largest member: what does not fit there fits none of them.
    """
    if measured is not None and (name is None or name.lower() == measured.device.name.lower()):
        return DeviceMemory.of(measured)
    if name is None:
        return None
    try:
        own = family(name)[-1]
    except CostError:
        return _on_measured_devices().get(name.lower())
    return DeviceMemory(own.name, own.memory, own.precision)


@cache
def _on_measured_devices() -> Mapping[str, DeviceMemory]:
    """Memory of the devices of the profiles that come along."""
    files = map(measured_file, map(load_profile, shipped_profiles()))
    return {file.device.name.lower(): DeviceMemory.of(file) for file in files if file is not None}


def measured_file(known: Profile | Costs) -> MeasuredFile | None:
    """File of a measured profile, given it or the costs that it makes; None of anything else, which knows no memory."""
    file: MeasuredFile | None = getattr(known, "file", None)
    return file
