"""Who takes part: policies that choose among the clients that are available, and places that go round among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

import numpy as np
from simpy import Environment

from parasim_core.sim.engine.aggregation import at_least
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.world import Causes, Signal
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.network.timing import EndOfInstant


class Selection(Protocol):
    """Chooses the participants of a round."""

    def select(self, number: int, available: Sequence[int]) -> Sequence[int]:
        """Choose the participants of round `number` among the clients that are available now, in ascending order."""
        ...


class Everyone:
    """Everyone who is available."""

    def select(self, number: int, available: Sequence[int]) -> Sequence[int]:
        """Choose all of them."""
        return available


@dataclass(frozen=True)
class Fraction:
    """A share of those available, drawn anew each round.

    Attributes
    ----------
    share : float
        Above 0 and at most 1; at least one client is chosen.
    draws : numpy.random.Generator
        Where chance comes from.
    """

    share: float
    draws: np.random.Generator

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ScenarioError(f"selection: share {self.share}: above 0, at most 1")

    def select(self, number: int, available: Sequence[int]) -> Sequence[int]:
        """Draw them."""
        size = max(1, round(self.share * len(available)))
        if size >= len(available):
            return available
        # Places and not clients are drawn, so that nobody has to go through all who are available.
        drawn: list[int] = self.draws.choice(len(available), size, replace=False).tolist()
        return sorted([available[place] for place in drawn])


@dataclass(frozen=True)
class Listed:
    """Those of a list for each round, as far as they are available."""

    rounds: Sequence[Sequence[int]]

    def select(self, number: int, available: Sequence[int]) -> Sequence[int]:
        """Look the round up; nobody beyond the last list."""
        if number >= len(self.rounds):
            return ()
        there = set(available)
        return sorted(client for client in self.rounds[number] if client in there)


@dataclass
class Turns:
    """One client a round, each the next in an order that begins again at its end.

    Attributes
    ----------
    order : sequence of int
        Clients; one may stand there several times.
    """

    order: Sequence[int]
    _next: int = 0

    def select(self, number: int, available: Sequence[int]) -> Sequence[int]:
        """Choose the next one that is available, whatever the round's number; those before it are passed over."""
        there = available if isinstance(available, range) else frozenset(available)
        for _ in self.order:
            client = self.order[self._next]
            self._next = (self._next + 1) % len(self.order)
            if client in there:
                return (client,)
        return ()


@dataclass(frozen=True)
class OverSelection:
    """More clients than another policy chooses, drawn from the rest, so that some may be late or fail.

    Attributes
    ----------
    selection : Selection
        The other policy.
    factor : float
        How many times as many, at least 1; rounded up.
    draws : numpy.random.Generator
        Where chance comes from.
    """

    selection: Selection
    factor: float
    draws: np.random.Generator

    def __post_init__(self) -> None:
        if not 1 <= self.factor < math.inf:
            raise ScenarioError(f"over-selection: factor {self.factor}: at least 1")

    def select(self, number: int, available: Sequence[int]) -> Sequence[int]:
        """Choose as the other policy does, and draw the rest."""
        chosen = list(self.selection.select(number, available))
        others = sorted(set(available) - set(chosen))
        more = max(0, min(at_least(self.factor, len(chosen)) - len(chosen), len(others)))
        drawn: list[int] = self.draws.choice(others, more, replace=False).tolist() if more else []
        return sorted([*chosen, *drawn])


class Places:
    """A number of places at which clients work: those that could begin get them in the order of their numbers, in turn.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    places : int
        How many clients are at work at a time.
    """

    def __init__(self, env: Environment, places: int):
        self._env = env
        self._free = places
        # Lap and client that got a place last; those that could begin, by the lap and client of their turn; and those
        # that would go on, if nobody is before them.
        self._last = (0, -1)
        self._ready: list[tuple[int, int]] = []
        self._renewing: list[tuple[int, int]] = []
        self._called: dict[int, Signal] = {}
        self._working: set[int] = set()
        self._given_back: Causes = ()
        # Whoever becomes ready in the same instant, however it came about, takes part in one and the same turn.
        self._end_of_instant = EndOfInstant(env, self._give)

    def turn(self, site: Site) -> Signal:
        """Queue for a place; what is returned happens when the client has one."""
        return self._queue(site, self._ready)

    def give_back(self, site: Site) -> None:
        """Leave a place."""
        self._free += 1
        self._working.discard(site.client)
        self._given_back = site.after
        self.request()

    def again(self, site: Site) -> Signal:
        """Leave a place, to have it again if it is nobody else's turn; `has` tells when what is returned happens.

        That is at the end of this instant.
        """
        self.give_back(site)
        return self._queue(site, self._renewing)

    def has(self, site: Site) -> bool:
        """Whether a client has a place."""
        return site.client in self._working

    def withdraw(self, site: Site) -> None:
        """Take a client out that is gone: of its place, or of the queue of those that would go on."""
        self._renewing = [turn for turn in self._renewing if turn[1] != site.client]
        self._called.pop(site.client, None)
        if self.has(site):
            self.give_back(site)

    def request(self) -> None:
        """Give the places that are free to those that could begin, at the end of this instant."""
        self._end_of_instant.request()

    def _queue(self, site: Site, queue: list[tuple[int, int]]) -> Signal:
        heappush(queue, self._place(site.client))
        self._called[site.client] = Signal(self._env, lambda: "a place to work at")
        self.request()
        return self._called[site.client]

    def _place(self, client: int) -> tuple[int, int]:
        """Lap and client of a turn: who comes after the last one is in the same lap, all others in the next one."""
        lap, last = self._last
        return (lap if client > last else lap + 1, client)

    def _first(self) -> tuple[int, int] | None:
        """Turn of the first of those that could begin."""
        return self._ready[0] if self._ready else None

    def _call(self, client: int, causes: Causes) -> None:
        """Tell a client that could begin that it has a place."""
        heappop(self._ready)
        self._called.pop(client).succeed(causes)

    def _give(self) -> None:
        while self._free:
            first = self._first()
            goes_on = bool(self._renewing) and (first is None or self._renewing[0] < first)
            turn = heappop(self._renewing) if goes_on else first
            if turn is None:
                break
            self._free -= 1
            self._last, client = turn, turn[1]
            self._working.add(client)
            if goes_on:
                self._called.pop(client).succeed()
            else:
                self._call(client, self._given_back)
        for _, client in self._renewing:
            self._called.pop(client).succeed()
        self._renewing.clear()
