"""The graph of a run as a straight-line program: additions and maxima of vectors, one element per what-if.

A span starts at the latest end of what it waited for and lasts as long as its *term* says: the seconds of a
computation, a transfer or an aggregation under the conditions of each what-if. Spans of equal duration share one
term. A vector is let go after its last use, so that those of a block of what-ifs stay in the processor's cache
however long the run is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind, Span

Floats = NDArray[np.float64]

_FEW = 3
_TICKS = 2.0**-48
"""Durations are differences of two clock readings: equal ones differ by a few times 2**-52 of the clock."""


class Term(NamedTuple):
    """What a span's duration depends on.

    Attributes
    ----------
    kind : Kind
        What is done.
    site : int
        Position of the client among those simulated; -1 for the server.
    amount : float
        Seconds of a computation as recorded [s], or bytes of a message [B].
    share : float
        Rate at which a transfer crossed the server's link where that slowed it [B/s]; infinite elsewhere.
    """

    kind: Kind
    site: int
    amount: float
    share: float = np.inf


class Step(NamedTuple):
    """How a value comes about: the duration of a term, the sum of two values, or the latest of several.

    Attributes
    ----------
    what : Term, "sum" or "latest"
        What is done.
    values : tuple of int
        Numbers of the steps whose values are put together.
    """

    what: Term | Literal["sum", "latest"]
    values: tuple[int, ...] = ()


class RecordedTransfer(NamedTuple):
    """A transfer: the number of its span, the term of its duration, and the step whose value is its end."""

    number: int
    term: Term
    step: int


@dataclass(frozen=True)
class Program:
    """What to work out, step by step.

    Attributes
    ----------
    steps : tuple of Step
        Each needs values of earlier steps only.
    last_uses : tuple of tuples of int
        For each step, the values that no later one uses.
    transfers : tuple of RecordedTransfer
        All transfers, in the order of their spans' numbers.
    end : int
        Step whose value is the end of the run.
    """

    steps: tuple[Step, ...]
    last_uses: tuple[tuple[int, ...], ...]
    transfers: tuple[RecordedTransfer, ...]
    end: int

    def run(
        self, duration: Callable[[Term], Floats], width: int, *, with_transfers: bool = False
    ) -> tuple[Floats, list[Floats]]:
        """Work out the wall-clock of a block of what-ifs.

        Parameters
        ----------
        duration : callable
            Gives the durations of a term, shape (width,) or (1,) [s].
        width : int
            Number of what-ifs.
        with_transfers : bool
            Whether the ends of all transfers are wanted too.

        Returns
        -------
        wall_clock : array of shape (width,)
            [s].
        ends : list of arrays of shape (width,) or (1,)
            Of the transfers [s], if they are wanted.
        """
        values: list[Any] = [None] * len(self.steps)
        kept = {transfer.step for transfer in self.transfers} if with_transfers else set()
        add, maximum = np.add, np.maximum
        for number, ((what, operands), unused) in enumerate(zip(self.steps, self.last_uses, strict=True)):
            if what == "sum":
                values[number] = add(values[operands[0]], values[operands[1]])
            elif what == "latest":
                first, second, *others = operands
                result = maximum(values[first], values[second])
                for operand in others:
                    result = maximum(result, values[operand], out=result if len(result) == width else None)
                values[number] = result
            else:
                values[number] = duration(what)
            for value in unused:
                if value not in kept:
                    values[value] = None
        ends = [values[transfer.step] for transfer in self.transfers] if with_transfers else []
        return np.broadcast_to(values[self.end], width), ends


def compile_program(result: Result, sites: Sequence[int]) -> Program:
    """Turn the recorded graph of a run into a program.

    Parameters
    ----------
    result : Result
        The run.
    sites : sequence of int
        Numbers of the simulated clients, in the order of the what-ifs' columns.
    """
    spans = result.timeline.spans
    terms = _Terms(sites)
    # Equal terms and equal maxima are worked out once.
    steps: dict[Step, int] = {}

    def value(what: Term | Literal["sum", "latest"], *values: int) -> int:
        return steps.setdefault(Step(what, values), len(steps))

    def latest(values: Iterable[int]) -> int | None:
        distinct = tuple(dict.fromkeys(values))
        return value("latest", *distinct) if len(distinct) > 1 else next(iter(distinct), None)

    def later(start: int | None, term: Term) -> int:
        # The run starts at 0, for which None stands.
        return value(term) if start is None else value("sum", start, value(term))

    transfers: list[RecordedTransfer] = []
    starts: list[int | None] = []
    ends: list[int] = []
    # Of spans that waited for many: looking for one of these must not go through all.
    waited: dict[int, frozenset[int]] = {}
    # The latest of many, for all of a cohort that share one tuple of causes.
    together: dict[int, int] = {}
    for number, span in enumerate(spans):
        if id(span.causes) in together:
            ready = [together[id(span.causes)]]
        else:
            ready = [ends[cause] for cause in _direct(span, spans, waited)]
            if len(ready) > _FEW and (one := latest(ready)) is not None:
                together[id(span.causes)] = one
                ready = [one]
        if span.beside is not None:
            ready.append(later(starts[span.beside], terms.serial(spans[span.beside])))
        starts.append(latest(ready))
        term = terms.of(span)
        ends.append(later(starts[-1], term))
        if span.kind in (Kind.UPLOAD, Kind.DOWNLOAD):
            transfers.append(RecordedTransfer(number, term, ends[-1]))
    # A cohort that waits for another shares one tuple.
    waited_for = {cause for causes in {id(span.causes): span.causes for span in spans}.values() for cause in causes}
    end = latest(end for number, end in enumerate(ends) if number not in waited_for)
    assert end is not None, "a run has spans"
    last_use = {operand: number for number, step in enumerate(steps) for operand in step.values}
    last_uses = (
        tuple(v for v in dict.fromkeys(s.values) if v != end and last_use[v] == n) for n, s in enumerate(steps)
    )
    return Program(tuple(steps), tuple(last_uses), tuple(transfers), end)


def _direct(span: Span, spans: Sequence[Span], waited: dict[int, frozenset[int]]) -> tuple[int, ...]:
    """Causes of a span without those that another of its causes waited for itself, where there are few."""
    if not 1 < len(span.causes) <= _FEW:
        return span.causes
    for other in span.causes:
        if other not in waited and len(spans[other].causes) > _FEW:
            waited[other] = frozenset(spans[other].causes)
    return tuple(
        one
        for one in span.causes
        if not any(one in (waited.get(other) or spans[other].causes) for other in span.causes)
    )


class _Terms:
    """The terms of a run's spans; durations that differ by rounding alone are one."""

    def __init__(self, sites: Sequence[int]):
        self._positions = {client: position for position, client in enumerate(sites)}
        self._known: dict[int, list[float]] = {}

    def of(self, span: Span) -> Term:
        """Return the term of a span's duration."""
        if span.kind is Kind.AGGREGATE:
            return Term(span.kind, -1, 0.0)
        position = self._positions[span.client]
        if span.kind is Kind.COMPUTE:
            known = self._known.setdefault(position, [])
            seconds = span.end - span.start
            same = (other for other in known if abs(other - seconds) <= _TICKS * span.end)
            if (found := next(same, None)) is None:
                known.append(found := seconds)
            return Term(span.kind, position, found)
        parts = span.parts
        share = span.size / (parts.alone + parts.shared) if parts is not None and parts.shared else np.inf
        return Term(span.kind, position, span.size, share)

    def serial(self, work: Span) -> Term:
        """Return the term of a computation's serial part: it scales with the speed, as all of it does."""
        return Term(Kind.COMPUTE, self._positions[work.client], work.serial)
