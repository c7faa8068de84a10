"""What a client's local update needs of memory, method by method, and on which devices there is room for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.device_memory import Room, room_on
from calibration.measured import MeasuredProfile
from calibration.memory import second_thread
from calibration.peaks import traced_peak
from calibration.profile import DEFAULT_PROFILE, load_profile
from parasim.api import Source, prepared
from parasim.planning.setting import Methods, covered, named_methods, own_method, setting
from sim.errors import CostError, nearest
from sim.scenario import Scenario
from sim.simulate import Setup

if TYPE_CHECKING:
    from calibration.ledger import Footprint

HERE = "cpu"
"""Name for the machine that asks."""


@dataclass(frozen=True)
class Need:
    """What one method needs in one precision.

    Attributes
    ----------
    method : str
        Its name.
    precision : str
        Type of the base weights.
    kept : Footprint
        Peak by category, activations kept for the backward pass.
    recomputed : Footprint
        The same with activations recomputed (``train.activation_checkpointing``).
    in_flight : int
        What an overlapped method holds beside that, of updates and aggregates on their way [B].
    """

    method: str
    precision: str
    kept: Footprint
    recomputed: Footprint
    in_flight: int

    def summary(self) -> dict[str, object]:
        """Everything as plain data, in bytes."""
        return {
            "method": self.method,
            "precision": self.precision,
            "peak_bytes": self.kept.total,
            "by_category": {category.value: size for category, size in self.kept.by_category.items()},
            "recomputed_peak_bytes": self.recomputed.total,
            "in_flight_bytes": self.in_flight,
        }


@dataclass(frozen=True)
class Fit:
    """Which methods have room on a device.

    Attributes
    ----------
    room : Room
        The device.
    groups : tuple of str
        Groups of the fleet that have it; none of a device that was only asked about.
    fits, recomputing, too_large : tuple of str
        Methods that fit as they are, that fit if activations are recomputed, and that do not fit.
    """

    room: Room
    groups: tuple[str, ...]
    fits: tuple[str, ...]
    recomputing: tuple[str, ...]
    too_large: tuple[str, ...]

    def summary(self) -> dict[str, object]:
        """Everything as plain data."""
        return {
            "device": self.room.device,
            "memory_bytes": self.room.memory,
            "precision": self.room.precision,
            "groups": list(self.groups),
            "fits": list(self.fits),
            "fits_recomputing": list(self.recomputing),
            "does_not_fit": list(self.too_large),
        }


@dataclass(frozen=True)
class Footprints:
    """What the methods of a scenario need, and where they fit.

    Attributes
    ----------
    scenario : Scenario
        What was asked about.
    needs : list of Need
        Of every method, in every precision that some device holds weights in.
    fits : list of Fit
        One for each device.
    unknown : list of str
        Devices of the fleet that nobody knows the memory of.
    refused : dict of str to str
        Of all methods, those that cannot run the scenario, and why.
    """

    scenario: Scenario
    needs: list[Need]
    fits: list[Fit]
    unknown: list[str]
    refused: dict[str, str]

    def summary(self) -> dict[str, object]:
        """Everything as plain data, in bytes."""
        local = self.scenario.local
        return {
            "model": self.scenario.model,
            "batch_size": local.batch_size,
            "sequence_length": local.sequence_length,
            "needs": [need.summary() for need in self.needs],
            "devices": [fit.summary() for fit in self.fits],
            "unknown_devices": self.unknown,
            "refused": self.refused,
        }


def memory_needs(
    source: Source | None = None,
    overrides: Iterable[str] = (),
    *,
    methods: Methods | None = None,
    devices: Sequence[str] = (),
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Footprints:
    """Trace what a client's local update needs, and hold it against devices.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to ask about; the ParaBlock paper's setting for Llama 3-8B if None.
    overrides : iterable of str
        Such as ``local.batch_size=2``.
    methods : str or sequence of str, optional
        Methods, or ``all``; the scenario's own if None.
    devices : sequence of str
        Devices to hold it against beside the fleet's own: names of the catalogue, of a measured profile's device, or
        ``cpu`` for this machine.
    report : callable
        Told what is traced, how many of the traces are done, and of how many.

    Returns
    -------
    Footprints

    Raises
    ------
    ParaSimError
        If the scenario is wrong or names no model, a device is not known, or torch is missing.
    """
    overrides = list(overrides)
    names, refused = _methods(source, overrides, methods)
    setups = {name: prepared(Scenario.parse(setting(source, overrides, name))) for name in names}
    own = next(iter(setups.values()))
    asked, unknown = _rooms(own, devices)
    precisions = list(dict.fromkeys(room.precision for room in asked)) or ["bfloat16"]
    needs: list[Need] = []
    for precision in precisions:
        for name, setup in setups.items():
            report("tracing", len(needs), len(precisions) * len(setups))
            needs.append(_need(name, setup, precision))
    return Footprints(
        own.scenario, needs, [_fit(room, groups, needs) for room, groups in asked.items()], unknown, refused
    )


def _methods(
    source: Source | None, overrides: list[str], methods: Methods | None
) -> tuple[Sequence[str], dict[str, str]]:
    if methods is None:
        return [own_method(source, overrides)], {}
    if methods == "all":
        return covered(source, overrides, lambda data: prepared(Scenario.parse(data)))
    return named_methods("--method", methods), {}


def _rooms(setup: Setup, devices: Sequence[str]) -> tuple[dict[Room, tuple[str, ...]], list[str]]:
    """Rooms to hold it against, with the groups that have them, and devices that nobody knows."""
    profile = load_profile(setup.scenario.compute.profile or DEFAULT_PROFILE)
    measured = profile.file if isinstance(profile, MeasuredProfile) else None
    found: dict[Room, tuple[str, ...]] = {}
    unknown = []
    for number, group in enumerate(setup.scenario.fleet):
        room = room_on(group.device, measured)
        if room is not None:
            found[room] = (*found.get(room, ()), group.name or f"group{number}")
        elif group.device is not None and group.device not in unknown:
            unknown.append(group.device)
    for name in devices:
        found.setdefault(_asked(name), ())
    return found, unknown


def _asked(name: str) -> Room:
    if name == HERE:
        from calibration.this_machine import this_device

        here = this_device("cpu", 1)
        return Room("this machine", float(here.memory_bytes), "float32")
    room = room_on(name)
    if room is None:
        from calibration.devices import known_devices

        raise CostError(f"--device: unknown device {name!r}; {nearest(name, [*known_devices(), HERE])}")
    return room


def _need(method: str, setup: Setup, precision: str) -> Need:
    kept, recomputed = (traced_peak(setup, precision, recomputing=recomputing) for recomputing in (False, True))
    return Need(method, precision, kept, recomputed, second_thread(setup))


def _fit(room: Room, groups: tuple[str, ...], needs: Iterable[Need]) -> Fit:
    own = [need for need in needs if need.precision == room.precision]
    fits = tuple(need.method for need in own if need.kept.total <= room.memory)
    recomputing = tuple(need.method for need in own if need.method not in fits and need.recomputed.total <= room.memory)
    return Fit(room, groups, fits, recomputing, tuple(n.method for n in own if n.method not in (*fits, *recomputing)))
