"""Who works where clients have no numbered rounds, and come and go: a place is given to the next one that is there.

A *participation* is what a client does for one update. `docs/explanation/failures.md` says what becomes of it, and of a
run in which nobody is there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from heapq import heappop, heappush
from itertools import chain
from typing import Any

from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.roster import Roster, named
from parasim_core.sim.engine.selection import Places
from parasim_core.sim.engine.world import Causes, Process
from parasim_core.sim.network.timing import after_delay


class Dispatcher(Roster):
    """Gives clients places to work at, and knows who is there and has something to do.

    Parameters are those of `Roster`.
    """

    def __init__(self, *of: Any):
        super().__init__(*of)
        # How many participations have ended; those who vanished are back after so many.
        self._ended = 0
        self._surveyed = self.run.signal("the survey")
        self._somebody = self.run.signal("somebody who begins")
        self._participations: Counter[int] = Counter()
        # Those that are at something, and those that have trained on the newest model and wait for the next one.
        self._busy: set[int] = set()
        self._waiting: set[int] = set()
        # When those who are away can take part again, counted in participations that have ended.
        self._returns: list[int] = []
        self._news: Causes = ()
        # Until when nobody else comes whom a place could be given to, unless one of those comes to be free.
        self._nobody_until = -math.inf
        # When a place was taken last [s].
        self._taken = 0.0

    @property
    def clients(self) -> int:
        """Clients of the fleet, there or not."""
        return self._population.clients

    def places(self, number: int, turn: Callable[[Fallible], Process], *, waits: bool) -> Places:
        """Make the places at which clients work.

        Parameters
        ----------
        number : int
            How many.
        turn : callable
            Gives what a client does when it has got one.
        waits : bool
            Whether it then waits for a model that it has not trained on.
        """
        self._places = _OpenPlaces(self, number)
        self._turn, self._waits = turn, waits
        return self._places

    def work(self) -> Process:
        """Begin, and end the run with the last aggregation."""
        run = self.run
        self._places.request()
        yield self._somebody
        after = yield from run.survey([self._sites[client] for client in sorted(self._busy)])
        self._surveyed.succeed(after)
        for number in range(run.rules.rounds):
            self._news = yield run.server.aggregated(number)
            self._waiting.clear()
            self._look_again()
        run.stop()

    def participate(self, site: Fallible) -> None:
        """Begin what a client does for its next update, which ends as is drawn."""
        if site.owed:
            # It goes on from one that it has computed, and is to send beside the next.
            self._count()
        self.run.server.expect(site.updates, 1)
        site.enter(site.updates)
        # What was to happen while it sends its last update is still to come.
        if site.fate is None and (dropouts := self._population.dropouts(site.client)) is not None:
            site.fate = dropouts.draw(site.client, self._participations[site.client])
            site.back = 0 if site.fate is None else site.fate.away
        self._participations[site.client] += 1

    def next_after(self, last: int) -> int | None:
        """Find the first client after a number, in turn, that is there and could begin."""
        now = float(self.run.env.now)
        if now < self._nobody_until:
            return None
        first = math.inf
        for client in chain(range(last + 1, self.clients), range(last + 1)):
            if client in self._busy or client in self._waiting or self._away(client):
                continue
            if self._population.there(client, now):
                return client
            first = min(first, self._population.next_change(client, now))
        self._nobody_until = first
        if first < math.inf:
            # The clock may show a time a little before that then: whoever is not there yet is waited for once more.
            after_delay(self.run.env, first - now, lambda _: self._look_again())
        return None

    def begin(self, client: int, causes: Causes) -> None:
        """Have a client begin, which has got a place."""
        before, self._taken = self._taken, float(self.run.env.now)
        if self._taken > before:
            # Whoever begins later than all that it waited for was not there, nor was anybody else.
            self.run.world.timeline.incidents.nobody.append((before, self._taken))
        site = self._site(client)
        site.after = tuple(dict.fromkeys((*causes, *self._news, *site.after)))
        self._busy.add(client)
        self._leaves(site)
        self.run.process(site, self._taking_part(site))
        if not self._somebody.triggered:
            self._somebody.succeed()

    def stand_still(self) -> None:
        """See to it that the run goes on where nobody is at work and nobody could begin; end it if it cannot."""
        run, now = self.run, float(self.run.env.now)
        if self._busy or run.server.aggregating or run.over.triggered:
            return
        if on_their_way := [message for each in run.aggregators for message in each.under_way]:
            for message in on_their_way:
                message.callbacks.append(lambda _: self._places.request())
            return
        # Whoever is there begins again, on the model that it has trained on already: else no buffer would ever fill.
        if here := [client for client in self._waiting if self._population.there(client, now)]:
            self._waiting.difference_update(here)
            self._look_again()
            return
        away = sorted(client for client in self._back if self._away(client))
        if self._told.short == "end":
            gone = f" ({named(away)} vanished before)" if away else ""
            raise self._ends(run.server.aggregations, f"nobody is there{gone}")
        # Of those who wait for the next model, some may have gone meanwhile.
        back = min((self._population.next_change(client, now) for client in self._waiting), default=math.inf)
        if back < math.inf:
            after_delay(run.env, back - now, lambda _: self._look_again())
        elif self._nobody_until == math.inf:
            if not away:
                raise self._ends(run.server.aggregations, "nobody will ever be there")
            self._count()

    def _taking_part(self, site: Fallible) -> Process:
        if not self._surveyed.processed:
            yield self._surveyed
            site.after = self._surveyed.value or ()
        self.participate(site)
        yield from self._turn(site)
        self._busy.discard(site.client)
        if self._waits and not site.missing():
            self._waiting.add(site.client)
        else:
            self._look_again()
        self._count()

    def _gone(self, site: Fallible, back: int, owed: Collection[int]) -> None:
        self._busy.discard(site.client)
        self._waiting.discard(site.client)
        self._places.withdraw(site)
        # Once it is there again it could be given a place.
        self._nobody_until = -math.inf
        self._count()
        if back:
            # What others do in a round is an update of each.
            self._back[site.client] = self._ended + back * max(1, len(self._busy))
            heappush(self._returns, self._back[site.client])

    def _count(self) -> None:
        """Count a participation that has ended, for those who are away until others have."""
        self._ended += 1
        self._places.request()
        while self._returns and self._returns[0] <= self._ended:
            heappop(self._returns)
            self._look_again()

    def _away(self, client: int) -> bool:
        return self._back.get(client, 0) > self._ended

    def _look_again(self) -> None:
        self._nobody_until = -math.inf
        self._places.request()


class _OpenPlaces(Places):
    """Places that are given to whoever is there, by a dispatcher."""

    def __init__(self, dispatcher: Dispatcher, number: int):
        super().__init__(dispatcher.run.env, number)
        self._dispatcher = dispatcher

    def _first(self) -> tuple[int, int] | None:
        client = self._dispatcher.next_after(self._last[1])
        return None if client is None else self._place(client)

    def _call(self, client: int, causes: Causes) -> None:
        self._dispatcher.begin(client, causes)

    def _give(self) -> None:
        super()._give()
        if not self._working:
            self._dispatcher.stand_still()
