"""A timeline of which only figures are wanted: what was done by whom, from when to when, and how many bytes it moved.

A span of it takes 33 bytes, so that a million clients may take part in thousands of rounds. What spans waited for, and
what the time of messages was spent on, is not kept: there is no critical path, no picture and no file of such a run.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import NoReturn

import numpy as np

from parasim_core.sim.engine.incidents import Incidents
from parasim_core.sim.engine.timeline import Kind, Span, Timeline
from parasim_core.sim.errors import SimulationError

_KINDS = list(Kind)
_PLACE = {kind: place for place, kind in enumerate(_KINDS)}


class Outline(Timeline):
    """The spans of a run, without their causes, their parts and their blocks."""

    __slots__ = ("_client", "_end", "_kind", "_round", "_size", "_start")

    def __init__(self) -> None:
        self.bound = {}
        self.wasted = set()
        self.incidents = Incidents()
        self._client, self._round, self._kind = array("i"), array("i"), array("b")
        self._start, self._end, self._size = array("d"), array("d"), array("d")

    @property
    def spans(self) -> NoReturn:  # type: ignore[override]
        """Nothing of the kind.

        Raises
        ------
        SimulationError
            Always.
        """
        raise SimulationError("of this run only the figures were kept: simulate it with its timeline")

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
        self._client.append(client)
        self._round.append(round)
        self._kind.append(_PLACE[kind])
        self._start.append(start)
        self._end.append(end)
        self._size.append(size)
        return len(self._client) - 1

    def cut(self, end: float) -> None:
        """Let everything that would end later end at a time [s]."""
        ends = np.frombuffer(self._end)
        np.minimum(ends, end, out=ends)

    def end_now(self, number: int, now: float) -> None:
        """Let a span that would end later end now [s]."""
        self._end[number] = now

    def repeated(self, number: int) -> None:
        """Nothing to note: it is not kept what the time of messages was spent on."""

    def __len__(self) -> int:
        return len(self._client)

    def __iter__(self) -> Iterator[Span]:
        return self.of(range(len(self)))

    def of(self, numbers: Iterable[int]) -> Iterator[Span]:
        """Spans of some numbers."""
        for number in numbers:
            yield Span(
                self._client[number],
                self._round[number],
                _KINDS[self._kind[number]],
                self._start[number],
                self._end[number],
                self._size[number],
                (),
                (),
            )

    def by_client(self) -> Iterator[tuple[int, list[Span]]]:
        """Spans of each client that has any, by itself."""
        clients = np.frombuffer(self._client, dtype=np.int32)
        order = np.argsort(clients, kind="stable")
        whose, begins = np.unique(clients[order], return_index=True)
        for client, own in zip(whose.tolist(), np.split(order, begins[1:]), strict=True):
            if client >= 0:
                yield client, list(self.of(own.tolist()))

    @property
    def end(self) -> float:
        """When the last activity is done [s]; 0 if there was none."""
        return max(self._end, default=0.0)
