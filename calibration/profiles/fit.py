"""Fit the price of each amount of work to measured times, and predict with it.

Each phase of a step has a fit of its own: non-negative least squares on relative errors, so that a small step
counts as much as a large one. The phases add up to the step.

What the samples cannot tell apart gets one price: a term whose amounts are a combination of those of terms before it
(the values of adapters and their matrices, where all adapters have one rank) is left out, and `StepFit.undetermined`
says so. What is left has one best price each, which does not hang on how a processor rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parasim_core.calibration.profiles.cost_terms import (
    STEP_PHASES,
    Amounts,
    Array,
    CostTerm,
    Form,
    amounts_matrix,
    combined,
    terms_of,
)
from parasim_core.calibration.profiles.measured_file import StepFit, coefficients
from parasim_core.calibration.profiles.points import Visit

_PASSES = 30
_OWN = 1e-3
"""Share of a term's amounts that the terms before it must leave unexplained: a price of less than that is noise."""


def fit(amounts: Sequence[Amounts], times: Sequence[Visit], form: Form) -> StepFit:
    """Find the prices that explain measured times best.

    Parameters
    ----------
    amounts : sequence of mapping
        Work of each measured point.
    times : sequence of Visit
        Its measured times.
    form : {"sum", "maximum"}
        How launching and working combine.

    Returns
    -------
    StepFit
        Minimising, phase by phase, the sum of squared errors relative to the measured step.
    """
    steps = np.array([measured.step for measured in times])
    found: dict[str, float] = {}
    undetermined: dict[str, tuple[str, ...]] = {}
    for phase in (*STEP_PHASES, "update"):
        terms = terms_of(phase)
        target = np.array([getattr(measured, phase) for measured in times])
        matrix = amounts_matrix(terms, amounts)
        if form == "maximum":
            matrix = _longer_of_two(terms, matrix, target, 1 / steps)
        prices, left_out = non_negative(terms, matrix, target, 1 / steps)
        found |= prices
        undetermined |= left_out
    return StepFit(form=form, coefficients=coefficients(found), undetermined=undetermined)


def _longer_of_two(terms: Sequence[CostTerm], matrix: Array, target: Array, weights: Array) -> Array:
    """Fit the longer of launching and working: decide for each point which it is, fit, and decide again.

    Returns the amounts with zeros for what does not count at a point, as they were in the best fit.
    """
    launch = np.array([term.role == "launch" for term in terms])
    work = np.array([term.role == "work" for term in terms])
    if not launch.any() or not work.any():
        return matrix
    best, least = matrix, np.inf
    size = matrix[:, work].sum(axis=1)
    # Where the one turns into the other is not known: begin from several places.
    for share in (0.0, 0.2, 0.4, 0.6):
        waits = size <= np.quantile(size, share) if share else np.zeros(len(size), dtype=bool)
        for _ in range(_PASSES):
            active = np.where(waits[:, None] & work, 0.0, np.where(~waits[:, None] & launch, 0.0, matrix))
            prices = np.array([*non_negative(terms, active, target, weights)[0].values()])
            error = float((((combined(terms, matrix, prices, "maximum") - target) * weights) ** 2).sum())
            # Of what is equally good but for rounding, the first counts.
            if error < least * (1 - 1e-9) - 1e-18:
                best, least = active, error
            new = matrix[:, launch] @ prices[launch] > matrix[:, work] @ prices[work]
            if (new == waits).all():
                break
            waits = new
    return best


def non_negative(
    terms: Sequence[CostTerm], matrix: Array, target: Array, weights: Array
) -> tuple[dict[str, float], dict[str, tuple[str, ...]]]:
    """Solve non-negative least squares with a weight for each row, without terms that follow from earlier ones.

    Parameters
    ----------
    terms : sequence of CostTerm
        What the columns are of.
    matrix : numpy.ndarray
        Amounts, shape (points, terms); columns may differ by magnitudes.
    target : numpy.ndarray
        Times [s], shape (points,).
    weights : numpy.ndarray
        Weights of the points' errors, shape (points,).

    Returns
    -------
    dict of str to float
        Price of each term.
    dict of str to tuple of str
        Terms that were left out, and so have price 0, with the earlier terms that they are a combination of.
    """
    from scipy.optimize import nnls  # type: ignore[import-untyped]

    rows = matrix * weights[:, None]
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0] = 1.0
    rows /= scale
    kept: list[int] = []
    left_out: dict[str, tuple[str, ...]] = {}
    for column, term in enumerate(terms):
        shares = np.linalg.lstsq(rows[:, kept], rows[:, column], rcond=None)[0]
        if np.linalg.norm(rows[:, column] - rows[:, kept] @ shares) > _OWN:
            kept.append(column)
        else:
            carriers = (terms[other].name for other, share in zip(kept, shares, strict=True) if abs(share) > _OWN)
            left_out[term.name] = tuple(carriers)
    prices = np.zeros(len(terms))
    if kept:
        prices[kept] = nnls(rows[:, kept], target * weights)[0] / scale[kept]
    return {term.name: float(price) for term, price in zip(terms, prices, strict=True)}, left_out
