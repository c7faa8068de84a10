"""FLoRA's merge: what it takes a client to add a stack of adapters to its weights.

When the stack of N clients of rank r arrives, each client adds the product of two matrices of inner dimension N r to
every weight that has an adapter. That is no part of a training step: it has prices of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from parasim_core.calibration.profiles.cost_terms import MERGE_TERMS, amounts_matrix, merge_work
from parasim_core.calibration.profiles.fit import non_negative
from parasim_core.calibration.profiles.measured_file import Coefficient, MergeSample, Merging, coefficients
from parasim_core.sim.workload.architecture import Architecture

_FEWEST_FITTED = 2


def merge_seconds(prices: Mapping[str, Coefficient], architecture: Architecture, targets: str, rank: int) -> float:
    """Predict the seconds of one merge [s]."""
    amounts = merge_work(architecture, targets, rank)
    return float(sum(prices[term.name].value * amounts[term.amount] for term in MERGE_TERMS))


def fit_merging(samples: Sequence[MergeSample], architecture: Architecture) -> Merging | None:
    """Find the prices of a merge, and say how far they are from what they have not seen.

    Parameters
    ----------
    samples : sequence of MergeSample
        What was measured: some for the fit, some held out.
    architecture : Architecture
        The model.

    Returns
    -------
    Merging or None
        None of too few: it takes two stacks, for what grows with the rank and what does not, and one held out.
    """
    seen = [sample for sample in samples if sample.role == "fit"]
    if len(seen) < _FEWEST_FITTED or len(seen) == len(samples):
        return None
    works = [merge_work(architecture, sample.targets, sample.rank) for sample in seen]
    times = np.array([median(sample.seconds) for sample in seen])
    found, undetermined = non_negative(MERGE_TERMS, amounts_matrix(MERGE_TERMS, works), times, 1 / times)
    prices = coefficients(found)
    usual, largest = merge_errors(samples, prices, architecture)
    return Merging(
        samples=tuple(samples),
        coefficients=prices,
        undetermined=undetermined,
        median_error_pct=usual,
        largest_error_pct=largest,
    )


def merge_errors(
    samples: Sequence[MergeSample], prices: Mapping[str, Coefficient], architecture: Architecture
) -> tuple[float, float]:
    """Median and largest error of merges that a fit has not seen, at least one, to hundredths [%]."""
    errors = [
        100 * abs(merge_seconds(prices, architecture, one.targets, one.rank) / median(one.seconds) - 1)
        for one in samples
        if one.role == "held-out"
    ]
    return round(median(errors), 2), round(max(errors), 2)
