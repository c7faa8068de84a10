"""The runtimes of the ParaBlock paper."""

from __future__ import annotations

from functools import cache

from parasim_core.calibration.paper.reproduce import reproduce
from validation.reference import Figure, Reference

AIMS = {"predicted, block methods": (0.9, 3.2)}
"""Mean and largest error that issue 2, point 8, allows [%]."""

reproduction = cache(reproduce)
"""Simulates every cell once."""


def figures() -> list[Figure]:
    """Mean error of each kind of cells but the fitted ones, and the largest one where an issue has an aim."""
    told = []
    for kind, summary in reproduction().summaries.items():
        mean, largest = AIMS.get(kind, (None, None))
        if kind != "fitted":
            told.append(Figure(f"{kind}, mean", summary.mean_pct, summary.cells, decimals=2, most=mean))
        if largest is not None:
            told.append(Figure(f"{kind}, largest", summary.max_pct, summary.cells, most=largest))
    return told


REFERENCE = Reference(
    name="ParaBlock",
    kind="published",
    source=(
        "Runtimes in the paper's tables, but for those that are fitted; `paraSim reproduce`, "
        "[reproduction.md](reproduction.md)."
    ),
    figures=figures,
)
