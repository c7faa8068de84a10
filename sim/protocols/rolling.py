"""Who does what in which round where computing and exchanging overlap, and who takes part is decided as it goes.

Roles and staleness are those of `stages.py`. A round t + 1 is opened when round t - s is aggregated (the first: when
somebody is done with the round before), and its clients are chosen then among those that are there. Where everyone
who is there takes part, whoever did so before goes on by itself, and whoever comes anew begins once it has fetched
what it misses. Otherwise the next ones begin when all of the round before are done, as far as they have not vanished.
Others have gone on from a round that is opened anew: its further clients catch up with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter

import simpy

from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.opening import TakePart
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.world import Causes, Process, Signal

Sites = frozenset[Site]
_NOBODY: Sites = frozenset()


class Rolling:
    """The rounds of a run.

    Parameters
    ----------
    run : Run
        The run, whose attendance opens rounds.
    staleness : int
        Rounds between an update and its exchange.
    """

    def __init__(self, run: Run, staleness: int):
        assert run.attendance is not None
        self._run = run
        self._attendance = run.attendance
        self._rounds = run.rules.rounds
        self._staleness = staleness
        self._computing: dict[int, Sites] = {}
        self._roles: dict[int, Sites] = {-1: _NOBODY}
        self._opened: dict[int, Signal] = {}
        self._done: dict[int, Signal] = {}
        # What is done in each round, by whom, and what those waited for who are done.
        self._processes: dict[int, dict[Site, simpy.Process]] = {-1: {}}
        self._ends: dict[int, list[int]] = {-1: []}

    def server(self, compute: TakePart, exchange: TakePart) -> Process:
        """Open the rounds, and end the run with the last aggregation.

        Parameters
        ----------
        compute, exchange : callable
            Give what a client does in a round in which it computes, and in one in which it only communicates.
        """
        run, attendance, staleness = self._run, self._attendance, self._staleness
        attendance.admits(partial(self._open_anew, compute=compute, exchange=exchange))
        chosen = yield from attendance.choose(0)
        after = yield from run.survey(chosen.sites)
        for round in range(self._rounds + staleness):
            if round > staleness:
                after = yield run.server.aggregated(round - 1 - staleness)
                attendance.close(round - 1 - staleness)
            elif 0 < round < self._rounds:
                after = yield self._somebody_done(round - 1)
            if round < self._rounds:
                chosen = chosen if round == 0 else (yield from attendance.choose(round))
                attendance.announce(round, chosen)
                self._open(round, after, chosen.sites, compute, exchange)
                continue
            if round == self._rounds:
                self._bring_in(exchange, after)
            self._opening(round).succeed(after)
        yield run.server.aggregated(self._rounds - 1)
        run.stop()

    def goes_on(self, site: Site, round: int) -> bool:
        """Tell whether a client waits for what a round's exchange brings: it may have to compute next, or to send."""
        due = round - self._staleness
        if due < 0:
            if isinstance(site, Fallible):
                site.skips("download")
            return False
        if round + 1 < self._rounds:
            return True
        return isinstance(site, Fallible) and site.delivered == due and due + 1 in site.owed

    def news(self, round: int) -> Signal:
        """What a client waits for in a round's exchange: that the next round is opened."""
        return self._opening(round + 1)

    def wanted(self, site: Site, round: int) -> Sequence[int]:
        """Items that a client downloads in a round's exchange: all that changed, if it goes on."""
        goes_on = round + 1 >= self._rounds or site in self._computing[round + 1]
        return site.missing() if goes_on else ()

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """As the attendance has noted it."""
        assert isinstance(site, Fallible)
        return site.attended(wall_clock)

    def _open(
        self, round: int, after: Causes, chosen: Sequence[Fallible], compute: TakePart, exchange: TakePart
    ) -> None:
        """Begin a round with those who compute in it, and those who send in it."""
        self._computing[round] = computing = frozenset(chosen)
        self._processes[round], self._ends[round] = {}, []
        self._roles[round] = own = computing | self._sending(round)
        new = [site for site in chosen if not self._continues(site, round)]
        fetching = {site: self._begin(site, self._fetch(site, round, after, site.latest)) for site in new}
        gate = self._gate(round, list(fetching.values()))
        for site in sorted(own, key=attrgetter("client")):
            assert isinstance(site, Fallible)
            act = compute if site in computing else exchange
            before = fetching.get(site, site.latest)
            process = self._begin(site, self._acting(site, round, act, exchange, after, gate, before))
            self._processes[round][site] = site.latest = process
        for site in self._roles[round - 1] - own:
            if isinstance(site, Fallible) and not site.owed:
                site.leave()
                self._run.world.learner.rest(site.client, vanished=False)
        # Nobody asks for who did what in rounds that are aggregated, but for the last of these.
        for kept in (self._roles, self._processes, self._ends):
            kept.pop(round - self._staleness - 3, None)
        self._opening(round).succeed(after)

    def _open_anew(self, round: int, sites: Sequence[Fallible], *, compute: TakePart, exchange: TakePart) -> None:
        """Have further clients begin a round from which others may have gone on."""
        self._computing[round] |= frozenset(sites)
        # They are in its roles until its update is aggregated.
        for other in range(round, round + self._staleness + 1):
            if other in self._roles:
                self._roles[other] |= frozenset(sites)
        for site in sites:
            process = self._begin(site, self._catching_up(site, round, compute, exchange, site.latest))
            self._processes[round][site] = site.latest = process

    def _catching_up(
        self, site: Fallible, round: int, compute: TakePart, exchange: TakePart, before: simpy.Process | None
    ) -> Process:
        """Do a round that may have been opened long ago."""
        yield from self._fetch(site, round, self._opening(round).value or (), before)
        yield from self._acting(site, round, compute, exchange, (), None, None)

    def _overdue(self, site: Fallible) -> list[int]:
        """Rounds that have been opened, and in which a client was to send what it still has."""
        sending = [round + self._staleness for round in sorted(site.kept or ())]
        return [round for round in sending if self._opening(min(round, self._rounds)).triggered]

    def _bring_in(self, exchange: TakePart, after: Causes) -> None:
        """Begin to send what is pending after the last round.

        Who computed in it goes on by itself, and the others when all of these have computed.
        """
        pending = range(self._rounds, self._rounds + self._staleness)
        self._roles[self._rounds] = frozenset().union(*map(self._sending, pending))
        gate = self._gate(self._rounds, [])
        for site in sorted(self._roles[self._rounds], key=attrgetter("client")):
            assert isinstance(site, Fallible)
            waits = None if site in self._computing[self._rounds - 1] else gate
            act = self._sending_all(site, pending, exchange, after, waits, site.latest)
            site.latest = self._begin(site, act)

    def _sending_all(
        self,
        site: Fallible,
        pending: Sequence[int],
        exchange: TakePart,
        after: Causes,
        gate: simpy.Event | None,
        before: simpy.Process | None,
    ) -> Process:
        if before is not None and before.is_alive:
            yield before
        site.after = (*after, *site.after)
        if gate is not None:
            yield gate
            site.after = tuple(dict.fromkeys(self._ends[self._rounds - 1]))
        for round in pending:
            yield from exchange(site, round)

    def _continues(self, site: Fallible, round: int) -> bool:
        """Whether a client took part in the round before, and has not vanished since."""
        process = self._processes[round - 1].get(site)
        if round > self._staleness:
            return process is not None and process.is_alive
        return self._owes(site, round - 1)

    def _gate(self, round: int, fetching: list[simpy.Process]) -> simpy.Event | None:
        """Happen when all of the round before are done; None where they are not waited for."""
        if round == 0 or self._attendance.by_themselves or self._unchanged(round):
            return None
        return self._run.env.all_of([*filter(_alive, self._processes[round - 1].values()), *fetching])

    def _unchanged(self, round: int) -> bool:
        """Whether the same clients are in the same roles as in the round before."""
        if round >= self._rounds:
            return False
        computing, roles = self._computing, self._roles
        same = computing[round] == computing[round - 1] == roles[round] == roles[round - 1]
        return same and self._sending(round) in (_NOBODY, computing[round])

    def _fetch(self, site: Fallible, round: int, after: Causes, before: simpy.Process | None) -> Process:
        """Catch up, where one comes anew, once it is done with what it may still be at."""
        if before is not None and before.is_alive:
            yield before
            site.after = (*after, *site.after)
        else:
            site.after = after
        self._attendance.doom(site, round)
        if round > self._staleness or self._run.server.aggregations:
            yield site.fetch(site.missing())
        self._done_by(round - 1, site)

    def _acting(
        self,
        site: Fallible,
        round: int,
        act: TakePart,
        exchange: TakePart,
        after: Causes,
        gate: simpy.Event | None,
        before: simpy.Process | None,
    ) -> Process:
        if before is not None and before.is_alive:
            yield before
        else:
            site.after = (*after, *site.after)
        if gate is not None:
            yield gate
            site.after = tuple(dict.fromkeys(self._ends[round - 1]))
        if self._run.server.aggregated(round).triggered:
            self._attendance.skip(site, round)
        else:
            yield from self._attendance.fated(site, round, act(site, round))
        # What it was to send in a round that was opened before it had it, unless it is sent beside a later one.
        while site.latest is self._run.env.active_process and (pending := self._overdue(site)):
            yield from exchange(site, pending[0])
        self._done_by(round, site)
        done = self._somebody_done(round)
        if not done.triggered:
            done.succeed(site.after)

    def _done_by(self, round: int, site: Fallible) -> None:
        """Note what a client was done with a round by, where the next ones wait for all of them."""
        if not self._attendance.by_themselves:
            self._ends[round].extend(site.after)

    def _begin(self, site: Fallible, generator: Process) -> simpy.Process:
        return self._run.process(site, generator)

    def _sending(self, round: int) -> Sites:
        """Sites that owe the server what they upload during a round."""
        due = round - self._staleness
        return frozenset(site for site in self._computing.get(due, _NOBODY) if self._owes(site, due))

    def _owes(self, site: Site, round: int) -> bool:
        return isinstance(site, Fallible) and round in site.owed

    def _opening(self, round: int) -> Signal:
        return self._opened.setdefault(round, self._run.signal(f"the opening of round {round}"))

    def _somebody_done(self, round: int) -> Signal:
        return self._done.setdefault(round, self._run.signal(f"somebody to be done with round {round}"))


def _alive(process: simpy.Process) -> bool:
    return process.is_alive
