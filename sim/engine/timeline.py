"""What happened when: spans with their causes, and where each client's time went.

A span is one activity of one client (or of a group of clients that behave alike) or of the server. It names
the spans it waited for, so that the whole run is one graph of causes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import IO, TYPE_CHECKING, NamedTuple

from parasim_core.sim.engine.incidents import Incidents
from parasim_core.sim.support.frames import frame

if TYPE_CHECKING:
    import pandas as pd

SERVER = -1
"""Number of the server among the actors; regions' aggregators have lower ones, clients count from 0."""

COLUMNS = ("client", "round", "kind", "start_s", "end_s", "bytes", "block")


class Kind(StrEnum):
    """What is done during a span."""

    COMPUTE = "compute"
    UPLOAD = "upload"
    DOWNLOAD = "download"
    AGGREGATE = "aggregate"


class Parts(NamedTuple):
    """What the time of a message was spent on [s]; together, all of it.

    Attributes
    ----------
    packing : float
        Packing it before, or unpacking it after, its transfer.
    latency : float
        Of the link.
    alone : float
        What its own access link alone takes.
    shared : float
        What it took longer than that, because links were shared.
    stalled : float
        During which a link on its path carried nothing.
    repeated : float
        What had to be sent again.
    start_up : float
        Until it went at its full rate, beyond the latency, where TCP is modelled.
    limited : float
        What the rate that loss and window allow made it take longer than its own access link alone.
    """

    packing: float
    latency: float
    alone: float
    shared: float = 0.0
    stalled: float = 0.0
    repeated: float = 0.0
    start_up: float = 0.0
    limited: float = 0.0


PART_COLUMNS = tuple(f"{part}_s" for part in Parts._fields)
"""Columns of `Parts`."""


class Span(NamedTuple):
    """One activity.

    Attributes
    ----------
    client : int
        Number of the (first) client, `SERVER`, or a region's aggregator below it.
    round : int
        0-based round that it belongs to: of the update that is computed, sent or aggregated; for a
        download, the newest round whose aggregate it brings.
    kind : Kind
        What is done.
    start, end : float
        From the moment it is asked for to the moment it is done [s].
    size : float
        Bytes moved, per client [B].
    blocks : tuple of int
        Blocks that it is about.
    causes : tuple of int
        Numbers of the spans it waited for.
    serial : float
        Of a computation: its part at the start during which nothing can be sent [s].
    beside : int or None
        Of a message: number of the computation that runs at the same time and whose serial part it waited
        for as well. A span starts at the latest end of its causes, or of that part.
    spent : tuple of float
        Of a message: the values of its `parts`, as a plain tuple, of which there may be millions.
    """

    client: int
    round: int
    kind: Kind
    start: float
    end: float
    size: float
    blocks: tuple[int, ...]
    causes: tuple[int, ...]
    serial: float = 0.0
    beside: int | None = None
    spent: tuple[float, ...] = ()

    @property
    def parts(self) -> Parts | None:
        """What a message's time was spent on; None for anything else."""
        return Parts(*self.spent) if self.spent else None


_SPAN = tuple.__new__
_COMPUTE, _UPLOAD = Kind.COMPUTE, Kind.UPLOAD


@dataclass(slots=True)
class Timeline:
    """The spans of a run, in the order in which they were recorded; a span's number is its position.

    Attributes
    ----------
    spans : list of Span
        The spans.
    bound : dict of int to int
        Of messages that a shared link bound in the end, whose it is: number of the first client of a site, of a region,
        or the server's. Noted where there are sites, regions or TCP; elsewhere it is the server's.
    wasted : set of int
        Computations and messages that came to nothing: they were cut off, or their update was never aggregated. Noted
        where rounds are opened one by one.
    incidents : Incidents
        What went wrong. Noted where rounds are opened one by one.
    """

    spans: list[Span] = field(default_factory=list)
    bound: dict[int, int] = field(default_factory=dict)
    wasted: set[int] = field(default_factory=set)
    incidents: Incidents = field(default_factory=Incidents)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the spans, in the order of ``timeline.csv``: one row for each that was simulated.

        Alike clients that were simulated once are the first of them; the server is -1, aggregators have lower numbers.
        ``attrs["units"]`` has the units.
        """
        columns = (*COLUMNS, *PART_COLUMNS)
        rows = []
        for span in sorted(self.spans, key=_in_order):
            of_span = (span.client, span.round, span.kind.value, span.start, span.end, span.size, span.blocks)
            rows.append(dict(zip(columns, (*of_span, *(span.parts or ())), strict=False)))
        return frame(rows, columns)

    def record(
        self,
        client: int,
        round: int,
        kind: Kind,
        start: float,
        end: float,
        size: float = 0.0,
        blocks: tuple[int, ...] = (),
        causes: tuple[int, ...] = (),
        serial: float = 0.0,
        beside: int | None = None,
        spent: tuple[float, ...] = (),
    ) -> int:
        """Add a span and return its number."""
        # Past the class's own constructor, which costs as much again as all the rest.
        self.spans.append(_SPAN(Span, (client, round, kind, start, end, size, blocks, causes, serial, beside, spent)))
        return len(self.spans) - 1

    def cut(self, end: float) -> None:
        """Let everything that would end later end at a time [s]."""
        for number, span in enumerate(self.spans):
            if span.end > end:
                self.spans[number] = span._replace(end=end, serial=min(span.serial, end - span.start))

    def end_now(self, number: int, now: float) -> None:
        """Let a span that would end later end now [s]."""
        span = self.spans[number]
        self.spans[number] = span._replace(end=now, serial=min(span.serial, now - span.start))

    def repeated(self, number: int) -> None:
        """Let all time of a message that is sent anew count as repeated."""
        span = self.spans[number]
        self.spans[number] = span._replace(spent=tuple(Parts(0.0, 0.0, 0.0, repeated=span.end - span.start)))

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def of(self, numbers: Iterable[int]) -> Iterator[Span]:
        """Spans of some numbers."""
        return (self.spans[number] for number in numbers)

    def by_client(self) -> Iterator[tuple[int, list[Span]]]:
        """Spans of each client that has any, by itself."""
        own: dict[int, list[Span]] = {}
        for span in self.spans:
            if span.client >= 0:
                own.setdefault(span.client, []).append(span)
        yield from own.items()

    @property
    def end(self) -> float:
        """When the last activity is done [s]; 0 if there was none."""
        return max(map(attrgetter("end"), self.spans), default=0.0)


class Account(NamedTuple):
    """Where one client's wall-clock went: compute, exposed, waiting, offline and failed add up to it.

    Attributes
    ----------
    compute : float
        Computing, whether or not something was sent at the same time [s].
    exposed : float
        Sending or receiving without computing [s].
    waiting : float
        Neither, while taking part: for other clients or the server [s].
    offline : float
        Not taking part [s].
    hidden : float
        Sending or receiving while computing: a part of `compute` [s].
    stalled : float
        The part of `exposed` before the client's last computation began: what more bandwidth could hide [s].
    uploaded, downloaded : float
        Bytes moved [B].
    failed : float
        Doing nothing of this, while taking part, because the device or the link was down [s].
    """

    compute: float
    exposed: float
    waiting: float
    offline: float
    hidden: float
    stalled: float
    uploaded: float
    downloaded: float
    failed: float = 0.0


Interval = tuple[float, float]


def account(
    spans: Iterable[Span], presence: Sequence[Interval], wall_clock: float, down: Sequence[Interval] = ()
) -> Account:
    """Divide one client's wall-clock into what it did.

    Parameters
    ----------
    spans : iterable of Span
        All spans of the client.
    presence : sequence of (float, float)
        Disjoint intervals in which it takes part [s].
    wall_clock : float
        Length of the run [s].
    down : sequence of (float, float)
        Intervals in which its device or link was down [s].

    Returns
    -------
    Account
        compute + exposed + waiting + offline + failed = wall-clock. The run is cut at every start and end, each piece
        is given to exactly one part, and the pieces are added without rounding (`math.fsum`).
    """
    computing: list[Interval] = []
    sending: list[Interval] = []
    uploaded: list[float] = []
    downloaded: list[float] = []
    in_turn, last = True, 0.0
    for span in spans:
        _, _, kind, start, end, size, *_ = span
        in_turn = in_turn and start >= last
        last = end
        if kind is _COMPUTE:
            computing.append((start, end))
        else:
            sending.append((start, end))
            (uploaded if kind is _UPLOAD else downloaded).append(size)
    total = math.fsum
    if in_turn and not down and len(presence) == 1 and presence[0][0] == 0 and last <= presence[0][1]:
        parts = _of_spans_in_turn(computing, sending, presence[0][1], wall_clock)
    else:
        parts = _of_pieces(computing, sending, presence, down, wall_clock)
    compute, exposed, waiting, offline, failed, hidden, stalled = map(total, parts)
    return Account(
        compute, exposed, waiting, offline, hidden, stalled, total(uploaded), total(downloaded), failed
    )  # fmt: skip


_Pieces = list[float]
"""Ends of the pieces of a part and their negated starts: such sums telescope to the wall-clock itself, and not to
rounded lengths."""


def _of_spans_in_turn(
    computing: Sequence[Interval], sending: Sequence[Interval], gone: float, wall_clock: float
) -> Sequence[_Pieces]:
    """Pieces of the parts of an account, in their order, where nothing is done beside anything else."""
    compute = [time for start, end in computing for time in (end, -start)]
    exposed = [time for start, end in sending for time in (end, -start)]
    waiting = [gone, *[-time for time in compute], *[-time for time in exposed]]
    last_computation = computing[-1][0] if computing else 0.0
    stalled = [time for start, end in sending if end <= last_computation for time in (end, -start)]
    return compute, exposed, waiting, [wall_clock, -gone], [], [], stalled


def _of_pieces(
    computing: Sequence[Interval],
    sending: Sequence[Interval],
    presence: Sequence[Interval],
    down: Sequence[Interval],
    wall_clock: float,
) -> Sequence[_Pieces]:
    """The same for any spans."""
    last_computation = max(computing)[0] if computing else 0.0
    changes: list[tuple[float, int, int]] = [(wall_clock, 0, 0)]
    for which, intervals in enumerate((computing, sending, presence, down)):
        for start, end in intervals:
            changes.append((start, which, 1))
            changes.append((end, which, -1))
    changes.sort()
    compute: _Pieces = []
    exposed: _Pieces = []
    waiting: _Pieces = []
    offline: _Pieces = []
    failed: _Pieces = []
    hidden: _Pieces = []
    stalled: _Pieces = []
    # How many intervals of each kind cover the piece.
    depth = [0, 0, 0, 0]
    position = 0.0
    for time, which, change in changes:
        if time > position:
            piece = (time, -position)
            computes, sends, present, fails = depth
            if computes:
                compute += piece
                if sends:
                    hidden += piece
            elif sends:
                exposed += piece
                if time <= last_computation:
                    stalled += piece
            elif not present:
                offline += piece
            else:
                (failed if fails else waiting).extend(piece)
            position = time
        depth[which] += change
    return compute, exposed, waiting, offline, failed, hidden, stalled


def _in_order(span: Span) -> tuple[float, bool, int, float]:
    return span.start, span.client < 0, span.client, span.end


def write_csv(
    file: IO[str],
    spans: Iterable[Span],
    counts: dict[int, int],
    name: Callable[[int], str] = lambda actor: "server",
    *,
    collapse: bool,
    parts: bool = False,
) -> None:
    """Write spans as CSV, one line each, in order of start, then client.

    Parameters
    ----------
    file : text file
        Where to write.
    spans : iterable of Span
        What to write.
    counts : dict of int to int
        Number of clients that behave like client `key`; they are numbered onward from it.
    name : callable
        Names an actor that is no client.
    collapse : bool
        Write one set of rows per group, with a column `count`, instead of one per client.
    parts : bool
        Write what messages' time was spent on, a column for each of their `Parts` [s].
    """
    writer = csv.writer(file, lineterminator="\n")
    columns = (*COLUMNS, *PART_COLUMNS) if parts else COLUMNS
    writer.writerow((*columns, "count") if collapse else columns)
    for span in sorted(spans, key=_in_order):
        count = counts.get(span.client, 1)
        size = int(span.size) if span.size == int(span.size) else span.size
        blocks = ";".join(map(str, span.blocks))
        row: tuple[object, ...] = (span.round, span.kind.value, repr(span.start), repr(span.end), size, blocks)
        if parts:
            row += tuple(map(repr, span.parts)) if span.parts else ("",) * len(PART_COLUMNS)
        if collapse or span.client < 0:
            who = name(span.client) if span.client < 0 else span.client
            writer.writerow((who, *row, count) if collapse else (who, *row))
        else:
            writer.writerows((client, *row) for client in range(span.client, span.client + count))
