"""Who takes part in rounds that are opened one by one: chosen among the clients that are there when a round opens.

A *participation* is what a client does for one round. A client that vanishes stops all of its participations at once.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Collection, Sequence

import simpy

from sim.engine.aggregation import Quorum, at_least
from sim.engine.fallible import Fallible, Hazard
from sim.engine.fleet import Fleet
from sim.engine.opening import Awaiting, Chosen, TakePart
from sim.engine.run import Run
from sim.engine.selection import Everyone, Fraction, Listed, Selection
from sim.engine.world import Causes, Process, Signal
from sim.errors import EndedEarlyError
from sim.failures.deadline import AdaptiveDeadline
from sim.failures.dropout import Vanishing
from sim.failures.population import Population
from sim.network.timing import after_delay
from sim.scenario.failures import AdaptiveDeadline as Adaptive
from sim.scenario.scenario import Scenario
from sim.support.streams import stream

_NAMED = 5
"""Clients that a message names."""


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
        self._selection = selection
        self._more = stream(scenario.seed, "over-selection")
        self._join = join
        self._population = Population(scenario)
        self._fleet = Fleet(scenario.fleet)
        self._sites: dict[int, Fallible] = {}
        # Ends of sessions that are waited for.
        self._ends: dict[int, float] = {}
        # How often a round was opened, and of those who vanished, when they are back, counted so.
        self._openings = 0
        self._back: dict[int, int] = {}
        self._opened: dict[int, float] = {}
        self._numbers: dict[int, int] = {}
        self._members: dict[int, list[int]] = {}
        self._nobody_left: dict[int, Signal] = {}
        self._fates: dict[tuple[int, int], Vanishing | None] = {}
        self._anew = False
        run.server.forsaken = self._forsaken
        deadline = told.deadline
        self._adaptive = AdaptiveDeadline(deadline.median, deadline.mad) if isinstance(deadline, Adaptive) else None
        if told.quorum < 1 or told.over_selection > 1 or deadline is not None:
            run.server.policy = Quorum(told.quorum, None if isinstance(deadline, Adaptive) else deadline, told.late)

    @property
    def by_themselves(self) -> bool:
        """Whether clients need not wait for others of the round before to be done: nobody is left out on purpose."""
        return isinstance(self._selection, Everyone) or not self.run.server.policy.waits_for_all

    def rounds(self, take_part: TakePart) -> Process:
        """Open one round after the other, each when the one before it is aggregated; then the run is over.

        Parameters
        ----------
        take_part : callable
            Gives what a client does for a round.
        """
        run = self.run
        self._anew = True
        chosen = yield from self.choose(0)
        after = yield from run.survey(chosen.sites)
        for round in range(run.rules.rounds):
            if round:
                chosen = yield from self.choose(round)
            after = yield from self._hold(round, after, chosen, take_part)
        run.stop()

    def _hold(self, round: int, after: Causes, chosen: Chosen, take_part: TakePart) -> Awaiting[Causes]:
        """Open a round until it is aggregated; what that is caused by is what the next one waits for."""
        aggregated = self.run.server.aggregated(round)
        while True:
            self.announce(round, chosen)
            for site in chosen.sites:
                site.latest = self.run.process(site, self._participation(site, round, after, take_part, site.latest))
            yield aggregated | self._nobody_left[round]
            for site in chosen.sites:
                site.leave(round)
            if aggregated.triggered:
                break
            chosen = yield from self.choose(round)
        self.close(round)
        causes: Causes = aggregated.value or ()
        return causes

    def choose(self, round: int) -> Awaiting[Chosen]:
        """Choose the participants of a round among those that are there; if nobody is, wait for them."""
        run, env = self.run, self.run.env

        def now() -> float:
            return float(env.now)

        while True:
            self._openings += 1
            away = {client for client, opening in self._back.items() if opening > self._openings}
            self._back = {client: self._back[client] for client in away}
            wanted = self._wanted(round, away)
            if wanted:
                more = at_least(self._told.over_selection, len(wanted)) - len(wanted)
                others = self._population.choose(more, now(), self._more, {*away, *wanted}) if more else []
                return Chosen([self._site(client) for client in sorted([*wanted, *others])], len(wanted))
            if self._told.short == "end":
                gone = f" ({_named(sorted(away))} vanished before)" if away else ""
                raise self._short(round, f"nobody is there whom it could begin with{gone}")
            first = self._first_there(round, away)
            if first < math.inf:
                run.world.timeline.incidents.nobody.append((now(), first))
                yield env.timeout(first - env.now)
            elif not away:
                raise self._short(round, "nobody will ever be there")
            # Otherwise, this try counts as one of the rounds for which they are away.

    def announce(self, round: int, chosen: Chosen) -> None:
        """Open a round: from now on its clients take part, and its deadline runs."""
        server, now = self.run.server, float(self.run.env.now)
        server.expect(round, len(chosen.sites), chosen.wanted)
        if self._adaptive is not None:
            server.policy.deadline = self._adaptive.seconds
        server.open(round)
        self._members[round] = [site.client for site in chosen.sites]
        self._opened[round], self._numbers[round] = now, self._openings
        self._nobody_left[round] = self.run.signal("nobody to be left of a round")
        for site in chosen.sites:
            site.enter(round)
            self._leaves(site)
            dropouts = self._population.dropouts(site.client)
            if dropouts is not None:
                self._fates[site.client, round] = dropouts.draw(site.client, self._openings)

    def _leaves(self, site: Fallible) -> None:
        """Have a client vanish when its session ends."""
        env = self.run.env
        end = self._population.next_change(site.client, float(env.now))
        if end < math.inf and self._ends.get(site.client) != end:
            self._ends[site.client] = end

            def over(_: simpy.Event) -> None:
                if site.present or site.at_work:
                    site.vanish()

            # What arrives in that very instant has arrived.
            after_delay(env, end - env.now, over)

    def close(self, round: int) -> None:
        """Learn that a round is aggregated."""
        del self._nobody_left[round], self._members[round]
        took = self.run.env.now - self._opened.pop(round)
        if self._adaptive is not None:
            self._adaptive.add(took)

    def doom(self, site: Fallible, round: int) -> None:
        """Have a client's participation in a round end as was drawn."""
        site.fate = fate = self._fates.get((site.client, round))
        if fate is not None:
            site.back = self._numbers[round] + fate.away

    def fated(self, site: Fallible, round: int, acting: Process) -> Process:
        """Have a client act in a round, unless it vanishes: at the end, if what it was to vanish at never came."""
        self.doom(site, round)
        yield from acting
        if self._fates.pop((site.client, round), None) is not None:
            yield site.vanishing()

    def _participation(
        self, site: Fallible, round: int, after: Causes, take_part: TakePart, before: simpy.Process | None
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
        yield from self.fated(site, round, take_part(site, round))

    def _first_there(self, round: int, away: Collection[int]) -> float:
        """When somebody comes whom a round could begin with, unless away [s]; inf if never."""
        by, now = self._selection, float(self.run.env.now)
        whom = by.rounds[round] if isinstance(by, Listed) else range(self._population.clients)
        return min(
            (self._population.next_change(client, now) for client in whom if client not in away), default=math.inf
        )

    def _wanted(self, round: int, away: Collection[int]) -> Sequence[int]:
        """Clients that a round is to have, of those that are there and not away."""
        by, population = self._selection, self._population
        if isinstance(by, Fraction):
            # A share of the whole fleet, without asking everyone.
            wanted = max(1, builtins.round(by.share * population.clients))
            return population.choose(wanted, float(self.run.env.now), by.draws, away)
        return by.select(round, self._there(away))

    def _there(self, away: Collection[int]) -> Sequence[int]:
        """Clients that can be chosen now, rising."""
        if self._population.always_there and not away:
            return range(self._population.clients)
        return [*self._population.available(self.run.env.now, away)]

    def _site(self, client: int) -> Fallible:
        if client not in self._sites:
            self._sites[client] = site = self._join(client)
            site.gone = self._gone
            site.device, site.link = self._hazards(client)
        return self._sites[client]

    def _hazards(self, client: int) -> tuple[Hazard | None, Hazard | None]:
        """When a client's device and its link fail."""
        group, devices, links = (
            self._fleet.group(client),
            self._population.failures(client),
            self._population.outages(client),
        )
        device = link = None
        if devices is not None and group.failures is not None:
            device = Hazard(devices, group.failures.resume)
        if links is not None and group.outages is not None:
            link = Hazard(links, group.outages.transfers == "stall")
        return device, link

    def _gone(self, site: Fallible, back: int) -> None:
        """Learn that a client has vanished, and from which opening on it can take part again."""
        self._back[site.client] = back

    def _forsaken(self, round: int) -> None:
        """Have a round of which nobody is left begin anew, or end the run, as the scenario says and the shape can."""
        if self._told.short == "end" or not self._anew:
            raise self._short(round, f"none of its clients is left (they were {_named(self._members[round])})")
        self._nobody_left[round].succeed()

    def _short(self, round: int, why: str) -> EndedEarlyError:
        run = self.run
        hint = (
            "; participation.short: wait would have it begin anew" if self._told.short == "end" and self._anew else ""
        )
        return EndedEarlyError(
            f"round {round} is short at {run.env.now:.6g} s, with {run.server.aggregations} of {run.rules.rounds} "
            f"rounds aggregated: {why}{hint}"
        )


def _named(clients: Sequence[int]) -> str:
    return ", ".join(map(str, clients[:_NAMED])) + (" ..." if len(clients) > _NAMED else "")
