"""paraSim and its rivals on the same cases: SimGrid's makespans, and the paper's cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from parasim_core.calibration.paper import cells as paper
from parasim_core.calibration.paper.cells import CellComparison, PaperCell
from parasim_core.calibration.profiles.loading import load_profile
from parasim_core.calibration.profiles.published import PublishedProfile
from parasim_core.sim.engine.result import Result
from validation.case import of_result, of_simgrid
from validation.reference import Figure
from validation.references.paper import reproduction
from validation.references.simgrid import cases, makespan_errors
from validation.rival import rivals

PARASIM = "paraSim"
OVERLAPPED = ("parablock",)
"""Methods of the paper that send while they compute."""


@dataclass(frozen=True)
class Standing:
    """How far off one simulator is.

    Attributes
    ----------
    name : str
        Whose.
    makespans : sequence of float
        Errors of SimGrid's makespans [%].
    serial, overlapped : sequence of float
        Errors of the paper's predicted cells, of methods that compute or communicate, and of those that do both [%].
    misranked, pairs : int
        Of how many pairs of the paper's settings it has the wrong order, or sees no difference.
    """

    name: str
    makespans: Sequence[float]
    serial: Sequence[float]
    overlapped: Sequence[float]
    misranked: int
    pairs: int

    def figures(self) -> list[Figure]:
        """Mean and largest errors, and wrong pairs."""
        told = []
        for what, errors in (
            ("SimGrid's makespans", self.makespans),
            ("cells without overlap", self.serial),
            ("cells with overlap", self.overlapped),
        ):
            sizes = [abs(error) for error in errors]
            told.append(Figure(f"{what}, mean", math.fsum(sizes) / len(sizes), len(sizes)))
            told.append(Figure(f"{what}, largest", max(sizes), len(sizes)))
        return [*told, Figure("in the wrong order", self.misranked, self.pairs, unit="pairs", decimals=0)]


def contest() -> list[Standing]:
    """paraSim, then its rivals by name."""
    answers = [
        (answer["makespan_s"], of_simgrid(case, answer["latency_s"]))
        for case in cases()
        for answer in case["expected_simgrid_4_1"]
    ]
    compared = _explained()
    runs = {one.cell: of_result(_result(one.cell)) for one in compared}
    found = [_standing(PARASIM, makespan_errors(), compared, {one.cell: one.predicted_min for one in compared})]
    for rival in rivals():
        errors = [100 * (rival.makespan(case) / makespan - 1) for makespan, case in answers]
        minutes = {cell: rival.makespan(case) / 60 for cell, case in runs.items()}
        found.append(_standing(rival.name, errors, compared, minutes))
    return found


def misranked(compared: Sequence[CellComparison], minutes: Mapping[PaperCell, float]) -> tuple[int, int]:
    """How many pairs of cells of one model and data set are in the wrong order by these minutes, and of how many.

    Pairs of two fitted cells, and of cells that report the same, are none. No difference is a wrong order.
    """
    wrong = pairs = 0
    for one, other in combinations(compared, 2):
        alike = (one.cell.model, one.cell.dataset) == (other.cell.model, other.cell.dataset)
        reported = one.cell.minutes - other.cell.minutes
        if alike and reported and "predicted" in (one.role, other.role):
            pairs += 1
            wrong += reported * (minutes[one.cell] - minutes[other.cell]) <= 0
    return wrong, pairs


def _standing(
    name: str, makespans: Sequence[float], compared: Sequence[CellComparison], minutes: Mapping[PaperCell, float]
) -> Standing:
    errors: dict[bool, list[float]] = {False: [], True: []}
    for one in compared:
        if one.role == "predicted":
            errors[one.cell.method in OVERLAPPED].append(100 * (minutes[one.cell] / one.cell.minutes - 1))
    return Standing(name, makespans, errors[False], errors[True], *misranked(compared, minutes))


def _explained() -> list[CellComparison]:
    """Distinct runs of the paper that are fitted or predicted."""
    distinct = {one.cell.run: one for one in reproduction().comparisons}
    return [one for one in distinct.values() if one.role in ("fitted", "predicted")]


def _result(cell: PaperCell) -> Result:
    profile = load_profile(paper.PROFILE)
    assert isinstance(profile, PublishedProfile)
    return paper.run_with_profile(paper.cell_setting(cell), profile)
