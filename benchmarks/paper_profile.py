"""Fit the profile `paper-a100` anew: each number is the one with which a simulated run takes as long as one cell says.

python benchmarks/paper_profile.py > calibration/profiles/paper-a100.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from calibration.paper import PROFILE, SOURCE, PaperCell, cell_setting, cells, run_with_profile, run_with_seconds, solve
from calibration.published import KIND, PublishedProfile, Seconds


def fit() -> PublishedProfile:
    """Fit every number, in the order in which they need one another."""
    profile = PublishedProfile(PROFILE, "a100", SOURCE, table("block"), table("lora"), 0.0, 0.0, 1.0, 0.0)
    profile = number(profile, "non_overlapping", lambda p, value: replace(p, non_overlapping=value), 20.0)
    profile = number(profile, "width", lambda p, value: replace(p, seconds_per_billion=value), 50.0)
    profile = number(profile, "full", lambda p, value: replace(p, full_factor=value), 5.0)
    return number(profile, "merge", lambda p, value: replace(p, merge_seconds_per_billion=value), 50.0)


def fitting(what: str) -> list[PaperCell]:
    """Cells that determine a number, the larger model and the larger batch first."""
    found = [cell for cell in cells() if cell.fits == what]
    return sorted(found, key=lambda cell: (cell.model != "llama-3-8b", cell.dataset, -cell.batch_size))


def table(what: str) -> dict[tuple[str, str], dict[int, float]]:
    found: dict[tuple[str, str], dict[int, float]] = {}
    for cell in fitting(what):
        setting = cell_setting(cell)
        seconds = solve(cell, lambda value, setting=setting: run_with_seconds(setting, value, 0.0))  # type: ignore[misc]
        found.setdefault((cell.model, cell.dataset), {})[cell.batch_size] = seconds
    return found


def number(
    profile: PublishedProfile, what: str, changed: Callable[[PublishedProfile, float], PublishedProfile], high: float
) -> PublishedProfile:
    (cell,) = fitting(what)
    setting = cell_setting(cell)
    return changed(profile, solve(cell, lambda value: run_with_profile(setting, changed(profile, value)), high))


def as_json(profile: PublishedProfile) -> dict[str, Any]:
    """Write a profile as `PublishedProfile.from_json` reads it."""

    def rows(table: Mapping[tuple[str, str], Seconds]) -> list[dict[str, Any]]:
        return [
            {"model": model, "dataset": dataset, "batch_size": batch_size, "seconds": seconds}
            for (model, dataset), by_batch in table.items()
            for batch_size, seconds in by_batch.items()
        ]

    return {
        "kind": KIND,
        "name": profile.name,
        "device": {"name": profile.device},
        "source": profile.source,
        "fit": {
            "block_seconds": rows(profile.block_seconds),
            "lora_seconds": rows(profile.lora_seconds),
            "non_overlapping_s": profile.non_overlapping,
            "seconds_per_billion_block_weights": profile.seconds_per_billion,
            "full_over_block": profile.full_factor,
            "merge_seconds_per_billion_weights": profile.merge_seconds_per_billion,
        },
    }


if __name__ == "__main__":
    print(json.dumps(as_json(fit()), indent=2))
