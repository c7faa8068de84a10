"""Settings that were tried for cells of the paper and do not explain them, or explain them less well.

Shown beside the reproduction, so that nobody has to take "unexplained" on trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calibration.paper import (
    CROSS_SILO,
    Cell,
    cell_setting,
    cells,
    fit_seconds,
    paper_setting,
    run_with_profile,
    run_with_seconds,
)
from calibration.published import PublishedProfile

QWEN = "qwen2.5-1.5b-instruct"
_CLIENTS, _COHORT = 50, 10


@dataclass(frozen=True)
class Tried:
    """One setting that was tried for one cell.

    Attributes
    ----------
    model, dataset, method : str
        The cell.
    setting : str
        What was supposed.
    reported_min, simulated_min : float
        Runtimes [min].
    """

    model: str
    dataset: str
    method: str
    setting: str
    reported_min: float
    simulated_min: float

    @property
    def error_pct(self) -> float:
        """Simulated over reported, less one [%]."""
        return 100 * (self.simulated_min / self.reported_min - 1)

    def row(self) -> dict[str, object]:
        """Plain data, rounded for reading."""
        minutes = {"reported_min": self.reported_min, "simulated_min": round(self.simulated_min, 3)}
        cell = {"model": self.model, "dataset": self.dataset, "method": self.method, "setting": self.setting}
        return {**cell, **minutes, "error_pct": round(self.error_pct, 2)}


def tried(profile: PublishedProfile) -> list[Tried]:
    """Simulate every such setting."""
    return [*_cyclic(profile), *_cross_silo(profile), *_qwen(profile)]


def _cyclic(profile: PublishedProfile) -> list[Tried]:
    found = []
    for cell in cells():
        if cell.method == "fedcybgd" and cell.model != QWEN:
            setting = cell_setting(cell) | {"cyclic": {"download_fraction": 1.0}}
            minutes = run_with_profile(setting, profile).wall_clock / 60
            found.append(_tried(cell, "every block that others changed is downloaded", minutes))
    return found


def _cross_silo(profile: PublishedProfile) -> list[Tried]:
    rotating = [[(round * _COHORT + member) % _CLIENTS for member in range(_COHORT)] for round in range(32)]
    participations: dict[str, dict[str, Any]] = {
        "50 clients, 20 % drawn anew each round (seed 0), exact catch-up": {"fraction": _COHORT / _CLIENTS},
        "50 clients in five rotating cohorts, exact catch-up": {"rounds": rotating},
    }
    found = []
    for cell in cells():
        if cell.variant == CROSS_SILO:
            for name, participation in participations.items():
                setting = paper_setting(cell.model, cell.method, cell.dataset) | {"participation": participation}
                setting["fleet"][0]["count"] = _CLIENTS
                found.append(_tried(cell, name, run_with_profile(setting, profile).wall_clock / 60))
    return found


def _qwen(profile: PublishedProfile) -> list[Tried]:
    """Fit Qwen's computation to its FedBCD cell and predict ParaBlock with it, for two widths on the wire."""
    by_method = {cell.method: cell for cell in cells() if cell.model == QWEN}
    found = []
    for width in (2, 4):
        fedbcd, parablock = (
            cell_setting(by_method[method]) | {"wire": {"bytes_per_parameter": width}}
            for method in ("fedbcd", "parablock")
        )
        seconds = fit_seconds(by_method["fedbcd"], fedbcd)
        minutes = run_with_seconds(parablock, seconds, profile.non_overlapping).wall_clock / 60
        found.append(_tried(by_method["parablock"], f"computation from its FedBCD cell, {width} B a weight", minutes))
    return found


def _tried(cell: Cell, setting: str, minutes: float) -> Tried:
    return Tried(cell.model, cell.dataset, cell.method, setting, cell.minutes, minutes)
