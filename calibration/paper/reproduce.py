"""The paper's runtimes beside the simulator's: every cell, what it was used for, and how far off it is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from parasim_core.calibration.paper import cells as paper
from parasim_core.calibration.paper.cells import CellComparison, PaperCell, Role
from parasim_core.calibration.paper.rejected_settings import QWEN, rejected_settings
from parasim_core.calibration.profiles.loading import load_profile
from parasim_core.calibration.profiles.published import PublishedProfile

_BLOCK_METHODS = ("parablock", "fedbcd")
_STEADY_CATCH_UP = (
    "one cohort in the long run: 1 block up and, as clients return every 5th round in the mean, 5 down in each round"
)


@dataclass(frozen=True)
class Summary:
    """Errors over the distinct cells of one kind: a run that is printed in several tables counts once.

    Attributes
    ----------
    cells : int
        How many.
    mean_pct, max_pct : float
        Mean and largest absolute error [%].
    """

    cells: int
    mean_pct: float
    max_pct: float


@dataclass(frozen=True)
class Reproduction:
    """All comparisons, their summaries, and the settings that do not explain the unexplained cells either."""

    comparisons: tuple[CellComparison, ...]
    summaries: dict[str, Summary]
    rejected: tuple[CellComparison, ...]


def reproduce() -> Reproduction:
    """Simulate every runtime cell of the paper with the shipped profile `paper-a100`."""
    profile = load_profile(paper.PROFILE)
    assert isinstance(profile, PublishedProfile)
    compared = tuple(_compare(cell, profile) for cell in paper.cells())
    errors: dict[str, list[float]] = {
        kind: [] for kind in ("fitted", "predicted, block methods", "predicted, other methods", "unexplained")
    }
    for comparison in {one.cell.run: one for one in compared}.values():
        errors[_kind(comparison)].append(abs(comparison.error_pct))
    summaries = {kind: Summary(len(found), statistics.fmean(found), max(found)) for kind, found in errors.items()}
    return Reproduction(compared, summaries, tuple(rejected_settings(profile)))


def _kind(comparison: CellComparison) -> str:
    if comparison.role != "predicted":
        return comparison.role
    return f"predicted, {'block' if comparison.cell.method in _BLOCK_METHODS else 'other'} methods"


def _compare(cell: PaperCell, profile: PublishedProfile) -> CellComparison:
    role: Role = "unexplained" if cell.unexplained else "fitted" if cell.run in paper.fitted_runs() else "predicted"
    note = cell.unexplained or (_STEADY_CATCH_UP if cell.variant == paper.CROSS_SILO else "")
    if cell.model == QWEN:
        minutes = _qwen_minutes(cell, profile)
    else:
        minutes = paper.run_with_profile(paper.cell_setting(cell), profile).wall_clock / 60
    return CellComparison(cell, minutes, role, note)


def _qwen_minutes(cell: PaperCell, profile: PublishedProfile) -> float:
    """Simulate Qwen with Llama 3.2-3B's computation scaled by weights: the profile itself does not cover it."""
    small, large = 1.5437, 3.2127  # 1e9 weights of Qwen2.5-1.5B and Llama 3.2-3B
    setting = paper.cell_setting(cell)
    like = paper.paper_setting("llama-3.2-3b", cell.method, cell.dataset)
    llama = paper.run_with_profile(like, profile)
    turns = 1 if cell.method != "fedcybgd" else llama.scenario.clients
    per_round = llama.mean("compute") * turns / llama.scenario.rounds
    return paper.run_with_seconds(setting, per_round * small / large, profile.fit.non_overlapping_s).wall_clock / 60
