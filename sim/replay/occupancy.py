"""Whether a link is ever asked for more than it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from parasim_core.sim.engine.timeline import Kind, Span
from parasim_core.sim.replay.conditions import Floats

_SLACK = 1e-11
"""Transfers that follow one another may seem to overlap by this share of the clock, by rounding."""


Crossing = tuple[Floats, Floats, Floats]
"""Begin and end of a transfer on a link [s], and its constant rate [B/s]: arrays of shape (what-ifs,) or (1,)."""


def never_exceeds(capacity: Floats, crossings: Sequence[Crossing], width: int) -> NDArray[np.bool_]:
    """Tell for each what-if, shape (what-ifs,), whether a link has all that is asked of it at any time.

    Parameters
    ----------
    capacity : array of shape (what-ifs,) or (1,)
        Of the link [B/s].
    crossings : sequence of Crossing
        The transfers that cross it.
    width : int
        Number of what-ifs.
    """
    if not crossings:
        return np.ones(width, dtype=np.bool_)
    # One row per what-if; ends first, so that of equal times they are counted first.
    columns = zip(*crossings, strict=True)
    begins, ends, rates = (np.stack([np.broadcast_to(v, width) for v in column], axis=1) for column in columns)
    order = np.argsort(np.hstack([ends * (1 - _SLACK), begins]), axis=1, kind="stable")
    peak = np.cumsum(np.take_along_axis(np.hstack([-rates, rates]), order, axis=1), axis=1).max(axis=1)
    fits: NDArray[np.bool_] = peak <= capacity * (1 + 1e-9)
    return fits


def messages_follow_one_another(spans: Iterable[Span]) -> bool:
    """Tell whether no client has two messages under way at the same time."""
    free_from: dict[int, float] = {}
    messages = (span for span in spans if span.kind in (Kind.UPLOAD, Kind.DOWNLOAD))
    for span in sorted(messages, key=lambda span: (span.start, span.end)):
        if span.start < free_from.get(span.client, 0.0):
            return False
        free_from[span.client] = span.end
    return True
