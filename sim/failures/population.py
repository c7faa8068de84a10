"""All clients of a scenario: who is there, and choosing some of those who are without asking everyone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Hashable, Iterator
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from parasim_core.sim.failures.availability import DAY, Availability, DailySessions, RecordedSessions, Sessions
from parasim_core.sim.failures.dropout import Dropouts
from parasim_core.sim.failures.interruptions import Interruptions
from parasim_core.sim.scenario.calendar import read_time, read_zone, seconds_of_day
from parasim_core.sim.scenario.failures import Available, Dropout
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.sessions import recorded_sessions

T = TypeVar("T")
_NOBODY: frozenset[int] = frozenset()


class Population:
    """What happens to the clients of a scenario, by client number; None where nothing does.

    Attributes
    ----------
    clients : int
        How many there are.
    always_there : bool
        Whether all of them are at all times.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._groups, self._seed, self._starts = scenario.fleet, scenario.seed, scenario.starts
        self._firsts = [0, *accumulate(group.count for group in scenario.fleet)]
        # Models are made when they are first asked for: there may be as many groups as clients.
        self._made: dict[tuple[str, int], Any] = {}
        self._alike: dict[tuple[str, Hashable], Any] = {}
        self.clients = self._firsts[-1]
        self.always_there = all(_always_there(group) for group in scenario.fleet)

    def availability(self, client: int) -> Availability | None:
        """When a client is there; None if always.

        Raises
        ------
        ScenarioError
            If recorded sessions cannot be read.
        """
        return self._model("available", client, self._sessions)

    def outages(self, client: int) -> Interruptions | None:
        """When its link carries nothing."""
        return self._model(
            "outages", client, lambda given, first: Interruptions(self._seed, "outages", given.every, given.last)
        )

    def failures(self, client: int) -> Interruptions | None:
        """When its device is down."""
        return self._model(
            "failures", client, lambda given, first: Interruptions(self._seed, "failures", given.every, given.repair)
        )

    def dropouts(self, client: int) -> Dropouts | None:
        """Which of its participations end early."""
        return self._model("dropout", client, self._dropouts)

    def _model(self, field: str, client: int, make: Callable[[Any, int], T | None]) -> T | None:
        """Find or make the model of a field of a client's group; groups of which the same is said have one together."""
        index = bisect_right(self._firsts, client) - 1
        made, place = self._made, (field, index)
        if place not in made:
            given, first = getattr(self._groups[index], field), self._firsts[index]
            key = field, (given, first if getattr(given, "file", None) else 0)
            if given is not None and key not in self._alike:
                self._alike[key] = make(given, first)
            made[place] = self._alike.get(key)
        model: T | None = made[place]
        return model

    def _sessions(self, given: Available, first: int) -> Availability | None:
        if given.file is not None:
            return RecordedSessions(recorded_sessions(given.file).clients, first)
        starts = self._starts
        if starts is not None and given.zone is not None:
            starts = starts.astimezone(read_zone(given.zone))
        if given.daily is not None:
            assert starts is not None
            return DailySessions(starts, *map(read_time, given.daily))
        assert given.share is not None
        assert given.session is not None
        since_six = 0.0 if starts is None else seconds_of_day(starts) - DAY / 4
        day_to_night = given.day_to_night or 1.0
        return Sessions(self._seed, given.share, given.session, day_to_night, since_six) if given.share < 1 else None

    def _dropouts(self, given: Dropout, first: int) -> Dropouts | None:
        return Dropouts(self._seed, given.rate, given.during, given.back_after) if given.rate else None

    def there(self, client: int, time: float) -> bool:
        """Tell whether a client is there at a time [s]."""
        sessions = self.availability(client)
        return sessions is None or sessions.there(client, time)

    def next_change(self, client: int, time: float) -> float:
        """First time after `time` at which a client leaves, if it is there, or comes back [s]; inf if never."""
        sessions = self.availability(client)
        return math.inf if sessions is None else sessions.next_change(client, time)

    def sessions(self, client: int, start: float, end: float) -> Iterator[tuple[float, float]]:
        """List when a client is there between two times [s]."""
        there, time = self.there(client, start), start
        while time < end:
            change = min(self.next_change(client, time), end)
            if there:
                yield time, change
            there, time = not there, change

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


def _always_there(group: Group) -> bool:
    return group.available is None or group.available.share == 1


def _shuffled(size: int, draws: np.random.Generator) -> Iterator[int]:
    """Numbers below a size in random order, each once; what is not asked for is not drawn (Fisher and Yates)."""
    moved: dict[int, int] = {}
    for place in range(size):
        other = int(draws.integers(place, size))
        yield moved.get(other, other)
        moved[other] = moved.pop(place, place)
