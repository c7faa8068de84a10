"""What a trace consists of: processes with tracks, slices on them, arrows between slices, and levels of counters.

Everything is made as it is written. Besides the timeline, only a few bytes per span are kept: their order, on which
track of its kind each lies, and who waited for whom.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from parasim.trace.arrows import NANOSECONDS, Arrow, Arrows, Integers, nanoseconds
from sim.errors import OutputError
from sim.fleet import Fleet
from sim.result import TIMELINE_CLIENTS, Result
from sim.studies.critical import CriticalPath
from sim.timeline import SERVER, Kind, Span

_SERVER_PROCESS = 1
_FIRST_CLIENT_PROCESS = 2

_TRACKS = {Kind.COMPUTE: "compute", Kind.UPLOAD: "uplink", Kind.DOWNLOAD: "downlink", Kind.AGGREGATE: "aggregate"}


class Track(NamedTuple):
    """A line of slices that never overlap, or of a counter's levels.

    Attributes
    ----------
    number : int
        Its number; no process and no other track has it.
    name : str
        Such as ``uplink``.
    """

    number: int
    name: str


class Process(NamedTuple):
    """A client, the server, or the critical path.

    Attributes
    ----------
    number : int
        Its number, at least 1.
    name : str
        Such as ``rural 42``.
    tracks : list of Track
        In the order in which they are shown.
    counters : list of Track
        The same.
    """

    number: int
    name: str
    tracks: list[Track]
    counters: list[Track]


class Slice(NamedTuple):
    """Something that took time.

    Attributes
    ----------
    process, track : int
        Their numbers.
    name : str
        Such as ``upload 7``.
    start, end : int
        [ns].
    facts : dict
        What else is known of it.
    begins : list of Arrow
        Arrows from here to what waited for it.
    ends : list of int
        Numbers of the arrows that end here; each began in a slice that came earlier.
    """

    process: int
    track: int
    name: str
    start: int
    end: int
    facts: dict[str, int | float | str]
    begins: list[Arrow]
    ends: list[int]


class Level(NamedTuple):
    """A counter's value from a time on: track, time [ns], value [B/s]."""

    track: int
    time: int
    value: int


class Trace:
    """A run, ready to be written.

    Parameters
    ----------
    result : Result
        The run.
    critical : CriticalPath or None
        Its critical path, if that is to be shown.

    Raises
    ------
    OutputError
        If the run is too long for times in nanoseconds.
    """

    def __init__(self, result: Result, critical: CriticalPath | None = None):
        if result.wall_clock * NANOSECONDS >= 2**63:
            raise OutputError(f"a trace holds at most 292 years, and this run takes {result.wall_clock:.3g} s")
        self._result = result
        self._critical = critical
        self._fleet = Fleet(result.scenario.fleet)
        spans = result.timeline.spans
        # Causes have lower numbers than what waits for them, and end before it starts.
        self._order = sorted(range(len(spans)), key=lambda number: (spans[number].start, number))
        self._each_client = result.scenario.clients <= TIMELINE_CLIENTS
        self._lane_of, lanes = _lanes(spans, self._order)
        self._offsets, self._tracks_of = self._lay_out(lanes)
        self._number_tracks()
        self._arrows = Arrows(spans, self._copies)

    def processes(self) -> Iterator[Process]:
        """The processes, in the order in which they are shown."""
        if self._critical is not None:
            yield Process(self._critical_process, "critical path", [Track(self._critical_track, "critical path")], [])
        uses = [
            Track(self._counters[kind], f"server {link}, mean rate of each transfer")
            for kind, link in ((Kind.UPLOAD, "ingress"), (Kind.DOWNLOAD, "egress"))
        ]
        for client in (SERVER, *self._result.counts):
            for copy in range(self._copies(client)):
                first = self._base[client] + copy * len(self._tracks_of[client])
                tracks = [Track(first + index, name) for index, name in enumerate(self._tracks_of[client])]
                counters = uses if client == SERVER else []
                yield Process(self._process(client, copy), self._name(client, copy), tracks, counters)

    def slices(self) -> Iterator[Slice]:
        """The slices, in the order of their starts; causes come before their effects."""
        spans = self._result.timeline.spans
        for number in self._order:
            span = spans[number]
            offset = self._offsets[span.client, span.kind, self._lane_of[number]]
            facts = _facts(span)
            name = f"{span.kind.value} {span.round}"
            start, end = nanoseconds(span.start), nanoseconds(span.end)
            width = len(self._tracks_of[span.client])
            for copy in range(self._copies(span.client)):
                yield Slice(
                    self._process(span.client, copy),
                    self._base[span.client] + copy * width + offset,
                    name,
                    start,
                    end,
                    facts,
                    list(self._arrows.begin(number, copy)),
                    list(self._arrows.end(number, copy)),
                )
        yield from self._critical_slices()

    def levels(self) -> Iterator[Level]:
        """How much of the server's links is used, in the order of time.

        A transfer counts with its mean rate: its bytes over the time that is left of it after latency and
        serialization. Where a link is shared, true rates change while a transfer is under way, so that the sum may
        for a while be above the link's capacity or below it; the bytes, the area below the line, are right.
        """
        value = dict.fromkeys(self._counters, 0)
        for time, changes in groupby(self._changes(), key=lambda change: change[0]):
            touched = set()
            for _, kind, difference in changes:
                value[kind] += difference
                touched.add(kind)
            for kind in sorted(touched):
                yield Level(self._counters[kind], time, value[kind])

    def _changes(self) -> Iterator[tuple[int, Kind, int]]:
        """Beginnings and ends of transfers in the order of time; whole numbers add up to 0 again."""
        scenario, waiting = self._result.scenario, list[tuple[int, Kind, int]]()
        serialization = scenario.wire.serialization
        for number in self._order:
            span = self._result.timeline.spans[number]
            if span.kind not in self._counters:
                continue
            while waiting and waiting[0][0] < nanoseconds(span.start):
                yield heapq.heappop(waiting)
            start, end = span.start + self._fleet.group(span.client).latency, span.end
            if span.kind is Kind.UPLOAD:
                start += serialization
            else:
                end -= serialization
            if end > start:
                rate = round(span.size * self._result.counts[span.client] / (end - start))
                heapq.heappush(waiting, (nanoseconds(start), span.kind, rate))
                heapq.heappush(waiting, (nanoseconds(end), span.kind, -rate))
        while waiting:
            yield heapq.heappop(waiting)

    def _copies(self, client: int) -> int:
        """Processes that a simulated client is shown as."""
        return 1 if client == SERVER or not self._each_client else self._result.counts[client]

    def _process(self, client: int, copy: int) -> int:
        return _SERVER_PROCESS if client == SERVER else _FIRST_CLIENT_PROCESS + client + copy

    def _name(self, client: int, copy: int) -> str:
        if client == SERVER:
            return "server"
        group, count = self._fleet.group(client), self._result.counts[client]
        name = group.name or "client"
        if count > self._copies(client):
            return f"{name} × {count:,}"
        return name if group.count == 1 and group.name else f"{name} {client + copy}"

    def _lay_out(
        self, lanes: dict[tuple[int, Kind], int]
    ) -> tuple[dict[tuple[int, Kind, int], int], dict[int, list[str]]]:
        """Order of each client's tracks: offset by client, kind and lane, and their names."""
        offsets: dict[tuple[int, Kind, int], int] = {}
        names: dict[int, list[str]] = {}
        for client in (SERVER, *self._result.counts):
            names[client] = []
            for kind, name in _TRACKS.items():
                if (client == SERVER) != (kind is Kind.AGGREGATE):
                    continue
                for lane in range(max(1, lanes.get((client, kind), 0))):
                    offsets[client, kind, lane] = len(names[client])
                    names[client].append(name if lane == 0 else f"{name} {lane + 1}")
        return offsets, names

    def _number_tracks(self) -> None:
        """Number tracks onward from the processes."""
        free = _FIRST_CLIENT_PROCESS + self._result.scenario.clients
        self._critical_process, self._critical_track = free, free + 1
        self._counters = {Kind.UPLOAD: free + 2, Kind.DOWNLOAD: free + 3}
        free += 4
        self._base: dict[int, int] = {}
        for client in (SERVER, *self._result.counts):
            self._base[client] = free
            free += self._copies(client) * len(self._tracks_of[client])

    def _critical_slices(self) -> Iterator[Slice]:
        spans = self._result.timeline.spans
        for piece in () if self._critical is None else self._critical.pieces:
            whose = self._name(piece.client, 0)
            yield Slice(
                self._critical_process,
                self._critical_track,
                f"{piece.holder.value}, {whose}",
                nanoseconds(piece.start),
                nanoseconds(piece.end),
                {"round": spans[piece.span].round},
                [],
                [],
            )


def _lanes(spans: Sequence[Span], order: Sequence[int]) -> tuple[Integers, dict[tuple[int, Kind], int]]:
    """Put what one client does at the same time in one way on different lanes: of each span, and how many."""
    lane_of = np.zeros(len(spans), dtype=np.int64)
    free_from: dict[tuple[int, Kind], list[float]] = {}
    for number in order:
        span = spans[number]
        ends = free_from.setdefault((span.client, span.kind), [])
        lane = next((lane for lane, end in enumerate(ends) if end <= span.start), len(ends))
        if lane == len(ends):
            ends.append(span.end)
        ends[lane] = span.end
        lane_of[number] = lane
    return lane_of, {key: len(ends) for key, ends in free_from.items()}


def _facts(span: Span) -> dict[str, int | float | str]:
    facts: dict[str, int | float | str] = {"round": span.round}
    if span.blocks:
        facts["blocks"] = ", ".join(map(str, span.blocks))
    if span.size:
        facts["bytes"] = int(span.size) if span.size == int(span.size) else span.size
    return facts
