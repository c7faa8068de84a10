"""Whether a link is ever asked for more than it has."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sim.studies.conditions import Floats
from sim.timeline import Kind, Span

_SLACK = 1e-11
"""Transfers that follow one another may seem to overlap by this share of the clock, by rounding."""


class Occupancy:
    """The transfers that cross a link in each of a number of what-ifs.

    Parameters
    ----------
    capacity : array of shape (what-ifs,) or (1,)
        Of the link [B/s].
    width : int
        Number of what-ifs.
    """

    def __init__(self, capacity: Floats, width: int):
        self._capacity = capacity
        self._width = width
        self._begins: list[Floats] = []
        self._ends: list[Floats] = []
        self._rates: list[Floats] = []

    def add(self, begin: Floats, end: Floats, rate: Floats) -> None:
        """Let a transfer cross the link at a constant rate.

        Parameters
        ----------
        begin, end : array of shape (what-ifs,)
            [s].
        rate : array of shape (what-ifs,) or (1,)
            [B/s].
        """
        self._begins.append(begin)
        self._ends.append(end * (1 - _SLACK))
        self._rates.append(np.broadcast_to(rate, (self._width,)))

    def fits(self) -> NDArray[np.bool_]:
        """Tell for each what-if, shape (what-ifs,), whether the rates in progress never exceed the capacity."""
        if not self._begins:
            return np.ones(self._width, dtype=np.bool_)
        # One row per what-if; ends first, so that of equal times they are counted first.
        times = np.stack(self._ends + self._begins, axis=1)
        changes = np.stack([-rate for rate in self._rates] + self._rates, axis=1)
        order = np.argsort(times, axis=1, kind="stable")
        peak = np.cumsum(np.take_along_axis(changes, order, axis=1), axis=1).max(axis=1)
        fits: NDArray[np.bool_] = peak <= self._capacity * (1 + 1e-9)
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
