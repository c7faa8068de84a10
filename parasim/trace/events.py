"""What a trace consists of: processes with tracks, slices on them, arrows between slices, and counters (`counters.py`).

Every event is made as it is written. Besides the timeline, only numbers are kept: the order of the spans, on which
track of its kind each lies, and who waited for whom.

Times are whole microseconds: the viewer keeps nanoseconds and would round fractions in its own way, so that slices
which follow one another could overlap. Arrows follow their slice directly, because an arrow belongs to the slice that
was the last to begin on its track.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any

from parasim.figures.schedule import row_name
from parasim.trace.arrows import Arrows, microseconds
from parasim.trace.counters import capacity_levels, rate_levels
from parasim_core.sim.analysis.critical_path import CriticalPath
from parasim_core.sim.analysis.failing import What, failures
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.lines import Level, Line, access, lines
from parasim_core.sim.engine.result import TIMELINE_CLIENTS, Result
from parasim_core.sim.engine.timeline import SERVER, Kind, Span
from parasim_core.sim.errors import OutputError

_SERVER_PROCESS, _FIRST_CLIENT_PROCESS = 1, 2
_TRACKS = {Kind.COMPUTE: "compute", Kind.UPLOAD: "uplink", Kind.DOWNLOAD: "downlink", Kind.AGGREGATE: "aggregate"}
_CRITICAL_PATH = "critical path"
_FAILING = {What.REPAIR: "repairs", What.OUTAGE: "outages of the link", What.ABSENT: "not there"}

Event = dict[str, Any]


class RunTrace:
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
        if result.wall_clock * 1e9 >= 2**63:
            raise OutputError(f"a trace holds at most 292 years, and this run takes {result.wall_clock:.3g} s")
        self._result = result
        self._critical = critical
        self._fleet = Fleet.of(result.scenario)
        self._aggregators = tuple(self._fleet.aggregators.values())
        self._lines = list(lines(result.scenario))
        spans = result.timeline.spans
        # Causes have lower numbers than what waits for them, and end before it starts.
        self._order = sorted(range(len(spans)), key=lambda number: (spans[number].start, number))
        self._each_client = result.scenario.clients <= TIMELINE_CLIENTS
        self._lane_of, self._lanes = _lanes(spans, self._order)
        # Numbers of processes, of the critical path and its track, and of all other tracks follow one another.
        self._critical_process = _FIRST_CLIENT_PROCESS + result.scenario.clients
        self._first_line = self._critical_process + len(result.scenario.regions) + 1
        last = self._first_line + len(self._lines)
        self._track: dict[object, int] = defaultdict(count(last + 1).__next__)
        self._critical_track = self._track[_CRITICAL_PATH]
        self._arrows = Arrows(spans, self._copies)
        self._failures = failures(result)
        self._in_vain = {
            (each.client, each.of, each.round, each.start): each.what for each in self._failures if each.of is not None
        }
        self._has_failed = {(each.client, each.what) for each in self._failures}

    def events(self) -> Iterator[Event]:
        """All events: names of processes and tracks, slices in the order of their starts, then counters."""
        for place, (pid, name, tracks) in enumerate(self._processes()):
            yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}}
            yield {"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": place}}
            for index, (tid, track) in enumerate(tracks):
                on = {"ph": "M", "pid": pid, "tid": tid}
                yield on | {"name": "thread_name", "args": {"name": track}}
                yield on | {"name": "thread_sort_index", "args": {"sort_index": index}}
        for number in self._order:
            for copy in range(self._copies(self._result.timeline.spans[number].client)):
                yield from self._slice(number, copy)
        yield from self._failed()
        yield from self._critical_slices()
        yield from self._counters()

    def _processes(self) -> Iterator[tuple[int, str, list[tuple[int, str]]]]:
        """Number, name and tracks of each process, in the order in which they are shown."""
        if self._critical is not None:
            yield self._critical_process, _CRITICAL_PATH, [(self._critical_track, _CRITICAL_PATH)]
        yield from map(self._actor_process, (SERVER, *self._aggregators), repeat(0))
        for number, line in enumerate(self._lines):
            if (pid := self._line_process(number, line)) >= self._first_line:
                yield pid, line.name, []
        for client in self._result.counts:
            yield from map(self._actor_process, repeat(client), range(self._copies(client)))

    def _actor_process(self, actor: int, copy: int) -> tuple[int, str, list[tuple[int, str]]]:
        """Number, name and tracks of one copy of a client, or of another actor."""
        tracks = [
            (self._track[actor, copy, kind, lane], name if lane == 0 else f"{name} {lane + 1}")
            for kind, name in _TRACKS.items()
            if (actor == SERVER) == (kind is Kind.AGGREGATE) and (actor >= SERVER or kind is not Kind.COMPUTE)
            for lane in range(self._lanes.get((actor, kind), 1))
        ]
        tracks += [
            (self._track[actor, what], track) for what, track in _FAILING.items() if (actor, what) in self._has_failed
        ]
        return self._process(actor, copy), self._name(actor, copy), tracks

    def _slice(self, number: int, copy: int) -> Iterator[Event]:
        """One copy of a span, then the arrows that end and begin in it."""
        span = self._result.timeline.spans[number]
        track = self._track[span.client, copy, span.kind, self._lane_of[number]]
        where = {"pid": self._process(span.client, copy), "tid": track}
        start = microseconds(span.start)
        name, facts = f"{span.kind.value} {span.round}", _facts(span)
        if (what := self._in_vain.get((span.client, span.kind, span.round, span.start))) is not None:
            name, facts = f"{name} ({what.value})", facts | {"came to nothing": what.value}
        yield _complete(where, span.start, span.end, name, facts)
        for arrow in self._arrows.end(number, copy):
            yield {"ph": "f", "bp": "e", **where, "ts": start, "id": arrow, "cat": "cause", "name": "cause"}
        for arrow, time in self._arrows.begin(number, copy):
            yield {"ph": "s", **where, "ts": time, "id": arrow, "cat": "cause", "name": "cause"}

    def _failed(self) -> Iterator[Event]:
        """Repairs, outages and absences, on tracks of their own, and instants: a client vanishes, a deadline passes."""
        for each in self._failures:
            where = {"pid": self._process(each.client, 0)}
            if each.what in _FAILING:
                yield _complete(
                    where | {"tid": self._track[each.client, each.what]}, each.start, each.end, each.what.value, {}
                )
            elif each.of is None:
                facts = {"round": each.round}
                yield {
                    "ph": "i",
                    "s": "p",
                    **where,
                    "ts": microseconds(each.start),
                    "name": each.what.value,
                    "args": facts,
                }

    def _critical_slices(self) -> Iterator[Event]:
        where = {"pid": self._critical_process, "tid": self._critical_track}
        for piece in () if self._critical is None else self._critical.pieces:
            name = f"{piece.holder.value}, {self._name(piece.client, 0)}"
            facts = {"round": self._result.timeline.spans[piece.span].round}
            yield _complete(where, piece.start, piece.end, name, facts)

    def _counters(self) -> Iterator[Event]:
        """How much of each shared link is used, and what links can carry that vary, link by link.

        A transfer counts with its mean rate, of everyone whose messages cross the link.
        """
        messages: dict[int, list[Span]] = defaultdict(list)
        for span in self._result.timeline.spans:
            if span.spent:
                messages[span.client].append(span)
        links = []
        for number, line in enumerate(self._lines):
            pid = self._line_process(number, line)
            yield from _levels(pid, rate_levels(self._result, line, messages))
            links.append((pid, line.capacities))
        scenario, fleet = self._result.scenario, self._fleet
        links += [(self._process(client, 0), access(scenario, fleet, client)) for client in self._result.counts]
        for pid, levels in capacity_levels(links, self._result.wall_clock):
            yield from _levels(pid, levels)

    def _line_process(self, number: int, line: Line) -> int:
        """Process that a link's counters belong to: its aggregator's, the server's, or one of its own."""
        if line.level is Level.SERVER:
            return _SERVER_PROCESS
        return self._process(line.aggregators[0], 0) if line.aggregators else self._first_line + number

    def _copies(self, client: int) -> int:
        """Processes that a simulated client is shown as."""
        return 1 if client < 0 or not self._each_client else self._result.counts[client]

    def _process(self, client: int, copy: int) -> int:
        if client < SERVER:
            return self._critical_process + SERVER - client
        return _SERVER_PROCESS if client == SERVER else _FIRST_CLIENT_PROCESS + client + copy

    def _name(self, client: int, copy: int) -> str:
        together = self._result.counts.get(client, 1) // self._copies(client)
        return row_name(self._fleet, [range(client + copy, client + copy + together)])


def _levels(pid: int, levels: Iterable[tuple[str, int, float]]) -> Iterator[Event]:
    for name, time, rate in levels:
        yield {"ph": "C", "pid": pid, "ts": time, "name": name, "args": {"B/s": rate}}


def _complete(where: Event, start: float, end: float, name: str, facts: Event) -> Event:
    """Make a slice; its end is rounded, not its length, so that the next one can begin there."""
    begin = microseconds(start)
    return {"ph": "X", **where, "ts": begin, "dur": microseconds(end) - begin, "name": name, "args": facts}


def _lanes(spans: Sequence[Span], order: Sequence[int]) -> tuple[dict[int, int], dict[tuple[int, Kind], int]]:
    """Put what one client does at the same time in one way on different lanes: of each span, and how many."""
    lane_of: dict[int, int] = {}
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


def _facts(span: Span) -> Event:
    size = int(span.size) if span.size == int(span.size) else span.size
    facts = {"round": span.round, "blocks": ", ".join(map(str, span.blocks)), "bytes": size}
    return {name: fact for name, fact in facts.items() if fact or name == "round"}
