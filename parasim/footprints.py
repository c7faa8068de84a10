"""What a client's local update needs of memory, method by method, and on which devices it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from calibration.allocations import Category, Footprint
from calibration.device_memory import DeviceMemory, device_memory
from calibration.devices import known_devices
from calibration.measured import MeasuredProfile
from calibration.memory import second_thread
from calibration.peaks import traced_peak
from calibration.profile import DEFAULT_PROFILE, load_profile
from parasim.api import Source, prepared
from parasim.planning.methods import Methods, by_method, scenario_of
from sim.errors import CostError, nearest
from sim.scenario import Scenario
from sim.simulate import Setup

THIS_MACHINE = "cpu"
"""Name for the machine that asks."""


@dataclass(frozen=True)
class MemoryNeed:
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

    def parts(self) -> dict[str, int]:
        """What is there at the peak [B]: weights, the trained part's own, what is kept, logits, and the rest."""
        found = self.kept.by_category
        of_trained = (Category.WORKING_COPY, Category.MASTER, Category.GRADIENTS, Category.MOMENTS)
        named = {
            "weights": found[Category.WEIGHTS],
            "trained": sum(found[category] for category in of_trained),
            "kept": found[Category.ACTIVATIONS],
            "logits": found[Category.LOGITS],
        }
        return {**named, "other": self.kept.total - sum(named.values())}

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
class DeviceFit:
    """Which methods fit a device.

    Attributes
    ----------
    on : DeviceMemory
        The device.
    groups : tuple of str
        Groups of the fleet that have it; none of a device that was only asked about.
    fits, recomputing, too_large : tuple of str
        Methods that fit as they are, that fit if activations are recomputed, and that do not fit.
    """

    on: DeviceMemory
    groups: tuple[str, ...]
    fits: tuple[str, ...]
    recomputing: tuple[str, ...]
    too_large: tuple[str, ...]

    @classmethod
    def of(cls, on: DeviceMemory, groups: tuple[str, ...], needs: Iterable[MemoryNeed]) -> DeviceFit:
        """Hold needs against a device."""
        found: dict[str, list[str]] = {"kept": [], "recomputed": [], "neither": []}
        for need in needs:
            if need.precision == on.precision:
                peaks = {"kept": need.kept.total, "recomputed": need.recomputed.total, "neither": 0}
                found[next(how for how, peak in peaks.items() if peak <= on.memory)].append(need.method)
        return cls(on, groups, *map(tuple, found.values()))

    def summary(self) -> dict[str, object]:
        """Everything as plain data."""
        return {
            "device": self.on.device,
            "memory_bytes": self.on.memory,
            "precision": self.on.precision,
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
    needs : list of MemoryNeed
        Of every method, in every precision that some device holds weights in.
    fits : list of DeviceFit
        One for each device.
    unknown : list of str
        Devices of the fleet that nobody knows the memory of.
    refused : dict of str to str
        Of all methods, those that cannot run the scenario, and why.
    """

    scenario: Scenario
    needs: list[MemoryNeed]
    fits: list[DeviceFit]
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
    setups, refused = by_method(scenario_of(source, overrides), methods, prepared)
    own = next(iter(setups.values()))
    asked, unknown = _devices(own, devices)
    precisions = list(dict.fromkeys(one.precision for one in asked)) or ["bfloat16"]
    needs: list[MemoryNeed] = []
    for precision in precisions:
        for name, setup in setups.items():
            report("tracing", len(needs), len(precisions) * len(setups))
            kept, lean = (traced_peak(setup, precision, recomputing=recomputing) for recomputing in (False, True))
            needs.append(MemoryNeed(name, precision, kept, lean, second_thread(setup)))
    fits = [DeviceFit.of(one, groups, needs) for one, groups in asked.items()]
    return Footprints(own.scenario, needs, fits, unknown, refused)


def _devices(setup: Setup, asked: Sequence[str]) -> tuple[dict[DeviceMemory, tuple[str, ...]], list[str]]:
    """Devices to hold it against, with the groups that have them, and devices that nobody knows."""
    profile = load_profile(setup.scenario.compute.profile or DEFAULT_PROFILE)
    measured = profile.file if isinstance(profile, MeasuredProfile) else None
    found: dict[DeviceMemory, tuple[str, ...]] = {}
    unknown = []
    for number, group in enumerate(setup.scenario.fleet):
        own = device_memory(group.device, measured)
        if own is not None:
            found[own] = (*found.get(own, ()), group.name or f"group{number}")
        elif group.device is not None and group.device not in unknown:
            unknown.append(group.device)
    for name in asked:
        found.setdefault(_asked(name), ())
    return found, unknown


def _asked(name: str) -> DeviceMemory:
    if name == THIS_MACHINE:
        from calibration.this_machine import this_device

        return DeviceMemory("this machine", float(this_device("cpu", 1).memory_bytes), "float32")
    found = device_memory(name)
    if found is None:
        raise CostError(f"--device: unknown device {name!r}; {nearest(name, [*known_devices(), THIS_MACHINE])}")
    return found
