"""What a client's local update needs of memory, method by method, and on which devices it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Literal

from parasim.api import Overrides, Source, prepared, several
from parasim.ignored import not_adapted
from parasim.planning.methods import Methods, by_method, scenario_of
from parasim_core.calibration.devices.catalogue import known_devices
from parasim_core.calibration.devices.device_memory import DeviceMemory, device_memory, measured_file
from parasim_core.calibration.memory.fits import second_thread
from parasim_core.calibration.memory.peaks import batches_per_step, paged_bytes, recomputes, traced_peak
from parasim_core.calibration.memory.recipe import recipe_of, recipe_settings
from parasim_core.calibration.profiles.loading import DEFAULT_PROFILE, load_profile
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError, nearest
from parasim_core.sim.scenario.scenario import Scenario

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
    peak_bytes : int
        Peak with activations kept for the backward pass [B].
    by_category : dict of str to int
        What is there at that peak, by category [B].
    recomputed_peak_bytes : int
        Peak with activations recomputed (``train.activation_checkpointing``) [B].
    in_flight_bytes : int
        What an overlapped method holds beside that, of updates and aggregates on their way [B].
    paged_bytes : int
        What of these peaks moves to the host's memory where the device's is full: moments of a paged optimizer [B].
    gpus : int
        GPUs that a client has: peaks are of each, with its share of a batch, and of the model if that is shared out.
    """

    method: str
    precision: str
    peak_bytes: int
    by_category: dict[str, int]
    recomputed_peak_bytes: int
    in_flight_bytes: int
    paged_bytes: int = 0
    gpus: int = 1


@dataclass(frozen=True)
class DeviceFit:
    """Which methods fit a device.

    Attributes
    ----------
    device : str
        Its name.
    memory_bytes : float
        What it has [B].
    precision : str
        Type that it holds the base weights in.
    groups : list of str
        Groups of the fleet that have it; none of a device that was only asked about.
    gpus : int
        How many such devices a client has.
    fits, fits_recomputing, does_not_fit : list of str
        Methods that fit as they are, that fit if activations are recomputed, and that do not fit.
    """

    device: str
    memory_bytes: float
    precision: str
    groups: list[str]
    gpus: int = 1
    fits: list[str] = field(default_factory=list)
    fits_recomputing: list[str] = field(default_factory=list)
    does_not_fit: list[str] = field(default_factory=list)

    def judge(self, need: MemoryNeed) -> None:
        """Enter a method where it belongs."""
        peaks = (need.peak_bytes, self.fits), (need.recomputed_peak_bytes, self.fits_recomputing)
        held = self.memory_bytes + need.paged_bytes
        next((methods for peak, methods in peaks if peak <= held), self.does_not_fit).append(need.method)


@dataclass(frozen=True)
class Footprints:
    """What the methods of a scenario need, by which recipe, and where they fit.

    Attributes
    ----------
    model : str or None
        The model that is trained.
    batch_size, sequence_length : int
        What a local update computes on: sequences, and tokens in each.
    accumulation : int
        Such batches in one step (``train.accumulation``).
    recipe : dict of str to str
        By precision, how its steps are trained, in words.
    priced : list of str
        What of that is priced and not traced.
    needs : list of MemoryNeed
        Of every method, in every precision that some device holds weights in.
    devices : list of DeviceFit
        One for each device.
    unknown_devices : list of str
        Devices of the fleet that nobody knows the memory of.
    refused : dict of str to str
        Of all methods, those that cannot run the scenario, and why.
    notes : list of str
        What else is to be known of the methods' needs, a sentence each.
    """

    model: str | None
    batch_size: int
    sequence_length: int
    accumulation: int
    recipe: dict[str, str]
    priced: list[str]
    needs: list[MemoryNeed]
    devices: list[DeviceFit]
    unknown_devices: list[str]
    refused: dict[str, str]
    notes: list[str]

    def summary(self) -> dict[str, object]:
        """Everything as plain data, in bytes."""
        return asdict(self)


def memory(
    source: Source | None = None,
    set: Overrides = (),
    *,
    method: Methods | None = None,
    device: str | Sequence[str] = (),
    report: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Footprints:
    """Trace what a client's local update needs, and hold it against devices.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to ask about; the ParaBlock paper's setting for Llama 3-8B if None.
    set : mapping, str, or iterable of str or (str, value)
        Fields of it to set first: ``{"fleet.0.uplink": "20MB/s", "rounds": 16}``, or as the command line has them,
        ``["fleet.0.uplink=20MB/s"]``.
    method : str or sequence of str, optional
        Methods, or ``all``; the scenario's own if None.
    device : str or sequence of str
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
    setups, refused = by_method(scenario_of(source, set), method, _with_a_recipe)
    own = next(iter(setups.values()))
    asked, unknown = _devices(own, several(device))
    ways = list(dict.fromkeys((one.precision, gpus) for one, gpus in asked)) or [("bfloat16", 1)]
    needs: list[MemoryNeed] = []
    for precision, gpus in ways:
        for name, setup in setups.items():
            report("tracing", len(needs), len(ways) * len(setups))
            again: Literal[False, "selective"] = "selective" if recomputes(setup) == "selective" else False
            kept = traced_peak(setup, precision, recomputing=again, gpus=gpus)
            lean = traced_peak(setup, precision, recomputing=True, gpus=gpus)
            categories = {category.value: size for category, size in kept.by_category.items()}
            paged = paged_bytes(setup.scenario, kept)
            own_sizes = kept.total, categories, lean.total, second_thread(setup), paged
            needs.append(MemoryNeed(name, precision, *own_sizes, gpus))
    fits = [DeviceFit(one.device, one.memory, one.precision, own, gpus) for (one, gpus), own in asked.items()]
    for fit in fits:
        for need in needs:
            if (need.precision, need.gpus) == (fit.precision, fit.gpus):
                fit.judge(need)
    scenario, local = own.scenario, own.scenario.local
    of_each = (not_adapted(setup.scenario, setup.architecture) for setup in setups.values() if setup.architecture)
    notes = [*dict.fromkeys(chain.from_iterable(of_each))]
    sizes = local.batch_size, local.sequence_length, batches_per_step(scenario)
    # Adapters, where some methods have them.
    trained = max((setup.scenario for setup in setups.values()), key=lambda one: recipe_of(one).adapters == "float32")
    recipes = {precision: recipe_of(trained, precision) for precision, _ in ways}
    return Footprints(
        scenario.model,
        *sizes,
        {precision: ", ".join((recipe.words, *_of_batches(scenario))) for precision, recipe in recipes.items()},
        [*dict.fromkeys(chain.from_iterable(recipe_of(trained, *way).inexact for way in ways))],
        needs,
        fits,
        unknown,
        refused,
        notes,
    )


def _of_batches(scenario: Scenario) -> Iterable[str]:
    """What of a recipe is no part of `Recipe`: sequences, with a mask unless they are full, and what is recomputed."""
    settings = recipe_settings(scenario)
    yield f"{'packed' if settings.packing else 'padded' if settings.padded else 'full'} sequences"
    if settings.activation_checkpointing == "selective":
        yield "selective activation checkpointing"


def _with_a_recipe(scenario: Scenario) -> Setup:
    """Prepare a scenario, unless its recipe means nothing for its method."""
    recipe_of(scenario)
    return prepared(scenario)


def _devices(setup: Setup, asked: Sequence[str]) -> tuple[dict[tuple[DeviceMemory, int], list[str]], list[str]]:
    """Devices to hold it against and how many of each, with the groups that have them; and devices nobody knows."""
    measured = measured_file(load_profile(setup.scenario.compute.profile or DEFAULT_PROFILE))
    found: dict[tuple[DeviceMemory, int], list[str]] = {}
    unknown = []
    for number, group in enumerate(setup.scenario.fleet):
        device = setup.scenario.device_of(group)
        own = device_memory(device, measured)
        if own is not None:
            found.setdefault((own, group.gpus), []).append(group.name or f"group{number}")
        elif device is not None and device not in unknown:
            unknown.append(device)
    for name in asked:
        found.setdefault((_asked(name), 1), [])
    return found, unknown


def _asked(name: str) -> DeviceMemory:
    if name == THIS_MACHINE:
        from parasim_core.calibration.measuring.this_machine import this_device

        return DeviceMemory("this machine", float(this_device("cpu", 1).memory_bytes), "float32")
    found = device_memory(name)
    if found is None:
        raise CostError(f"--device: unknown device {name!r}; {nearest(name, [*known_devices(), THIS_MACHINE])}")
    return found
