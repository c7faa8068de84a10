"""Lines through simulated points: what is between two of them follows how runtimes depend on a quantity.

A run's time is a sum of messages, each its bytes by a bandwidth, and of computations and delays, each so long whatever
the bandwidth: along a bandwidth it is a straight line in the reciprocal, for as long as the same things hold it up.
Along a latency, a number of rounds or a batch size it is one in the quantity itself. On a logarithmic axis both are
curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_STEPS = 24
"""Points of a line from one simulated point to the next."""
_ALIKE = 0.02
"""Lines whose runtimes differ by no more than this share lie on each other."""
_DASHES = ("-", "--", ":", "-.")


def between(points: Sequence[tuple[float, float]], *, rate: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interpolate runtimes between simulated ones.

    Parameters
    ----------
    points : sequence of (float, float)
        Quantity, above 0, and runtime, in rising order.
    rate : bool
        Whether the quantity is one of which less makes runs longer, such as a bandwidth.

    Returns
    -------
    tuple of arrays
        Quantities, the given ones among them, and runtimes.
    """
    xs, ys = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    steps = (np.geomspace(low, high, _STEPS, endpoint=False) for low, high in pairwise(xs))
    fine = np.concatenate([*steps, xs[-1:]])
    if rate:
        return fine, np.interp(-1 / fine, -1 / xs, ys)
    return fine, np.interp(fine, xs, ys)


def dashes_on(drawn: list[dict[float, float]], runtimes: dict[float, float], number: int = 0) -> str:
    """Choose how a line is drawn, so that those on which it lies are seen between its dashes.

    Parameters
    ----------
    drawn : list of dict of float to float
        Runtimes by quantity of the lines drawn so far; this one is added.
    runtimes : dict of float to float
        Those of the line.
    number : int
        How many lines of its colour there are already.

    Returns
    -------
    str
        Matplotlib's name of a kind of line.
    """
    below = sum(
        all(abs(runtimes[x] - other[x]) <= _ALIKE * runtimes[x] for x in runtimes.keys() & other.keys())
        for other in drawn
    )
    drawn.append(runtimes)
    return _DASHES[max(number, below) % len(_DASHES)]
