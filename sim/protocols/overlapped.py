"""ParaBlock's shape in time: exchange an earlier round's update while computing the current one.

Source: ParaBlock, Algorithm 2. With staleness s, round t overlaps with the exchange of round t - s; the server's
model is s rounds behind, and after the last round the s updates that are left are sent one after the other.

Under partial participation the parts of a round fall to different clients: round t's participants compute, those
of round t - s upload, the server aggregates, and those of round t + 1 download what they miss. A round whose
clients are not the ones of the round before opens for all of them at once, when that one is done. Where the same
clients go on, each does so by itself, as Algorithm 2 says.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import simpy

from sim.learner import Update
from sim.protocols.base import After, Process, Run, Shape, Site, Training, survey
from sim.timeline import Interval

Sites = frozenset[Site]
_NOBODY: Sites = frozenset()


class Overlapped(Shape):
    """Two threads per client: one computes, the other communicates."""

    def __init__(self, run: Run):
        self.run = run
        self.staleness = run.rules.staleness
        self.computing: dict[int, Sites] = {}
        self.stages: list[Stage] = []
        self.stage_of: dict[int, Stage] = {}

    def start(self) -> None:
        """Work out who does what in which round, and begin every client's process."""
        self.computing = self._participants()
        for round, sites in self.computing.items():
            self.run.server.expect(round, sum(site.count for site in sites))
        rounds_of: dict[Site, list[int]] = {site: [] for site in self.run.sites}
        involved_before: frozenset[Sites] = frozenset()
        # After the last computation, s more rounds bring in the updates that are still pending.
        for round in range(self.run.rules.rounds + self.staleness):
            roles = (self.computing.get(round, _NOBODY), self.sending(round), self.fetching(round))
            involved = frozenset(role for role in roles if role)
            if not involved:
                continue
            sites = frozenset(site for role in involved for site in role)
            if len(involved) > 1 or involved != involved_before:
                self.stages.append(Stage(round, self.run.env.event(), sites))
            self.stages[-1].last = round
            self.stage_of[round] = self.stages[-1]
            for site in sites:
                rounds_of[site].append(round)
            involved_before = involved
        self.run.env.process(self.server())
        for site, rounds in rounds_of.items():
            if rounds:
                self.run.env.process(self.client(site, rounds))

    def server(self) -> Process:
        """Open each stage when everyone is done with the one before it."""
        after = yield from survey(self.run)
        for stage in self.stages:
            if stage.first:
                stage.begin = self.run.env.now
            stage.opened.succeed(after)
            after = yield stage.closed(self.run.env)

    def client(self, site: Site, rounds: Sequence[int]) -> Process:
        """One client of ParaBlock (Algorithm 2): exchange round t - s while computing round t."""
        pending: dict[int, Update] = {}
        after: After = ()
        for round in rounds:
            stage = self.stage_of[round]
            if round == stage.first:
                after = yield stage.opened
            if site in self.computing.get(round, _NOBODY):
                work = site.train(round, after)  # computation thread
                exchange = self.run.env.process(self.exchange(site, round, pending, after, work))
                yield work & exchange
                pending[round] = work.update
                after = (work.span, *(exchange.value or ()))
            else:
                after = yield from self.exchange(site, round, pending, after)
            if round == stage.last:
                stage.leave(after)

    def exchange(
        self, site: Site, round: int, pending: dict[int, Update], after: After, work: Training | None = None
    ) -> Generator[simpy.Event, Any, After]:
        """Communication thread of one round: send what is due (line 5), fetch what comes next (lines 6, 9)."""
        due = round - self.staleness
        sends, fetches = due in pending, site in self.fetching(round)
        beside: int | None = None
        if work is not None and (sends or fetches):
            yield from work.begun()
            if work.serial:
                yield self.run.env.timeout(work.serial)
                beside = work.span
        communicated: After = ()
        if sends:
            communicated = after = yield from site.upload(pending.pop(due), after, beside)
        if fetches:
            aggregated = yield self.run.server.aggregated(due)
            communicated = yield from site.fetch(site.missing(), (*aggregated, *after), beside)
        return communicated

    def sending(self, round: int) -> Sites:
        """Sites that upload during a round."""
        return self.computing.get(round - self.staleness, _NOBODY)

    def fetching(self, round: int) -> Sites:
        """Sites that download during a round: the next participants; at the end, those that go on sending."""
        if round < self.staleness:
            return _NOBODY
        if round + 1 < self.run.rules.rounds:
            return self.computing[round + 1]
        return self.sending(round) & self.sending(round + 1)

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """The stages in which it has something to do; the whole run if the clients never change."""
        if len(self.stages) == 1:
            return [(0.0, wall_clock)] if site in self.stages[0].sites else []
        ends = [*(stage.begin for stage in self.stages[1:]), wall_clock]
        return [(s.begin, end) for s, end in zip(self.stages, ends, strict=True) if site in s.sites]

    def _participants(self) -> dict[int, Sites]:
        by_round: dict[int, list[Site]] = {}
        for site in self.run.sites:
            for round in site.rounds:
                by_round.setdefault(round, []).append(site)
        # One set object for every round in which everyone takes part, not one each.
        everyone = frozenset(self.run.sites)
        size = len(everyone)
        return {t: everyone if len(sites) == size else frozenset(sites) for t, sites in sorted(by_round.items())}


class Stage:
    """Consecutive rounds of the same clients in the same roles: opened together, left one by one."""

    def __init__(self, first: int, opened: simpy.Event, sites: Sites):
        self.first = self.last = first
        self.opened = opened
        self.sites = sites
        self.begin = 0.0
        self._left = 0
        self._ends: list[int] = []
        self._closed: simpy.Event | None = None

    def leave(self, after: After) -> None:
        """Count one client out; `after` are the spans with which it ended."""
        self._left += 1
        self._ends += after
        if self._left == len(self.sites) and self._closed is not None:
            self._closed.succeed(tuple(self._ends))

    def closed(self, env: simpy.Environment) -> simpy.Event:
        """Fire when all clients have left; the value holds the spans with which they ended."""
        self._closed = env.event()
        return self._closed
