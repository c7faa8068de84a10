"""Who takes part in rounds that are opened one by one: chosen among the clients that are there when a round opens.

A *participation* is what a client does for one round. A client that vanishes stops all of its participations at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import simpy

from sim.engine.aggregation import Quorum
from sim.engine.fallible import Fallible
from sim.engine.run import Run
from sim.engine.selection import Listed, OverSelection, Selection
from sim.engine.world import Causes, Process
from sim.errors import SimulationError
from sim.failures.deadline import AdaptiveDeadline
from sim.failures.dropout import Vanishing
from sim.failures.population import Population
from sim.scenario.failures import AdaptiveDeadline as Adaptive
from sim.scenario.scenario import Scenario
from sim.support.streams import stream

_NAMED = 5
"""Clients that a message names."""
TakePart = Callable[[Fallible, int], Process]
"""Gives what a client does for a round."""


T = TypeVar("T")
Awaiting = Generator[simpy.Event, Any, T]


class Chosen(NamedTuple):
    """Participants of a round, and how many were wanted, if more were chosen than that."""

    sites: list[Fallible]
    wanted: int


class Attendance:
    """Opens rounds, and knows who takes part.

    Parameters
    ----------
    run : Run
        The run.
    scenario : Scenario
        Its `participation`, its fleet's failures and `seed`.
    selection : Selection
        Chooses the participants wanted among those that are there.
    join : callable
        Adds a client to the run, when it is chosen for the first time.
    """

    def __init__(self, run: Run, scenario: Scenario, selection: Selection, join: Callable[[int], Fallible]):
        self.run = run
        self._told = told = scenario.participation
        self._selection = OverSelection(selection, told.over_selection, stream(scenario.seed, "over-selection"))
        self._join = join
        self._population = Population(scenario)
        self._sites: dict[int, Fallible] = {}
        # How often a round was opened, and of those who vanished, when they are back, counted so.
        self._openings = 0
        self._back: dict[int, int] = {}
        deadline = told.deadline
        self._adaptive = AdaptiveDeadline(deadline.median, deadline.mad) if isinstance(deadline, Adaptive) else None
        if told.quorum < 1 or told.over_selection > 1 or deadline is not None:
            run.server.policy = Quorum(told.quorum, None if isinstance(deadline, Adaptive) else deadline, told.late)

    def rounds(self, take_part: TakePart) -> Process:
        """Open one round after the other, each when the one before it is aggregated; then the run is over.

        Parameters
        ----------
        take_part : callable
            Gives what a client does for a round.
        """
        run = self.run
        chosen = yield from self._choose(0)
        after = yield from run.survey(chosen.sites)
        for round in range(run.rules.rounds):
            if round:
                chosen = yield from self._choose(round)
            after = yield from self._hold(round, after, chosen, take_part)
        run.stop()

    def _hold(self, round: int, after: Causes, chosen: Chosen, take_part: TakePart) -> Awaiting[Causes]:
        """Open a round until it is aggregated; what that is caused by is what the next one waits for."""
        server = self.run.server
        while True:
            opened = float(self.run.env.now)
            self._open(round, after, chosen, take_part)
            aggregated = server.aggregated(round)
            yield aggregated | server.short(round)
            for site in chosen.sites:
                site.leave(round)
            if aggregated.triggered:
                break
            self._short(round, "none of its clients is left")
            chosen = yield from self._choose(round)
        if self._adaptive is not None:
            self._adaptive.add(self.run.env.now - opened)
        causes: Causes = aggregated.value or ()
        return causes

    def _choose(self, round: int) -> Awaiting[Chosen]:
        """Choose the participants of a round among those that are there; if nobody is, wait for them."""
        env = self.run.env
        while True:
            self._openings += 1
            away = {client for client, opening in self._back.items() if opening > self._openings}
            self._back = {client: self._back[client] for client in away}
            there = self._there(away)
            wanted = self._selection.selection.select(round, there)
            if wanted:
                clients = self._selection.more(wanted, there)
                return Chosen([self._site(client) for client in clients], len(wanted))
            self._short(round, "nobody is there whom it could begin with")
            first = self._first_there(round, away)
            if first < math.inf:
                yield env.timeout(first - env.now)
            elif not away:
                raise SimulationError(self._statement(round, "nobody will ever be there"))
            # Otherwise, this try counts as one of the rounds for which they are away.

    def _first_there(self, round: int, away: Collection[int]) -> float:
        """When somebody comes whom a round could begin with, unless away [s]; inf if never."""
        by, now = self._selection.selection, float(self.run.env.now)
        whom = by.rounds[round] if isinstance(by, Listed) else range(self._population.clients)
        return min(
            (self._population.next_change(client, now) for client in whom if client not in away), default=math.inf
        )

    def _there(self, away: Collection[int]) -> Sequence[int]:
        """Clients that can be chosen now, rising."""
        if self._population.always_there and not away:
            return range(self._population.clients)
        return [*self._population.available(self.run.env.now, away)]

    def _open(self, round: int, after: Causes, chosen: Chosen, take_part: TakePart) -> None:
        server = self.run.server
        server.expect(round, len(chosen.sites), chosen.wanted)
        if self._adaptive is not None:
            server.policy.deadline = self._adaptive.seconds
        server.open(round)
        for site in chosen.sites:
            site.enter(round)
            dropouts = self._population.dropouts(site.client)
            fate = None if dropouts is None else dropouts.draw(site.client, self._openings)
            begun = self._participation(site, round, after, take_part, site.latest, fate)
            site.latest = self.run.process(site, begun)

    def _participation(
        self,
        site: Fallible,
        round: int,
        after: Causes,
        take_part: TakePart,
        before: simpy.Process | None,
        fate: Vanishing | None,
    ) -> Process:
        if before is not None and before.is_alive:
            # It is not done with an earlier round yet.
            yield before
            if self.run.server.aggregated(round).triggered:
                # Nobody waits for it any more.
                site.owed.pop(round, None)
                return
            site.after = (*after, *site.after)
        else:
            site.after = after
        site.fate = fate
        yield from take_part(site, round)

    def _site(self, client: int) -> Fallible:
        if client not in self._sites:
            self._sites[client] = site = self._join(client)
            site.gone = self._gone
        return self._sites[client]

    def _gone(self, site: Fallible, away: int) -> None:
        """Learn that a client has vanished, for so many rounds."""
        self._back[site.client] = self._openings + away

    def _short(self, round: int, why: str) -> None:
        """Have a round begun anew, or end the run, as the scenario says."""
        if self._told.short == "end":
            raise SimulationError(self._statement(round, why) + "; participation.short: wait would have it begin anew")

    def _statement(self, round: int, why: str) -> str:
        run = self.run
        away = sorted(client for client, opening in self._back.items() if opening > self._openings)
        who = f" (away: {', '.join(map(str, away[:_NAMED]))}{' ...' if len(away) > _NAMED else ''})" if away else ""
        return (
            f"round {round} is short at {run.env.now:.6g} s, with {run.server.aggregations} of {run.rules.rounds} "
            f"rounds aggregated: {why}{who}"
        )
