"""Seconds of a traced step on a device that nobody measured, and a measured time carried over to another device.

A step takes the longest of three: what the GPU is busy with (`calibration.devices.kernels`), what the CPU needs to ask
it for that, operator by operator, and what GPUs that train together send each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from parasim_core.calibration.devices.catalogue import CatalogueDevice
from parasim_core.calibration.devices.kernels import seconds as kernel_seconds
from parasim_core.calibration.devices.operators import PASSES, Operators, one_step
from parasim_core.calibration.memory.recipe import IN_ONE_MACHINE, Recipe
from parasim_core.calibration.memory.together import Together
from parasim_core.sim.errors import CostError

HOST = 20e-6
"""What a CPU needs to ask for one operator of an eager step, PyTorch's and the model's own code [s]: published steps of
small batches, which are bound by it, show 20 to 40 us, those with fast processors the lower end."""
HOST_CONVERSION = 8e-6
"""The same of a conversion between precisions [s], which operators ask for themselves; an assumption."""
LINK_REACHED = 0.82
"""Share of a link's rate that rings reach beside its protocol: 370 of an H100's 450 GB/s (NCCL's maintainers,
NVIDIA/nccl-tests issue 212)."""
HOST_COMPILED = 8e-6
"""The same of compiled code, which is one call for many kernels [s]; an assumption."""
BANDS = {"server": 1.3, "geforce": 1.3, "workstation": 1.6, "low-power": 1.6}
"""Factor either way within which nine in ten times of a class of devices are expected: by the published rows of servers
and GeForce, with room for other sources (docs/appendices/devices.md); an assumption for the chips of
these in other boards."""
UNKNOWN_BAND = 2.5
"""The same for classes of other chips, of which there is no row; an assumption, that rooflines between threads and
precisions of a CPU were off by up to 59 %."""
SCALING_BAND = 1.45
"""Factor either way within which a time is expected that is scaled between classes of `BANDS`; else `UNKNOWN_BAND`."""

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


def band_of(device: CatalogueDevice) -> float:
    """Factor either way within which a time predicted for a device is expected."""
    return BANDS.get(device.kind, UNKNOWN_BAND)


def busy(operators: Operators, device: CatalogueDevice) -> float:
    """Time that operators keep a device busy [s]: the sum over calls of `kernels.seconds`.

    Raises
    ------
    CostError
        If the device has no rate for a precision in which there is something to multiply.
    """
    return sum(calls * kernel_seconds(operator, device) for operator, calls in operators.items())


def asked(operators: Operators, recipe: Recipe) -> float:
    """Time that a CPU needs to ask for operators, of eager or compiled code [s]."""
    if recipe.kernels == "compiled":
        return HOST_COMPILED * sum(operators.values())
    conversions = sum(calls for operator, calls in operators.items() if operator.name == "aten._to_copy")
    return HOST * (sum(operators.values()) - conversions) + HOST_CONVERSION * conversions


def exchanging(together: Together, device: CatalogueDevice, batches: int = 1) -> float:
    """Time that GPUs which train together need to send each other weights and gradients in a step [s].

    Parameters
    ----------
    together : Together
        How many they are, and what they send.
    device : CatalogueDevice
        One of them.
    batches : int
        Batches of the step.

    Raises
    ------
    CostError
        If nobody knows a link between such devices.

    Notes
    -----
    All of it is waited for: in fact a part is hidden behind computing, which it slows down. Only links within a machine
    are known; more GPUs than a machine's eight are taken for eight of which each sends as much over its own link, and
    what goes from machine to machine is not counted.
    """
    if together.gpus == 1:
        return 0.0
    if not device.link:
        raise CostError(f"device {device.name} has no link to another one in the catalogue (fleet[].gpus)")
    within = replace(together, gpus=min(together.gpus, IN_ONE_MACHINE))
    return within.sent(batches) / (LINK_REACHED * device.link)


def step_seconds(operators: Operators, device: CatalogueDevice, recipe: Recipe | None = None) -> float:
    """Seconds of one step on one device: the longer of what keeps it busy and what its CPU needs to ask for that.

    Parameters
    ----------
    operators : mapping of Operator to int
        Those of the step (`one_step`).
    device : CatalogueDevice
        Where it runs.
    recipe : Recipe, optional
        How it is trained: GPUs that share the weights out each update their own share of them.
    """
    recipe = recipe or Recipe()
    update = {operator: calls for operator, calls in operators.items() if operator.phase not in PASSES}
    passes = {operator: calls for operator, calls in operators.items() if operator.phase in PASSES}
    shares = recipe.gpus if recipe.sharded else 1
    return max(busy(passes, device) + busy(update, device) / shares, asked(operators, recipe))


def repeated(operators: Operators, passes: float) -> Operators:
    """Operators of a step whose forward and backward passes are repeated, as more accumulated batches do.

    Parameters
    ----------
    operators : mapping of Operator to int
        Of a traced update.
    passes : float
        How many times as many batches the step has.
    """
    step = one_step(operators)
    return {operator: calls * passes if operator.phase in PASSES else calls for operator, calls in step.items()}


def predict(
    operators: Operators,
    device: CatalogueDevice,
    recipe: Recipe | None = None,
    together: Together | None = None,
    batches: int = 1,
) -> Extrapolation:
    """Predict the time of a step from its trace alone.

    Parameters
    ----------
    operators : mapping of Operator to int
        Those of the step (`one_step`).
    device : CatalogueDevice
        Where they would run.
    recipe : Recipe, optional
        How it is trained.
    together : Together, optional
        What the recipe's GPUs send each other.
    batches : int
        Batches of the step, after each of which they may.

    Returns
    -------
    Extrapolation
        The longer of what keeps GPU and CPU busy, with the band of the device's class.

    Raises
    ------
    CostError
        If the device has no rate for a precision in which there is something to multiply, or no link that is needed.
    """
    guess = step_seconds(operators, device, recipe) + exchanging(together or Together(), device, batches)
    band = band_of(device)
    source = f"traced operators on {device.name}, each by its shape and traffic; {device.source}"
    return Extrapolation(guess, guess / band, guess * band, source)


def scale(measured: float, measured_on: StepOn, wanted_on: StepOn) -> Extrapolation:
    """Carry a measured time over to another device.

    Parameters
    ----------
    measured : float
        Measured time [s], positive.
    measured_on, wanted_on : tuple of operators and CatalogueDevice
        What ran and where, and what would run where: the same step, traced in either device's precision.

    Returns
    -------
    Extrapolation
        The measured time by the ratio of the predictions, so that what they leave out counts alike on both, with its
        band.

    Raises
    ------
    CostError
        If the measured time is not positive and finite.
    """
    if not 0 < measured < math.inf:
        raise CostError(f"the measured time is {measured} s, only a positive and finite one can be scaled")
    scaled = measured * step_seconds(*wanted_on) / step_seconds(*measured_on)
    known = {measured_on[1].kind, wanted_on[1].kind} <= BANDS.keys()
    band = SCALING_BAND if known else UNKNOWN_BAND
    return Extrapolation(
        scaled,
        scaled / band,
        scaled * band,
        f"measured on {measured_on[1].name}, scaled to {wanted_on[1].name} by the ratio of their predictions",
    )
