"""A catalogue of devices: their memory, rates and bandwidths, each with its source."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from parasim_core.sim.errors import CostError, nearest
from parasim_core.sim.scenario import units


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
    kind : str
        Class of devices that it belongs to: ``server``, ``workstation``, ``geforce``, ``low-power``, ``jetson``,
        ``apple``, ``phone`` or ``cpu``.
    cache : float
        Last cache before the memory, the L2 [B]; 0 where nobody says.
    sustained : float
        Share of its matrix rates that it keeps up through a whole step, where the vendor says that its power does not
        last for all of them.
    processors : int
        Streaming multiprocessors, over which a matrix product's tiles are dealt out; 0 where nobody says.
    achievable : mapping of str to float
        Matrix rate by precision that somebody measured at best [1/s].
    achievable_source : str
        Who.
    link : float
        Bandwidth to another GPU of the same machine, one way [B/s]; 0 where there is none.
    power : float
        Board power by the vendor [W]; 0 where nobody says.
    price_per_hour : float
        An hour's rent [USD], an assumption; 0 where there is none.
    price_source : str
        Whose price, and when.
    """

    name: str
    memory: float
    precision: str
    bandwidth: float
    launch: float
    operations_per_second: Mapping[str, float]
    source: str
    memory_source: str = ""
    kind: str = "server"
    cache: float = 0.0
    sustained: float = 1.0
    processors: int = 0
    achievable: Mapping[str, float] = field(default_factory=dict)
    achievable_source: str = ""
    link: float = 0.0
    power: float = 0.0
    price_per_hour: float = 0.0
    price_source: str = ""


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

    Of members with equally much memory the catalogue's first stands for all.

    Raises
    ------
    CostError
        If the catalogue has no such device.
    """
    wanted = "-".join(_words(name))
    if wanted in _catalogue():
        return [_catalogue()[wanted]]
    members: dict[float, CatalogueDevice] = {}
    for known in _catalogue().values():
        if wanted and known.name.startswith(f"{wanted}-"):
            members.setdefault(known.memory, known)
    if not members:
        raise CostError(f"no device {name!r} in the catalogue; {closest(name)} (`paraSim list devices`)")
    return [members[memory] for memory in sorted(members)]


def as_driver_says(name: str) -> CatalogueDevice:
    """Find the device that a driver or a publication names in its own words, as in ``NVIDIA A100-SXM4-80GB``.

    Raises
    ------
    CostError
        If no device is certain.
    """
    wanted = set(_words(name))
    within = [known for known in _catalogue() if set(known.split("-")) <= wanted]
    beyond = [known for known in _catalogue() if wanted and wanted <= set(known.split("-"))]
    try:
        return device(name)
    except CostError:
        if not within and len(beyond) != 1:
            raise
    return _catalogue()[max(within, key=len) if within else beyond[0]]


def closest(name: str) -> str:
    """Say which device of the catalogue was probably meant, or list them.

    Drivers wrap the name in others, as in ``NVIDIA A100-SXM4-80GB``: a device all of whose words are there comes first.
    """
    words = _words(name)
    within = [known for known in _catalogue() if set(known.split("-")) <= set(words)]
    if within:
        return f"did you mean {max(within, key=len)!r}?"
    return nearest("-".join(words), _catalogue())


def _words(name: str) -> list[str]:
    return re.split(r"[\s_-]+", name.strip().lower())


@cache
def _catalogue() -> dict[str, CatalogueDevice]:
    text = (resources.files("parasim_core.calibration") / "devices.json").read_text(encoding="utf-8")
    readers: dict[str, Callable[[Any], float]] = {
        "memory": units.size,
        "bandwidth": units.bandwidth,
        "cache": units.size,
        "launch": units.duration,
        "link": units.bandwidth,
    }
    return {
        name: CatalogueDevice(name, **entry | {key: readers[key](entry[key]) for key in readers.keys() & entry.keys()})
        for name, entry in json.loads(text).items()
    }
