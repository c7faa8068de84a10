"""The graph of a run as a straight-line program: additions and maxima of vectors, one element per what-if.

A span starts at the latest end of what it waited for and lasts as long as its *term* says: the seconds of a
computation, a transfer or an aggregation under the conditions of each what-if. Spans of equal duration share one
term. Vectors live in registers that are used again as soon as nothing needs them, so that a block of what-ifs
stays in the processor's cache however long the run is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.result import Result
from sim.timeline import Kind, Span

Floats = NDArray[np.float64]

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


class _Do(IntEnum):
    EVALUATE = 0
    ADD = 1
    MAXIMUM = 2
    KEEP = 3


_Step = tuple[_Do, int, tuple[int, ...]]


class Transfer(NamedTuple):
    """A transfer whose end a program can hand out, with the term of its duration."""

    number: int
    term: Term


@dataclass(frozen=True)
class Program:
    """What to do with how many registers.

    Attributes
    ----------
    steps : tuple
        Operation, register of its result, registers of its operands; for terms, the operand is the term's
        number, and for transfers to be handed out, the result is the transfer's position.
    terms : tuple of Term
        Durations.
    transfers : tuple of Transfer
        All transfers, in the order of their spans' numbers.
    registers : int
        Vectors in use at the same time.
    end : int
        Register that holds the end of the run.
    """

    steps: tuple[_Step, ...]
    terms: tuple[Term, ...]
    transfers: tuple[Transfer, ...]
    registers: int
    end: int

    def run(self, duration: Callable[[Term], Floats | float], width: int, ends: Floats | None = None) -> Floats:
        """Work out the wall-clock of a block of what-ifs.

        Parameters
        ----------
        duration : callable
            Gives the durations of a term, shape (width,) or a number [s].
        width : int
            Number of what-ifs.
        ends : array of shape (transfers, width), optional
            Filled with the ends of all transfers [s].

        Returns
        -------
        array of shape (width,)
            Wall-clocks [s].
        """
        registers = list(np.empty((self.registers, width)))
        maximum, add = np.maximum, np.add
        for do, out, operands in self.steps:
            if do is _Do.ADD:
                add(registers[operands[0]], registers[operands[1]], out=registers[out])
            elif do is _Do.MAXIMUM:
                result = registers[operands[0]]
                for operand in operands[1:]:
                    result = maximum(result, registers[operand], out=registers[out])
            elif do is _Do.EVALUATE:
                registers[out][:] = duration(self.terms[operands[0]])
            elif ends is not None:
                ends[out] = registers[operands[0]]
        return registers[self.end]


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
    builder = _Builder()
    terms = _Terms(sites)
    transfers: list[Transfer] = []
    starts: list[int | None] = []
    ends: list[int] = []
    for number, span in enumerate(spans):
        ready = [ends[cause] for cause in _direct(span, spans)]
        if span.beside is not None:
            serial = builder.term(terms.serial(spans[span.beside]))
            ready.append(builder.add(starts[span.beside], serial))
        start = builder.latest(ready)
        term = terms.of(span)
        starts.append(start)
        ends.append(builder.add(start, builder.term(term)))
        if span.kind in (Kind.UPLOAD, Kind.DOWNLOAD):
            builder.keep(len(transfers), ends[-1])
            transfers.append(Transfer(number, term))
    waited_for = {cause for span in spans for cause in span.causes}
    last = builder.latest([end for number, end in enumerate(ends) if number not in waited_for])
    steps, registers, end = _assign_registers(builder.steps, last)
    return Program(steps, tuple(builder.terms), tuple(transfers), registers, end)


def _direct(span: Span, spans: Sequence[Span]) -> tuple[int, ...]:
    """Causes of a span without those that another of its causes waited for itself, where there are few."""
    if len(span.causes) > 3:
        return span.causes
    return tuple(one for one in span.causes if not any(one in spans[other].causes for other in span.causes))


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


class _Builder:
    """Steps in which every value is assigned once; equal terms and equal maxima are worked out once."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.terms: dict[Term, int] = {}
        self._values = 0
        self._evaluated: dict[Term, int] = {}
        self._latest: dict[tuple[int, ...], int] = {}

    def term(self, term: Term) -> int:
        """Value of a term."""
        if term not in self._evaluated:
            number = self.terms.setdefault(term, len(self.terms))
            self._evaluated[term] = self._append(_Do.EVALUATE, (number,))
        return self._evaluated[term]

    def add(self, start: int | None, seconds: int) -> int:
        """Sum of two values; the run starts at 0, for which None stands."""
        return seconds if start is None else self._append(_Do.ADD, (start, seconds))

    def latest(self, values: Sequence[int]) -> int | None:
        """Maximum of values; None, the start of the run, if there are none."""
        distinct = tuple(dict.fromkeys(values))
        if len(distinct) < 2:
            return distinct[0] if distinct else None
        if distinct not in self._latest:
            self._latest[distinct] = self._append(_Do.MAXIMUM, distinct)
        return self._latest[distinct]

    def keep(self, position: int, value: int) -> None:
        """Hand a value out."""
        self.steps.append((_Do.KEEP, position, (value,)))

    def _append(self, do: _Do, operands: tuple[int, ...]) -> int:
        self.steps.append((do, self._values, operands))
        self._values += 1
        return self._values - 1


def _assign_registers(steps: Sequence[_Step], result: int | None) -> tuple[tuple[_Step, ...], int, int]:
    """Give each value a register from its assignment to its last use."""
    assert result is not None, "a run has spans"
    last_use = {
        operand: n for n, (do, _, operands) in enumerate(steps) if do is not _Do.EVALUATE for operand in operands
    }
    last_use[result] = len(steps)
    place: dict[int, int] = {}
    free: list[int] = []
    used = 0
    assigned: list[_Step] = []
    for number, (do, out, values) in enumerate(steps):
        operands = values if do is _Do.EVALUATE else tuple(place[value] for value in values)
        # A value may be added to itself, and still has one register.
        ending = [] if do is _Do.EVALUATE else [place[v] for v in dict.fromkeys(values) if last_use[v] == number]
        if do is _Do.KEEP:
            assigned.append((do, out, operands))
        else:
            if ending:
                register = ending.pop()
                # A maximum of several writes its result before it has read them all: its own register goes first.
                if do is _Do.MAXIMUM:
                    operands = (register, *(operand for operand in operands if operand != register))
            elif free:
                register = heapq.heappop(free)
            else:
                register = used
                used += 1
            place[out] = register
            assigned.append((do, register, operands))
        for register in ending:
            heapq.heappush(free, register)
    return tuple(assigned), used, place[result]
