"""Fit the profile `paper-a100` anew: each number is the one with which a simulated run takes as long as one cell says.

python benchmarks/paper_profile.py > calibration/profiles/paper-a100.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from parasim_core.calibration.paper.cells import (
    PROFILE,
    SOURCE,
    PaperCell,
    cell_setting,
    cells,
    run_with_profile,
    run_with_seconds,
    solve,
)
from parasim_core.calibration.profiles.published import (
    PublishedDevice,
    PublishedFit,
    PublishedProfile,
    PublishedSeconds,
)


def fit() -> PublishedProfile:
    """Fit every number, in the order in which they need one another."""
    found = PublishedFit(
        block_seconds=table("block"),
        lora_seconds=table("lora"),
        non_overlapping_s=0.0,
        seconds_per_billion_block_weights=0.0,
        full_over_block=1.0,
        merge_seconds_per_billion_weights=0.0,
    )
    device = PublishedDevice(name="a100")
    profile = PublishedProfile(kind="published", name=PROFILE, device=device, source=SOURCE, fit=found)
    profile = number(profile, "non_overlapping", "non_overlapping_s", 20.0)
    profile = number(profile, "width", "seconds_per_billion_block_weights", 50.0)
    profile = number(profile, "full", "full_over_block", 5.0)
    return number(profile, "merge", "merge_seconds_per_billion_weights", 50.0)


def fitting(what: str) -> list[PaperCell]:
    """Cells that determine a number, the larger model and the larger batch first."""
    found = [cell for cell in cells() if cell.fits == what]
    return sorted(found, key=lambda cell: (cell.model != "llama-3-8b", cell.dataset, -cell.batch_size))


def table(what: str) -> tuple[PublishedSeconds, ...]:
    found = []
    for cell in fitting(what):
        setting = cell_setting(cell)
        seconds = solve(cell, lambda value, setting=setting: run_with_seconds(setting, value, 0.0))  # type: ignore[misc]
        setting = cell.model_dump(include={"model", "dataset", "batch_size"})
        found.append(PublishedSeconds(**setting, seconds=seconds))
    return tuple(found)


def number(profile: PublishedProfile, what: str, field: str, high: float) -> PublishedProfile:
    (cell,) = fitting(what)
    setting = cell_setting(cell)

    def changed(value: float) -> PublishedProfile:
        return profile.model_copy(update={"fit": profile.fit.model_copy(update={field: value})})

    return changed(solve(cell, lambda value: run_with_profile(setting, changed(value)), high))


if __name__ == "__main__":
    print(json.dumps(fit().model_dump(mode="json"), indent=2))
