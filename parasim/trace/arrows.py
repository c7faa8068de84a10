"""Arrows of a trace: who waited for whom, by cause and by effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from parasim_core.sim.engine.timeline import Span

_MOST_CAUSES = 4
"""A client's span with more causes, at a barrier of many clients, gets an arrow only from the last of them to end."""


class Arrows:
    """All arrows of a run, by cause and by effect.

    Parameters
    ----------
    spans : sequence of Span
        The run; causes have lower numbers than their effects.
    copies : callable
        How often an actor is shown. Clients that are alike are copies of one another; an arrow between two of their
        spans is one for each copy.
    """

    def __init__(self, spans: Sequence[Span], copies: Callable[[int], int]):
        self._spans = spans
        self._by_cause: dict[int, list[tuple[int, range]]] = defaultdict(list)
        self._by_effect: dict[int, list[range]] = defaultdict(list)
        free = 1
        for effect, span in enumerate(spans):
            for cause in _causes(spans, span):
                numbers = range(free, free + copies(spans[cause].client if span.client < 0 else span.client))
                self._by_cause[cause].append((effect, numbers))
                self._by_effect[effect].append(numbers)
                free = numbers.stop

    def begin(self, number: int, copy: int) -> Iterator[tuple[int, int]]:
        """Arrows that begin in one copy of a span; where only the effect has copies, they begin in the first.

        Yields
        ------
        (int, int)
            Number of the arrow, and a time at which the slice that it begins in is under way [us].
        """
        span = self._spans[number]
        for place, arrows in self._by_cause.get(number, ()):
            effect = self._spans[place]
            # A microsecond before the end the slice is surely the one that is under way on its track.
            time = max(microseconds(span.start), min(microseconds(span.end) - 1, microseconds(effect.start)))
            if effect.client < 0 or effect.client == span.client:
                yield arrows[copy], time
            elif copy == 0:
                yield from ((arrow, time) for arrow in arrows)

    def end(self, number: int, copy: int) -> Iterator[int]:
        """Arrows that end in one copy of a span."""
        for arrows in self._by_effect.get(number, ()):
            yield from arrows if self._spans[number].client < 0 else (arrows[copy],)


def microseconds(seconds: float) -> int:
    """Cut a time [s] off to whole microseconds, but for what is missing to them by rounding."""
    return round(seconds * 1e9) // 1000


def _causes(spans: Sequence[Span], span: Span) -> Sequence[int]:
    """Spans from which arrows go to this one, in the order of their numbers."""
    causes = set(span.causes)
    if span.client >= 0 and len(causes) > _MOST_CAUSES:
        causes = {max(span.causes, key=lambda cause: spans[cause].end)}
    if span.beside is not None:
        causes.add(span.beside)
    return sorted(causes)
