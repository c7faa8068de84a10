"""What the inputs of a sensitivity are called, and the ends of their bands: as numbers, and as people write them."""

from __future__ import annotations

from parasim.text import amount, clock
from sim.fleet import Fleet
from sim.studies.inputs import Input

_CALLED = {
    "speed": "computing speed",
    "payload": "message size",
    "ingress": "server ingress",
    "egress": "server egress",
}


def called(one: Input, fleet: Fleet) -> str:
    """Name an input, with its group where there are several."""
    if one.group is None:
        return _CALLED.get(one.name, one.name)
    return f"{one.name} of {fleet.name(one.group)}" if len(fleet.groups) > 1 else one.name


def band(one: Input) -> tuple[float, float]:
    """Low and high end of an input's band, in base units."""
    return one.value * (1 - one.band), one.value * (1 + one.band)


def unit_of(one: Input) -> str:
    """Base unit of an input; empty for a factor."""
    if one.name in ("speed", "payload"):
        return ""
    return "s" if one.name in ("latency", "serialization", "aggregation") else "B/s"


def written_band(one: Input) -> tuple[str, str]:
    """Low and high end of an input's band, as people write them."""
    low, high = band(one)
    unit = unit_of(one)
    if not unit:
        return f"{low:.3g} x", f"{high:.3g} x"
    return (clock(low), clock(high)) if unit == "s" else (amount(low, unit), amount(high, unit))
