"""The clients of a run in which they come and go: each one's site, once it is needed, and when it vanishes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import simpy

from parasim_core.sim.engine.fallible import Fallible, Hazard
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.errors import EndedEarlyError
from parasim_core.sim.failures.population import Population
from parasim_core.sim.network.timing import after_delay
from parasim_core.sim.scenario.scenario import Scenario

_NAMED = 5
"""Clients that a message names."""


class Roster:
    """Knows the clients of a run.

    Parameters
    ----------
    run : Run
        The run.
    scenario : Scenario
        Its `participation`, its fleet's failures and `seed`.
    join : callable
        Adds a client to the run, when it is first needed.
    """

    def __init__(self, run: Run, scenario: Scenario, join: Callable[[int], Fallible]):
        self.run = run
        self._told = scenario.participation
        self._population = Population(scenario)
        self._join = join
        self._fleet = Fleet(scenario.fleet)
        self._sites: dict[int, Fallible] = {}
        # One bound method for all sites, of which there may be very many.
        self._on_gone = self._gone
        # Whose session's end is waited for.
        self._leaving: set[int] = set()
        # Of those who dropped out, when they are back, in whatever is counted until then.
        self._back: dict[int, int] = {}

    def sessions(self, client: int, start: float, end: float) -> list[Interval]:
        """When a client is there between two times [s], whether or not it takes part."""
        return [*self._population.sessions(client, start, end)]

    def _gone(self, site: Fallible, back: int, owed: Collection[int]) -> None:
        """Learn that a client has vanished, when it is back, and of which rounds it owed updates."""
        raise NotImplementedError

    def _site(self, client: int) -> Fallible:
        if client not in self._sites:
            self._sites[client] = site = self._join(client)
            site.gone = self._on_gone
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

    def _leaves(self, site: Fallible) -> None:
        """Have a client vanish when its session ends."""
        env = self.run.env
        if site.client in self._leaving:
            return
        end = self._population.next_change(site.client, float(env.now))
        if end < math.inf:
            self._leaving.add(site.client)

            def over(_: simpy.Event) -> None:
                self._leaving.remove(site.client)
                if site.present or site.at_work:
                    site.vanish()

            # What arrives in that very instant has arrived.
            after_delay(env, end - env.now, over)

    def _ends(self, round: int, why: str) -> EndedEarlyError:
        run = self.run
        hint = "; participation.short: wait would have it opened anew" if self._told.short == "end" else ""
        return EndedEarlyError(
            f"round {round} is short at {run.env.now:.6g} s, with {run.server.aggregations} of {run.rules.rounds} "
            f"rounds aggregated: {why}{hint}"
        )


def named(clients: Sequence[int]) -> str:
    """Name some clients, and the first ones of many."""
    return ", ".join(map(str, clients[:_NAMED])) + (" ..." if len(clients) > _NAMED else "")
