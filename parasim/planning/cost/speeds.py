"""How fast a device that was never measured might be, beside a measured one: the ratio of predictions for one step.

The step comes along (`calibration/data/reference_step.json`), so that a plan needs no torch and says the same
everywhere. Ratios of other steps of its model (batch 2, other blocks, adapters) are within 5 % of this one's, those of
full fine-tuning within 22 % (docs/appendices/devices.md).
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from parasim_core.calibration.devices.catalogue import device
from parasim_core.calibration.devices.operators import Operator, Operators, Phase
from parasim_core.calibration.devices.prediction import Extrapolation, scale
from parasim_core.sim.errors import CostError


def relative_speed(name: str, reference: str) -> Extrapolation:
    """Guess how many times as fast as a reference a device computes.

    Parameters
    ----------
    name, reference : str
        Devices of the catalogue.

    Returns
    -------
    Extrapolation
        The ratio, for which its fields named after seconds stand, and its band.

    Raises
    ------
    CostError
        If the catalogue lacks either, or one of them does not compute in bfloat16 as the traced step does.
    """
    ours, theirs = device(name), device(reference)
    for one in (ours, theirs):
        if one.precision != "bfloat16":
            raise CostError(
                f"device {one.name} computes in {one.precision}, the traced step in bfloat16; give its speed"
            )
    # A speed is a time with the devices' parts exchanged.
    ratio = scale(1.0, (reference_step(), ours), (reference_step(), theirs))
    source = f"{ours.name} as {theirs.name} by the ratio of their predictions"
    return Extrapolation(ratio.seconds, ratio.low, ratio.high, source)


@cache
def reference_step() -> Operators:
    """Operators of one traced step."""
    text = (resources.files("parasim_core.calibration") / "data" / "reference_step.json").read_text(encoding="utf-8")
    return {
        Operator(name, Phase(phase), precision, flops, traffic, tuple(shape)): calls
        for name, phase, precision, flops, traffic, shape, calls in json.loads(text)["operators"]
    }
