"""Counters of a trace: the rate over each shared link, and what links can carry whose capacity varies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter

from parasim.trace.arrows import microseconds
from parasim_core.sim.engine.lines import Capacities, Level, Line
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind, Span
from parasim_core.sim.network.capacity import Varying

Levels = Iterator[tuple[str, int, float]]
"""Name of a counter, a time [us], and its value from then on [B/s]."""

_SERVER_LINKS = {Kind.UPLOAD: "server ingress", Kind.DOWNLOAD: "server egress"}
_DIRECTIONS = {Kind.UPLOAD: "up", Kind.DOWNLOAD: "down"}
_MOST_LEVELS = 200_000
"""Levels of the capacities of all links together; each has the same share of it."""
_FEWEST = 20
"""Of one link; where there would be fewer, the last links are left out."""


def rate_levels(result: Result, line: Line, messages: Mapping[int, Sequence[Span]]) -> Levels:
    """How much of a link is used, in the order of time, in both directions.

    A transfer counts with its mean rate: its bytes over the time that is left of it after latency and serialization.
    Where a link is shared, true rates change while a transfer is under way, so that the sum may for a while be above
    the link's capacity or below it; the bytes, the area below the line, are right.

    Parameters
    ----------
    result : Result
        The run.
    line : Line
        One of its links.
    messages : mapping of int to sequence of Span
        By client or aggregator.
    """
    names = _SERVER_LINKS if line.level is Level.SERVER else _DIRECTIONS
    level = dict.fromkeys(names, 0)
    for (time, kind), changes in groupby(_changes(result, line, messages), key=itemgetter(0, 1)):
        level[kind] += sum(difference for _, _, difference in changes)
        yield f"{names[kind]}, mean rate of each transfer", time, level[kind]


def _changes(result: Result, line: Line, messages: Mapping[int, Sequence[Span]]) -> list[tuple[int, Kind, int]]:
    """Beginnings and ends of transfers [us] in the order of time; whole numbers add up to 0 again."""
    changes = []
    serialization = result.scenario.wire.serialization
    for span in chain.from_iterable(messages.get(actor, ()) for actor in chain(*line.clients, line.aggregators)):
        assert span.parts is not None
        start, end, packing = span.start + span.parts.latency, span.end, serialization * (span.client >= 0)
        if span.kind is Kind.UPLOAD:
            start += packing
        else:
            end -= packing
        if end > start:
            rate = round(span.size * result.counts.get(span.client, 1) / (end - start))
            changes += [(microseconds(start), span.kind, rate), (microseconds(end), span.kind, -rate)]
    return sorted(changes)


def capacity_levels(links: Sequence[tuple[int, Capacities]], end: float) -> Iterator[tuple[int, Levels]]:
    """What links can carry whose capacity varies, with the process of each.

    Where there are many changes, levels are means over equal stretches; where there are many links, of the last ones
    nothing is shown.

    Parameters
    ----------
    links : sequence of int and Capacities
        Process of each link, and its capacities.
    end : float
        Of the run [s].
    """
    varying = [
        (pid, f"capacity {way}", link)
        for pid, capacities in links
        for way, link in zip(_DIRECTIONS.values(), capacities, strict=True)
        if isinstance(link, Varying)
    ]
    most = max(_FEWEST, _MOST_LEVELS // max(1, len(varying)))
    for pid, name, link in varying[: _MOST_LEVELS // most]:
        levels, _ = link.levels(end, most)
        yield pid, iter([(name, microseconds(time), rate) for time, rate in levels])
