"""Settings that do not explain cells of the paper, or explain them less well than the ones that are used.

Shown beside the reproduction, so that nobody has to take "unexplained" on trust.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from parasim_core.calibration.paper import cells as paper
from parasim_core.calibration.paper.cells import CellComparison, PaperCell
from parasim_core.calibration.profiles.published import PublishedProfile

QWEN = "qwen2.5-1.5b-instruct"
_CLIENTS, _COHORT = 50, 10
Simulated = tuple[PaperCell, str, float]
"""A cell, what was supposed, and the runtime [min]."""


def rejected_settings(profile: PublishedProfile) -> Iterator[CellComparison]:
    """Simulate every such setting: for its cell, with what it supposes as the note."""
    for cell, setting, minutes in itertools.chain(_downloads(profile), _cross_silo(profile), _qwen(profile)):
        yield CellComparison(cell, minutes, "rejected", setting)


def _downloads(profile: PublishedProfile) -> Iterator[Simulated]:
    for cell in paper.cells():
        if cell.method == "fedcybgd" and cell.model != QWEN:
            setting = paper.cell_setting(cell) | {"cyclic": {"download_fraction": 1.0}}
            minutes = paper.run_with_profile(setting, profile).wall_clock / 60
            yield cell, "every block that others changed is downloaded", minutes


def _cross_silo(profile: PublishedProfile) -> Iterator[Simulated]:
    rotating = [[(round * _COHORT + member) % _CLIENTS for member in range(_COHORT)] for round in range(32)]
    participations: dict[str, dict[str, object]] = {
        "50 clients, 20 % drawn anew each round (seed 0), exact catch-up": {"fraction": _COHORT / _CLIENTS},
        "50 clients in five rotating cohorts, exact catch-up": {"rounds": rotating},
    }
    for cell in paper.cells():
        for name, participation in participations.items() if cell.variant == paper.CROSS_SILO else ():
            setting = paper.paper_setting(cell.model, cell.method, cell.dataset) | {"participation": participation}
            setting["fleet"][0]["count"] = _CLIENTS
            yield cell, name, paper.run_with_profile(setting, profile).wall_clock / 60


def _qwen(profile: PublishedProfile) -> Iterator[Simulated]:
    """Fit Qwen's computation to its FedBCD cell and predict ParaBlock with it, for two widths on the wire."""
    by_method = {cell.method: cell for cell in paper.cells() if cell.model == QWEN}
    for width in (2, 4):
        fedbcd, parablock = (
            paper.cell_setting(by_method[method]) | {"wire": {"bytes_per_parameter": width}}
            for method in ("fedbcd", "parablock")
        )
        seconds = paper.solve(by_method["fedbcd"], partial(paper.run_with_seconds, fedbcd, non_overlapping=0.0))
        minutes = paper.run_with_seconds(parablock, seconds, profile.fit.non_overlapping_s).wall_clock / 60
        what = f"computation from its FedBCD cell, {width} B a weight"
        yield by_method["parablock"], what, minutes
