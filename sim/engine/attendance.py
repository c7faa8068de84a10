"""Who takes part in rounds that are opened one by one: chosen among the clients that are there when a round opens.

A *participation* is what a client does for one round. A client that vanishes stops all of its participations at once.
A round that cannot be aggregated without further clients is *short*: it ends the run, or is opened anew for these.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import simpy

from parasim_core.sim.engine.aggregation import Aggregation, AllExpected, Quorum
from parasim_core.sim.engine.candidates import Candidates
from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.opening import Admit, Awaiting, Chosen, TakePart
from parasim_core.sim.engine.roster import Roster, named
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.selection import Everyone, Selection, Turns
from parasim_core.sim.engine.world import Causes, Process
from parasim_core.sim.failures.deadline import AdaptiveDeadline
from parasim_core.sim.failures.dropout import Vanishing
from parasim_core.sim.failures.interruptions import MOST_ATTEMPTS
from parasim_core.sim.scenario.failures import AdaptiveDeadline as Adaptive
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Participation


class Attendance(Roster):
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
        super().__init__(run, scenario, join)
        told = scenario.participation
        self._selection = selection
        self._candidates = Candidates(scenario, selection, self._population)
        # How often a round was opened; those who vanished are back after so many.
        self._openings = 0
        # Number of each round's last opening; who is late in one may vanish yet.
        self._numbers: dict[int, int] = {}
        # Of rounds that are not aggregated: when they were opened last, and how often; how many took part at first, who
        # does or has done so, and who vanished.
        self._opened: dict[int, float] = {}
        self._times: Counter[int] = Counter()
        self._size: dict[int, int] = {}
        self._taking_part: dict[int, dict[int, None]] = {}
        self._vanished: dict[int, dict[int, None]] = {}
        # Those that are short; and what tells who waits for clients for them that others are to be had.
        self._wanting: set[int] = set()
        self._changed: simpy.Event | None = None
        # How participations will end early, by client and round.
        self._fates: dict[int, dict[int, Vanishing]] = {}
        self._admit: Admit = lambda round, sites: None
        run.server.short = self._short
        run.server.policy = _policy(told)
        deadline = told.deadline
        self._adaptive = AdaptiveDeadline(deadline.median, deadline.mad) if isinstance(deadline, Adaptive) else None

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
        chosen = yield from self.choose(0)
        after = yield from run.survey(chosen.sites)

        def begin(round: int, sites: Sequence[Fallible]) -> None:
            for site in sites:
                site.latest = run.process(site, self._participation(site, round, after, take_part, site.latest))

        self.admits(begin)
        for round in range(run.rules.rounds):
            if round:
                chosen = yield from self.choose(round)
            self.announce(round, chosen)
            begin(round, chosen.sites)
            after = (yield run.server.aggregated(round)) or ()
            # Whoever takes turns is there in those of others, too.
            for client in () if isinstance(self._selection, Turns) else self._taking_part[round]:
                self._sites[client].leave(round)
            self.close(round)
        run.stop()

    def admits(self, admit: Admit) -> None:
        """Say how further clients begin a round that is opened anew."""
        self._admit = admit

    def choose(self, round: int) -> Awaiting[Chosen]:
        """Choose the participants of a round among those that are there; if nobody is, wait for them."""
        while True:
            # Others may wait for a round that is short, which comes first.
            self._admit_further()
            if (chosen := self._chosen(round)).sites:
                self._openings += 1
                return chosen
            yield from self._somebody([round])

    def announce(self, round: int, chosen: Chosen) -> None:
        """Open a round: from now on its clients take part, and its deadline runs."""
        server, now = self.run.server, float(self.run.env.now)
        server.expect(round, len(chosen.sites), chosen.wanted)
        if self._adaptive is not None:
            server.policy.deadline = self._adaptive.seconds
        server.open(round)
        taking_part = self._taking_part.setdefault(round, {})
        if not taking_part:
            self._size[round], self._vanished[round] = len(chosen.sites), {}
        taking_part |= dict.fromkeys([site.client for site in chosen.sites])
        self._opened[round], self._numbers[round] = now, self._openings
        self._times[round] += 1
        for site in chosen.sites:
            site.enter(round)
            self._leaves(site)
            dropouts = self._population.dropouts(site.client)
            fate = None if dropouts is None else dropouts.draw(site.client, self._openings)
            if fate is not None:
                self._fates.setdefault(site.client, {})[round] = fate

    def close(self, round: int) -> None:
        """Learn that a round is aggregated."""
        for noted in (self._times, self._size, self._taking_part, self._vanished):
            del noted[round]
        took = self.run.env.now - self._opened.pop(round)
        if self._adaptive is not None:
            self._adaptive.add(took)

    def doom(self, site: Fallible, round: int) -> None:
        """Have a client's participation in a round end as was drawn."""
        site.fate = fate = self._fates.get(site.client, {}).get(round)
        if fate is not None:
            site.back = self._numbers[round] + fate.away

    def fated(self, site: Fallible, round: int, acting: Process) -> Process:
        """Have a client act in a round, unless it vanishes: at the end, if what it was to vanish at never came."""
        self.doom(site, round)
        yield from acting
        if self._spare(site, round):
            yield site.vanishing()

    def skip(self, site: Fallible, round: int) -> None:
        """Have a client not take part in a round that nobody waits for it in any more."""
        site.owed.pop(round, None)
        self._spare(site, round)

    def _spare(self, site: Fallible, round: int) -> bool:
        """Forget how a client's participation was to end, and tell whether it was to end early."""
        fates = self._fates.get(site.client, {})
        spared = fates.pop(round, None) is not None
        if spared and not fates:
            del self._fates[site.client]
        return spared

    def _participation(
        self, site: Fallible, round: int, after: Causes, take_part: TakePart, before: simpy.Process | None
    ) -> Process:
        if before is not None and before.is_alive:
            # It is not done with an earlier round yet.
            yield before
            if self.run.server.aggregated(round).triggered:
                self.skip(site, round)
                return
            site.after = (*after, *site.after)
        else:
            site.after = after
        yield from self.fated(site, round, take_part(site, round))

    def _chosen(self, round: int) -> Chosen:
        """Choose those who are there for a round, or as many as one has lost that is opened anew."""
        taking_part = self._taking_part.get(round)
        lost = self._size[round] - len(taking_part) if taking_part else None
        clients, wanted = self._candidates.choose(round, float(self.run.env.now), self._barred(round), lost)
        return Chosen([self._site(client) for client in clients], wanted)

    def _away(self) -> set[int]:
        """Clients that have dropped out, and are not back for the next opening."""
        away = {client for client, opening in self._back.items() if opening > self._openings + 1}
        self._back = {client: self._back[client] for client in away}
        return away

    def _barred(self, round: int) -> set[int]:
        """Clients that cannot be chosen for a round: those away, and those who take part in it or in a later one."""
        return self._away().union(*(own for other, own in self._taking_part.items() if other >= round))

    def _somebody(self, rounds: Sequence[int]) -> Awaiting[None]:
        """Wait until somebody comes whom one of some rounds could have, or one who may do so has vanished."""
        away, env = self._away(), self.run.env
        if self._told.short == "end":
            gone = f" ({named(sorted(away))} vanished before)" if away else ""
            raise self._ends(rounds[0], f"nobody is there whom it could begin with{gone}")
        now = float(env.now)
        first = min(self._candidates.first_there(round, now, self._barred(round)) for round in rounds)
        if first < math.inf:
            self._changed = env.event()
            yield env.timeout(first - now) | self._changed
            self.run.world.timeline.incidents.nobody.append((now, float(env.now)))
        elif away:
            # This try counts as one of the rounds for which they are away.
            self._openings += 1
        elif any(map(self._barred, rounds)):
            # All are at work in later rounds: whoever vanishes there can be chosen anew.
            self._changed = env.event()
            yield self._changed
        else:
            raise self._ends(rounds[0], "nobody will ever be there")

    def _gone(self, site: Fallible, back: int, owed: Collection[int]) -> None:
        """Learn that a client has vanished, from which opening on it can take part again, and which updates it owed."""
        self._back[site.client] = back
        self._fates.pop(site.client, None)
        for round in owed:
            if self._taking_part.get(round, {}).pop(site.client, 0) is None:
                self._vanished[round][site.client] = None
        self._tell_of_changes()

    def _short(self, round: int) -> None:
        """End the run with a round that is short, or open that anew, as the scenario says; a turn passes on."""
        if self._told.short == "end" and not isinstance(self._selection, Turns):
            raise self._ends(round, self._who_is_missing(round))
        if not self._wanting:
            self.run.process(self.run.server, self._open_anew())
        self._wanting.add(round)
        self._tell_of_changes()

    def _tell_of_changes(self) -> None:
        if self._changed is not None and not self._changed.triggered:
            self._changed.succeed()

    def _open_anew(self) -> Process:
        """Have further clients take part in rounds that are short, as many as it takes."""
        while True:
            self._admit_further()
            if not self._wanting:
                return
            yield from self._somebody(sorted(self._wanting))

    def _admit_further(self) -> None:
        """Open rounds that are short anew, the earliest first, as far as there is anybody for them."""
        policy = self.run.server.policy
        for round in sorted(self._wanting):
            while policy.short(round):
                chosen = self._chosen(round)
                if not chosen.sites and policy.missing(round) > 0:
                    break
                if self._times[round] >= MOST_ATTEMPTS * self._size[round]:
                    times = f"{self._times[round]:,} times"
                    raise self._ends(round, f"it has been opened {times}, and would hardly ever be aggregated")
                self._openings += 1
                self.announce(round, chosen)
                self._admit(round, chosen.sites)
            else:
                self._wanting.discard(round)

    def _who_is_missing(self, round: int) -> str:
        """Say who vanished of a round, and who is left."""
        owing = [client for client in self._taking_part[round] if round in self._sites[client].owed]
        vanished, received = [*self._vanished[round]], len(self._taking_part[round]) - len(owing)
        if not (received or owing):
            return f"none of its clients is left (they were {named(sorted(vanished))})"
        needed = self.run.server.policy.missing(round) + received + len(owing)
        late = "" if received + len(owing) < needed else "its deadline has passed: "
        why = f"{late}{received} updates are in, and its quorum is {needed}; "
        why += f"vanished: {named(sorted(vanished))}" if vanished else "nobody has vanished"
        return f"{why}; still at work: {named(sorted(owing)) if owing else 'nobody'}"


def _policy(told: Participation) -> Aggregation:
    """When a round is aggregated, by what a scenario says."""
    strict, least, deadline = told.quorum is not None, 1.0 if told.quorum is None else told.quorum, told.deadline
    if least == 1 and told.over_selection == 1 and deadline is None:
        return AllExpected(strict=strict)
    return Quorum(least, None if isinstance(deadline, Adaptive) else deadline, told.late, strict)
