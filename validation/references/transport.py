"""Transfers that real TCP made, and the same ones in the simulator's network."""

from __future__ import annotations

import math

from parasim_core.calibration.transport.compare import TransportComparison, compare, measured
from validation.reference import Figure, Reference

NAMES = {
    ("start-up", 2): "start-up from 1 MB on",
    ("start-up", 25): "start-up below",
    ("loss", 25): "loss, Reno and CUBIC",
    ("loss", 3): "loss, BBR",
    ("streams", 15): "streams",
    ("two-way", 15): "two-way",
    ("outage", 3): "outages, held",
    ("outage", 15): "outages, dropped",
}
"""Kinds of transfers with the error that issue 12, point 3, allows them [%]."""


def figures() -> list[Figure]:
    """Largest error of each kind that has a bound, and the mean one of links shared between unlike round trips."""
    found: dict[tuple[str, float | None], list[TransportComparison]] = {}
    for one in compare(measured()):
        found.setdefault((one.kind, one.bound_pct), []).append(one)
    told = []
    for kind, bound in NAMES:
        errors = [abs(one.error_pct) for one in found.pop((kind, bound))]
        told.append(Figure(f"{NAMES[kind, bound]}, largest", max(errors), len(errors), most=bound))
    shared = [abs(one.error_pct) for one in found.pop(("sharing", None))]
    told.append(Figure("shared links, mean", math.fsum(shared) / len(shared), len(shared)))
    if found:
        raise ValueError(f"no name for measured transfers of {', '.join(map(str, found))}")
    return told


REFERENCE = Reference(
    name="TCP",
    kind="measured",
    source=(
        "Linux 6.18 between two network namespaces; `calibration/transport/measured.json`, `paraSim validate "
        "transport`. That links are shared evenly is a [simplification](transport.md)."
    ),
    figures=figures,
)
