"""Arrows of a trace: who waited for whom, kept as a few whole numbers for each."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sim.timeline import SERVER, Span

NANOSECONDS = 1e9
_MOST_CAUSES = 4
"""A client's span with more causes, at a barrier of many clients, gets an arrow only from the last of them to end."""

Integers = NDArray[np.int64]


class Arrows:
    """All arrows of a run, by cause and by effect.

    Parameters
    ----------
    spans : sequence of Span
        The run; causes have lower numbers than their effects.
    copies : callable
        How often a client, or the server, is shown. Clients that are alike are copies of one another; an arrow
        between two of their spans is one for each copy.
    """

    def __init__(self, spans: Sequence[Span], copies: Callable[[int], int]):
        self._spans = spans
        causes, effects, many = array("q"), array("q"), array("q", (1,))
        for effect, span in enumerate(spans):
            for cause in _causes(spans, span):
                causes.append(cause)
                effects.append(effect)
                many.append(copies(spans[cause].client if span.client == SERVER else span.client))
        numbers = np.arange(len(spans) + 1)
        self._cause: Integers = np.array(causes, dtype=np.int64)
        self._effect: Integers = np.array(effects, dtype=np.int64)
        self._by_cause = np.argsort(self._cause, kind="stable")
        self._first_by_cause = np.searchsorted(self._cause[self._by_cause], numbers)
        self._first_by_effect = np.searchsorted(self._effect, numbers)
        self._arrow_number: Integers = np.cumsum(np.array(many, dtype=np.int64))

    def begin(self, number: int, copy: int) -> Iterator[tuple[int, int]]:
        """Arrows that begin in one copy of a span; where only the effect has copies, they begin in the first.

        Yields
        ------
        (int, int)
            Number of the arrow, and a time at which the slice that it begins in is under way [ns].
        """
        spans = self._spans
        span = spans[number]
        for pair in self._by_cause[self._first_by_cause[number] : self._first_by_cause[number + 1]].tolist():
            effect = spans[int(self._effect[pair])]
            first, end = int(self._arrow_number[pair]), int(self._arrow_number[pair + 1])
            # A microsecond before the end the slice is surely the one that is under way on its track.
            time = max(nanoseconds(span.start), min(nanoseconds(span.end) - 1000, nanoseconds(effect.start)))
            if effect.client in (SERVER, span.client):
                yield first + copy, time
            elif copy == 0:
                yield from ((arrow, time) for arrow in range(first, end))

    def end(self, number: int, copy: int) -> Iterator[int]:
        """Arrows that end in one copy of a span."""
        server = self._spans[number].client == SERVER
        for pair in range(self._first_by_effect[number], self._first_by_effect[number + 1]):
            first, end = int(self._arrow_number[pair]), int(self._arrow_number[pair + 1])
            yield from range(first, end) if server else (first + copy,)


def nanoseconds(seconds: float) -> int:
    """Round a time [s] to a whole number of nanoseconds."""
    return round(seconds * NANOSECONDS)


def _causes(spans: Sequence[Span], span: Span) -> Sequence[int]:
    """Spans from which arrows go to this one, in the order of their numbers."""
    causes = set(span.causes)
    if span.client != SERVER and len(causes) > _MOST_CAUSES:
        causes = {max(span.causes, key=lambda cause: spans[cause].end)}
    if span.beside is not None:
        causes.add(span.beside)
    return sorted(causes)
