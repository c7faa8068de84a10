"""All clients of a scenario: who is there, and choosing some of those who are without asking everyone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator
from itertools import accumulate

import numpy as np

from sim.failures.availability import Availability, RecordedSessions, Sessions
from sim.failures.dropout import Dropouts
from sim.failures.interruptions import Interruptions
from sim.scenario.scenario import Scenario
from sim.scenario.sections import Group
from sim.scenario.sessions import recorded_sessions

_NOBODY: frozenset[int] = frozenset()


class Population:
    """What happens to the clients of a scenario, by client number; None where nothing does.

    Attributes
    ----------
    clients : int
        How many there are.
    always_there : bool
        Whether all of them are at all times.

    Raises
    ------
    ScenarioError
        When it is made: if recorded sessions cannot be read.
    """

    def __init__(self, scenario: Scenario) -> None:
        groups, seed = scenario.fleet, scenario.seed
        self._firsts = [0, *accumulate(group.count for group in groups)]
        self._availability = [
            availability(group, seed, first) for group, first in zip(groups, self._firsts, strict=False)
        ]
        self._outages = [
            Interruptions(seed, "outages", outages.every, outages.last) if (outages := group.outages) else None
            for group in groups
        ]
        self._failures = [
            Interruptions(seed, "failures", failures.every, failures.repair) if (failures := group.failures) else None
            for group in groups
        ]
        self._dropouts = [
            Dropouts(seed, group.dropout.rate, group.dropout.during, group.dropout.back_after)
            if group.dropout is not None and group.dropout.rate
            else None
            for group in groups
        ]
        self.clients = self._firsts[-1]
        self.always_there = not any(self._availability)

    def availability(self, client: int) -> Availability | None:
        """When a client is there; None if always."""
        return self._availability[self._group(client)]

    def outages(self, client: int) -> Interruptions | None:
        """When its link carries nothing."""
        return self._outages[self._group(client)]

    def failures(self, client: int) -> Interruptions | None:
        """When its device is down."""
        return self._failures[self._group(client)]

    def dropouts(self, client: int) -> Dropouts | None:
        """Which of its participations end early."""
        return self._dropouts[self._group(client)]

    def there(self, client: int, time: float) -> bool:
        """Tell whether a client is there at a time [s]."""
        sessions = self.availability(client)
        return sessions is None or sessions.there(client, time)

    def next_change(self, client: int, time: float) -> float:
        """First time after `time` at which a client leaves, if it is there, or comes back [s]; inf if never."""
        sessions = self.availability(client)
        return math.inf if sessions is None else sessions.next_change(client, time)

    def available(self, time: float, barred: Collection[int] = _NOBODY) -> Iterator[int]:
        """List all who are there at a time [s], rising, but for those who are barred. Everyone is asked."""
        return (client for client in range(self.clients) if client not in barred and self.there(client, time))

    def choose(
        self, wanted: int, time: float, draws: np.random.Generator, barred: Collection[int] = _NOBODY
    ) -> list[int]:
        """Choose some of those who are there, each set of them with the same chance.

        Parameters
        ----------
        wanted : int
            How many; fewer are chosen if fewer are there.
        time : float
            When they must be there [s].
        draws : numpy.random.Generator
            Where chance comes from. If nobody is barred and everyone is always there, it is drawn from as
            `sim.engine.selection.Fraction` does.
        barred : collection of int
            Who must not be chosen: those who vanished and are not back, or are still at work.

        Returns
        -------
        list of int
            Their numbers, rising. As many are asked as it takes, on average wanted / share of those who are there.
        """
        if self.always_there and not barred:
            if wanted >= self.clients:
                return [*range(self.clients)]
            drawn: list[int] = draws.choice(self.clients, wanted, replace=False).tolist()
            return sorted(drawn)
        chosen: list[int] = []
        if wanted >= self.clients:
            return [*self.available(time, barred)]
        for client in _shuffled(self.clients, draws):
            if len(chosen) == wanted:
                break
            if client not in barred and self.there(client, time):
                chosen.append(client)
        return sorted(chosen)

    def first_there(self, time: float, barred: Collection[int] = _NOBODY) -> float:
        """First time from `time` [s] on at which somebody who is not barred is there; inf if never. All are asked."""
        times = (
            time if self.there(client, time) else self.next_change(client, time)
            for client in range(self.clients)
            if client not in barred
        )
        first = math.inf
        for change in times:
            first = min(first, change)
            if first == time:
                break
        return first

    def _group(self, client: int) -> int:
        return bisect_right(self._firsts, client) - 1


def availability(group: Group, seed: int, first: int) -> Availability | None:
    """When the clients of a group are there; None if always.

    Parameters
    ----------
    group : Group
        The group.
    seed : int
        The scenario's.
    first : int
        Number of its first client.

    Raises
    ------
    ScenarioError
        If recorded sessions cannot be read.
    """
    given = group.available
    if given is None:
        return None
    if given.file is not None:
        return RecordedSessions(recorded_sessions(given.file).clients, first)
    assert given.share is not None
    assert given.session is not None
    return Sessions(seed, given.share, given.session, given.day_to_night or 1.0) if given.share < 1 else None


def _shuffled(size: int, draws: np.random.Generator) -> Iterator[int]:
    """Numbers below a size in random order, each once; what is not asked for is not drawn (Fisher and Yates)."""
    moved: dict[int, int] = {}
    for place in range(size):
        other = int(draws.integers(place, size))
        yield moved.get(other, other)
        moved[other] = moved.pop(place, place)
