"""The critical path of a run: which spans its wall-clock consists of, and which resource held each piece.

From the end of the run one goes back along the cause that ended last. Every moment of the run thereby belongs to
exactly one span, and every piece of a span to the resource that it used: what a transfer would take on its own
access link alone belongs to that link; what it takes longer than that to the link that others share and that bound it
when its last byte arrived, of a site, a region or the server; and what TCP costs is told apart. So is what failures
cost: work that came to nothing, and time in which nothing was done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.incidents import Closing
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind, Span
from parasim_core.sim.scenario.scenario import Scenario


class Holder(StrEnum):
    """What can hold up a run."""

    COMPUTING = "computing"
    UPLINK = "uplink"
    DOWNLINK = "downlink"
    INGRESS = "server ingress"
    EGRESS = "server egress"
    STALLED = "stalled link"
    REPEATED = "repeated transfer"
    LATENCY = "latency"
    SERIALIZATION = "serialization"
    AGGREGATION = "aggregation"
    UNRECORDED = "unrecorded wait"
    SITE = "site line"
    REGION = "region link"
    TWO_WAY = "two-way traffic"
    START_UP = "TCP start-up"
    LIMITED = "TCP rate limit"
    REPAIR = "repair"
    OUTAGE = "outage"
    ANEW = "work begun anew"
    VAIN = "waiting in vain"
    LATE = "late update"
    NOBODY = "nobody there"
    DEADLINE = "deadline"


class Piece(NamedTuple):
    """A stretch of time, and what held it.

    Attributes
    ----------
    span : int
        Number of the span that it belongs to; for the serial part of a computation, the computation.
    holder : Holder
        Kind of resource.
    client : int
        Whose it is: number of the (first) client, or `SERVER`. A client whose transfer is slowed by a link that others
        share is not named here, but the server, the region (by its number below the server's) or the first client of
        the site whose link it is.
    start, end : float
        [s].
    """

    span: int
    holder: Holder
    client: int
    start: float
    end: float


@dataclass(frozen=True)
class CriticalPath:
    """What the wall-clock consists of.

    Attributes
    ----------
    pieces : tuple of Piece
        In the order of time, each beginning where the one before it ends.
    """

    pieces: tuple[Piece, ...]

    def held(self) -> dict[tuple[Holder, int], float]:
        """Seconds that each resource of each client holds, the largest first [s]."""
        pieces: dict[tuple[Holder, int], list[Piece]] = {}
        for piece in self.pieces:
            pieces.setdefault((piece.holder, piece.client), []).append(piece)
        seconds = {key: length(own) for key, own in pieces.items()}
        return dict(sorted(seconds.items(), key=lambda item: (-item[1], item[0])))


def length(pieces: Iterable[Piece]) -> float:
    """Sum of some pieces [s]; of all pieces of a path it is the wall-clock, without any rounding."""
    # Two terms per piece: neighbours cancel exactly, as in `sim.engine.timeline.account`.
    return math.fsum(term for piece in pieces for term in (piece.end, -piece.start))


def pieces_of(number: int, span: Span, sharing: Sharing | None = None) -> Iterator[Piece]:
    """Divide a span among the resources that it used, in the order of time.

    Parameters
    ----------
    number : int
        Of the span.
    span : Span
        The span.
    sharing : callable, optional
        Tells what made a message slower than its own link; the server's if not given.
    """
    parts = _parts(number, span, sharing)
    time = span.start
    for holder, client, seconds in parts[:-1]:
        end = min(time + seconds, span.end)
        if end > time:
            yield Piece(number, holder, client, time, end)
            time = end
    if span.end > time:
        yield Piece(number, *parts[-1][:2], time, span.end)


def _parts(number: int, span: Span, sharing: Sharing | None) -> list[tuple[Holder, int, float]]:
    client = span.client
    if span.parts is None:
        holder = Holder.AGGREGATION if span.kind is Kind.AGGREGATE else Holder.COMPUTING
        return [(holder, client, span.end - span.start)]
    uploads, spent = span.kind is Kind.UPLOAD, span.parts
    shared_by = Holder.INGRESS if uploads else Holder.EGRESS, SERVER
    if spent.shared and sharing is not None:
        shared_by = sharing(number)
    parts = [
        (Holder.LATENCY, client, spent.latency),
        (Holder.START_UP, client, spent.start_up),
        (Holder.UPLINK if uploads else Holder.DOWNLINK, client, spent.alone),
        (Holder.LIMITED, client, spent.limited),
        (*shared_by, spent.shared),
        (Holder.STALLED, client, spent.stalled),
        (Holder.REPEATED, client, spent.repeated),
    ]
    packed = (Holder.SERIALIZATION, client, spent.packing)
    parts = [packed, *parts] if uploads else [*parts, packed]
    # What is last takes up the rounding, so it must be something that took time.
    return [part for part in parts if part[2] > 0] or parts[:1]


Sharing = Callable[[int], tuple[Holder, int]]


def sharing_of(result: Result) -> Sharing:
    """Tell what made a message slower than its own link alone, by the number of its span, and whose that is."""
    timeline, scenario = result.timeline, result.scenario
    fleet = Fleet.of(scenario)
    numbers = {name: SERVER - 1 - index for index, name in enumerate(scenario.regions)}

    @cache
    def messages() -> dict[int, list[Span]]:
        """All of them, by whose they are."""
        found: dict[int, list[Span]] = {}
        for span in timeline.spans:
            if span.spent:
                found.setdefault(span.client, []).append(span)
        return found

    def nearest(client: int) -> int:
        """The nearest link above its own that is limited: when that bound it, others had more to send."""
        if client < 0:
            return SERVER
        group = fleet.group(client)
        if group.site is not None:
            first = fleet.firsts[fleet.index(client)]
            return first + (client - first) // group.site.clients * group.site.clients
        limited = group.region is not None and scenario.regions[group.region].uplink is not None
        return numbers[group.region] if limited and group.region else SERVER

    def shared_by(number: int) -> tuple[Holder, int]:
        span = timeline.spans[number]
        bound = timeline.bound.get(number)
        if bound is None:
            # Its own link bound it in the end.
            others = messages()[span.client]
            if _with_transport(scenario, fleet, span.client) and _meets_another(others, span, same_way=False):
                return Holder.TWO_WAY, span.client
            if _meets_another(others, span, same_way=True):
                return Holder.UPLINK if span.kind is Kind.UPLOAD else Holder.DOWNLINK, span.client
            bound = nearest(span.client)
        if bound == SERVER:
            return Holder.INGRESS if span.kind is Kind.UPLOAD else Holder.EGRESS, SERVER
        return Holder.SITE if bound >= 0 else Holder.REGION, bound

    return shared_by


def _with_transport(scenario: Scenario, fleet: Fleet, client: int) -> bool:
    """Whether TCP stands in front of the link of a client or an aggregator."""
    if client >= 0:
        return fleet.group(client).transport is not None
    regions = list(scenario.regions.values())
    return client != SERVER and regions[SERVER - 1 - client].transport is not None


def _meets_another(messages: Iterable[Span], span: Span, *, same_way: bool) -> bool:
    """Whether a message meets another one of the same actor's that goes the same way, or the other way."""
    return any(
        other is not span
        and (other.kind is span.kind) is same_way
        and other.start < span.end
        and span.start < other.end
        for other in messages
    )


def critical_path(result: Result) -> CriticalPath:
    """Go back from the end of a run along the causes that ended last.

    Parameters
    ----------
    result : Result
        A simulated run.

    Returns
    -------
    CriticalPath
        Its `length` is the wall-clock. Of causes that ended together, the one named first is followed: others would
        have held the run up just as long. Time before a span in which nothing that it is known to have waited
        for was going on is what a failure or a deadline made it wait, or else an `unrecorded wait`; the protocols that
        paraSim brings along leave none.
    """
    spans, sharing, failing = result.timeline.spans, sharing_of(result), _Failing(result)
    backwards: list[Piece] = []
    # The last to end; of several, the server's or the one recorded last, which may have waited for the others: clients'
    # spans that were cut off by the end of the run did not bring it about.
    number: int | None = max(
        range(len(spans)), key=lambda n: (spans[n].end, spans[n].client == SERVER, n), default=None
    )
    effect: Span | None = None
    while number is not None:
        span = spans[number]
        backwards += reversed([*failing.told_apart(number, effect, pieces_of(number, span, sharing))])
        held_up = [*failing.held_up(number, _reached(spans, span), span.start)]
        backwards += held_up
        begin, effect = held_up[-1].start if held_up else span.start, span
        beside = _computed(spans, span.beside, begin)
        if beside is not None and _reached(spans, span) < begin:
            number = beside
            span = effect = spans[number]
            backwards.append(Piece(number, Holder.COMPUTING, span.client, span.start, begin))
            begin = span.start
        backwards += failing.waited(number, _reached(spans, span), begin)
        number = max(span.causes, key=lambda cause: spans[cause].end, default=None)
    return CriticalPath(tuple(reversed(backwards)))


def _computed(spans: Sequence[Span], number: int | None, time: float) -> int | None:
    """Find the span of an update's computing that began before a time [s], going back from one of them."""
    while number is not None and spans[number].start >= time:
        span = spans[number]
        number = next((cause for cause in span.causes if spans[cause][:3] == span[:3]), None)
    return number


def _reached(spans: Sequence[Span], span: Span) -> float:
    """When the last cause of a span ended [s]; the beginning of the run if it has none."""
    return max((spans[cause].end for cause in span.causes), default=0.0)


class _Failing:
    """What failures hold of a run.

    Parameters
    ----------
    result : Result
        The run.
    """

    def __init__(self, result: Result):
        self._result = result
        self._spans, self._wasted = result.timeline.spans, result.timeline.wasted
        self._incidents = incidents = result.timeline.incidents
        self._fleet = Fleet(result.scenario.fleet)
        self._vanished = {each.time: each.client for each in incidents.vanished}
        # By when it ended, since when nobody was there.
        self._nobody: dict[float, float] = {}
        for begin, end in incidents.nobody:
            self._nobody[end] = min(begin, self._nobody.get(end, end))

    def told_apart(self, number: int, effect: Span | None, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Divide a span's pieces further: where it came to nothing, and where its link had an outage.

        Parameters
        ----------
        number : int
            Of the span.
        effect : Span or None
            What waited for it.
        pieces : iterable of Piece
            What it consists of.
        """
        span = self._spans[number]
        if number in self._incidents.late:
            yield Piece(number, Holder.LATE, span.client, span.start, span.end)
        elif number in self._wasted and span.kind is Kind.COMPUTE and effect is not None and effect[:3] == span[:3]:
            yield Piece(number, Holder.ANEW, span.client, span.start, span.end)
        else:
            breaks = span.client >= 0 and self._fleet.group(span.client).outages is not None
            for piece in pieces:
                yield piece._replace(holder=Holder.OUTAGE) if breaks and piece.holder is Holder.STALLED else piece

    def held_up(self, number: int, since: float, until: float) -> Iterator[Piece]:
        """Repairs and outages that a span waited for between two times [s], going back."""
        span, over = self._spans[number], True
        if until in self._vanished:
            # Whatever else was down meanwhile, it was somebody's vanishing that made an end of it.
            return
        while since < until and (found := self._down(span, until, over=over)) is not None:
            holder, whose, begin = found
            yield Piece(number, holder, whose, begin := max(since, begin), until)
            until, over = begin, False

    def waited(self, number: int, since: float, until: float) -> Iterator[Piece]:
        """What a span waited for between two times [s], going back; since its last cause."""
        for piece in self.held_up(number, since, until):
            yield piece
            until = piece.start
        while since < until and until in self._nobody:
            yield Piece(number, Holder.NOBODY, SERVER, begin := max(since, self._nobody[until]), until)
            until = begin
        if since < until:
            yield Piece(number, *self._always(self._spans[number], since, until), since, until)

    def _down(self, span: Span, until: float, *, over: bool) -> tuple[Holder, int, float] | None:
        """A repair or outage that a span waits for up to a time [s], whose it is, and when it began.

        It is over then, or another one had begun before. Computing does not wait for a link; what an aggregator fetches
        waits for clients that it is for.
        """
        actor, downs = span.client, [(Holder.REPAIR, self._result.repairs)]
        if span.kind is not Kind.COMPUTE:
            downs.append((Holder.OUTAGE, self._result.outages))
        for holder, down in downs:
            for client in (actor,) if actor >= 0 else down if actor < SERVER else ():
                for begin, end in down.get(client, ()):
                    if begin < until and (_same(end, until) or (until < end and not over)):
                        return holder, client, begin
        return None

    def _always(self, span: Span, since: float, until: float) -> tuple[Holder, int]:
        """What was waited for up to a time [s] since the last cause, and whose it was."""
        closed = self._incidents.closed.get(span.round) if span.kind is Kind.AGGREGATE else None
        if until in self._incidents.passed or (closed is not None and closed.by is Closing.DEADLINE):
            return Holder.DEADLINE, SERVER
        if until in self._vanished:
            return Holder.VAIN, self._vanished[until]
        # Whoever is asked anew may come while its device is being repaired, also if that began before it vanished.
        gone = [
            each.client for each in self._incidents.vanished if until < span.start and since <= each.time < span.start
        ]
        if gone:
            return Holder.VAIN, gone[-1]
        return Holder.UNRECORDED, span.client


def _same(one: float, other: float) -> bool:
    """Whether two times are the same, but for the rounding of the clock [s]."""
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-9)
