"""Whether a run's communication is hidden: computing ends as early as it would with unlimited links.

This is a statement about the run, not about one client: while a fast client waits for a slow one anyway, its messages
may take just as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import replace
from operator import attrgetter
from typing import TypeVar

from parasim_core.sim.analysis.critical_path import Holder, Piece, critical_path
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind, Span, Timeline

Name = TypeVar("Name", bound=Hashable)

ROUNDING = 1e-9
"""Share of the time computing takes that is rounding."""


def computed(result: Result) -> float:
    """When the last local update ended [s]; what comes after it, no computing could hide."""
    return max((span.end for span in result.timeline.spans if span.kind is Kind.COMPUTE), default=0.0)


def exposed_before(result: Result) -> dict[Holder, float]:
    """What else than computing the last local update had to wait for in the end, the largest first [s]."""
    return exposed_by(result, lambda piece: piece.holder)


def exposed_by(result: Result, name: Callable[[Piece], Name]) -> dict[Name, float]:
    """Tell the same by names that are given to the pieces of the critical path [s]."""
    end, spans = computed(result), result.timeline.spans
    last = max((n for n, span in enumerate(spans) if span.kind is Kind.COMPUTE and span.end == end), default=-1)
    # What ends later is put out of the way, so that the path goes back from the last local update.
    kept = [span if n <= last and span.end <= end else _out_of_the_way(span) for n, span in enumerate(spans)]
    held: dict[Name, float] = {}
    for piece in critical_path(replace(result, timeline=Timeline(kept, result.timeline.bound))).pieces:
        if piece.holder is not Holder.COMPUTING:
            called = name(piece)
            held[called] = held.get(called, 0.0) + piece.end - piece.start
    large = {called: seconds for called, seconds in held.items() if seconds > ROUNDING * end}
    return dict(sorted(large.items(), key=lambda item: -item[1]))


def both_directions_at_once(result: Result, clients: range) -> bool:
    """Whether any of some clients ever sends while it receives."""
    messages: dict[int, list[Span]] = {}
    for span in result.timeline.spans:
        if span.client in clients and span.kind in (Kind.UPLOAD, Kind.DOWNLOAD):
            messages.setdefault(span.client, []).append(span)
    for own in messages.values():
        own.sort(key=attrgetter("start"))
        # Of each direction, when the last one so far ends.
        ends = {Kind.UPLOAD: 0.0, Kind.DOWNLOAD: 0.0}
        for span in own:
            other = Kind.DOWNLOAD if span.kind is Kind.UPLOAD else Kind.UPLOAD
            if ends[other] > span.start:
                return True
            ends[span.kind] = max(ends[span.kind], span.end)
    return False


def _out_of_the_way(span: Span) -> Span:
    return span._replace(start=0.0, end=0.0, causes=(), beside=None)


def guess_hiding(result: Result, clients: range) -> float:
    """Bandwidth at which an update's two transfers just fit beside the computing of one of some clients [B/s].

    Parameters
    ----------
    result : Result
        A run with unlimited links.
    clients : range
        Their numbers. Others, whom they may have to wait for, are left out, so that this is a first guess.
    """
    sizes: dict[Kind, float] = {}
    free, fixed = math.inf, math.inf
    for span in result.timeline.spans:
        if span.client not in clients:
            continue
        if span.kind is Kind.COMPUTE:
            free = min(free, span.end - span.start - span.serial)
        else:
            sizes[span.kind] = max(sizes.get(span.kind, 0.0), span.size)
            fixed = min(fixed, span.end - span.start)
    seconds = free - 2 * fixed
    # A group that never computes or sends has no bandwidth that could be guessed.
    return sum(sizes.values()) / seconds if 0 < seconds < math.inf and sizes else 1e6
