"""Max-min fair rates of transfers over any paths, by progressive filling in whole arrays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def max_min_rates(links: NDArray[np.intp], weights: Floats, capacities: Floats, limits: Floats | None = None) -> Floats:
    """Compute the max-min fair rates under sum_f w_fl r_f <= C_l for every link l.

    Parameters
    ----------
    links : array of int, shape (transfers, hops)
        The link of every hop of every transfer.
    weights : array, shape (transfers, hops)
        What one unit of the transfer's rate takes of that link; 0 where it does not cross it.
    capacities : array, shape (links,)
        Capacities, `inf` for unlimited.
    limits : array, shape (transfers,), optional
        Most that each transfer gets, `inf` for unlimited; as a link that it has for itself.

    Returns
    -------
    array, shape (transfers,)
        Rates [B/s]; `inf` for a transfer that nothing limits.

    Notes
    -----
    Textbook filling raises all rates together until the first link is full, fixes its transfers and goes on
    (Bertsekas and Gallager, Data Networks, 6.5.2). Fixing transfers never lowers the level R_l / W_l (capacity
    left over weight left) of another link as long as their rate is no higher than it. So every link whose level
    is the lowest that each of its transfers meets can be fixed at once; a star takes a handful of rounds.
    """
    rates = np.full(len(links), np.inf)
    crossed = weights > 0
    limited = (crossed & np.isfinite(capacities)[links]).any(axis=1)
    if limits is not None:
        limited |= np.isfinite(limits)
    unfixed = np.flatnonzero(limited)
    links, weights, crossed = links[unfixed], weights[unfixed], crossed[unfixed]
    left = capacities.copy()
    while unfixed.size:
        weight = np.bincount(links.ravel(), weights.ravel(), minlength=len(capacities))
        level = np.full(len(capacities), np.inf)
        np.divide(left, weight, out=level, where=weight > 0)
        lowest_met = np.where(crossed, level[links], np.inf).min(axis=1, initial=math.inf)
        if limits is not None:
            lowest_met = np.minimum(lowest_met, limits[unfixed])
        lowest_on_link = np.full(len(capacities), np.inf)
        np.minimum.at(lowest_on_link, links, np.where(crossed, lowest_met[:, np.newaxis], np.inf))
        fixed = (crossed & (level <= lowest_on_link)[links]).any(axis=1)
        if limits is not None:
            fixed |= lowest_met >= limits[unfixed]
        rates[unfixed[fixed]] = lowest_met[fixed]
        used = weights[fixed] * lowest_met[fixed, np.newaxis]
        left -= np.bincount(links[fixed].ravel(), used.ravel(), minlength=len(capacities))
        np.maximum(left, 0.0, out=left)
        rest = ~fixed
        unfixed, links, weights, crossed = unfixed[rest], links[rest], weights[rest], crossed[rest]
    return rates
