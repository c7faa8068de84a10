"""Who does what in which round where computing and exchanging overlap, also where not everyone always takes part.

Of a round t, its participants compute, those of round t - s upload, and those of round t + 1 download what they miss.
Where the same clients go on, each does so by itself; where they change, the next ones begin when all of these are done.
Consecutive rounds of the same clients in the same roles are a *stage*. After the last computation, s more rounds bring
in what is still pending: one more stage, which whoever computed last enters by itself as soon as it is done (Algorithm
2, lines 12 to 14), and the others when all of these have computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.world import Process, Signal

Sites = frozenset[Site]
_NOBODY: Sites = frozenset()


@dataclass
class Stage:
    """Consecutive rounds of the same clients in the same roles: begun together, left one by one.

    Attributes
    ----------
    rounds : list of int
        Its rounds.
    sites : frozenset of Site
        All that do anything in it.
    computing : dict of int to frozenset of Site
        Who computes in each round of the run.
    begin : float
        When it began [s].
    """

    rounds: list[int]
    sites: Sites
    computing: dict[int, Sites]
    begin: float = 0.0
    left: int = 0
    ends: list[int] = field(default_factory=list)

    def computed_by(self, site: Site) -> Iterator[int]:
        """Rounds in which a client computes."""
        return (round for round in self.rounds if site in self.computing.get(round, _NOBODY))

    def exchanged_by(self, site: Site) -> Iterator[int]:
        """Rounds in which it communicates and does nothing else."""
        return (round for round in self.rounds if site not in self.computing.get(round, _NOBODY))


class Stages:
    """The stages of a run.

    Parameters
    ----------
    run : Run
        The run, whose sites have joined when `server` begins.
    staleness : int
        Rounds between an update and its exchange.
    """

    def __init__(self, run: Run, staleness: int):
        self._run = run
        self._staleness = staleness
        self._computing: dict[int, Sites] = {}
        self._stages: list[Stage] = []
        self._last = _NOBODY

    def server(self, client: Callable[[Site, Stage], Process]) -> Process:
        """Begin each stage when everyone is done with the one before it.

        Parameters
        ----------
        client : callable
            Gives a client's process in a stage.
        """
        run = self._run
        self._divide()
        after = yield from run.survey()
        *stages, pending = self._stages
        for stage in stages:
            stage.begin = run.env.now if stage.rounds[0] else 0.0
            done = run.signal(f"the end of rounds {stage.rounds[0]} to {stage.rounds[-1]}")
            goes_on = self._last if stage is stages[-1] else _NOBODY
            for site in _in_order(stage.sites):
                site.after = after
                run.process(site, self._taking_part(client, site, stage, done, goes_on))
            after = yield done
        pending.begin = run.env.now
        for site in _in_order(pending.sites - self._last):
            site.after = after
            run.process(site, client(site, pending))

    def goes_on(self, site: Site, round: int) -> bool:
        """Tell whether a client needs what a round's exchange brings: to compute next, or to go on sending."""
        if round < self._staleness:
            return False
        if round + 1 < self._run.rules.rounds:
            return site in self._computing[round + 1]
        return site in self._sending(round) and site in self._sending(round + 1)

    def news(self, round: int) -> Signal:
        """What a client waits for in a round's exchange."""
        return self._run.server.aggregated(round - self._staleness)

    def wanted(self, site: Site, round: int) -> Sequence[int]:
        """Items that a client downloads in a round's exchange: all that changed."""
        return site.missing()

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """The stages in which a site has something to do [s]."""
        ends = [*(stage.begin for stage in self._stages[1:]), wall_clock]
        return [(s.begin, end) for s, end in zip(self._stages, ends, strict=True) if site in s.sites]

    def _divide(self) -> None:
        """Work out who does what in which round, and cut the run into stages."""
        self._computing = _participants(self._run.sites)
        for round, sites in self._computing.items():
            self._run.server.expect(round, sum(site.count for site in sites))
        before: frozenset[Sites] = frozenset()
        rounds = self._run.rules.rounds
        for round in range(rounds):
            involved = frozenset(filter(None, (self._computing[round], self._sending(round), self._fetching(round))))
            if len(involved) > 1 or involved != before:
                self._stages.append(Stage([], _NOBODY.union(*involved), self._computing))
            self._stages[-1].rounds.append(round)
            before = involved
        self._last = self._computing[rounds - 1]
        pending = range(rounds, rounds + self._staleness)
        self._stages.append(Stage([*pending], _NOBODY.union(*map(self._sending, pending)), self._computing))

    def _sending(self, round: int) -> Sites:
        """Sites that upload during a round."""
        return self._computing.get(round - self._staleness, _NOBODY)

    def _fetching(self, round: int) -> Sites:
        """Sites that download during a round: the next participants; at the end, those that go on sending."""
        if round < self._staleness:
            return _NOBODY
        if round + 1 < self._run.rules.rounds:
            return self._computing[round + 1]
        return self._sending(round) & self._sending(round + 1)

    def _taking_part(
        self, client: Callable[[Site, Stage], Process], site: Site, stage: Stage, done: Signal, goes_on: Sites
    ) -> Process:
        """Have a client do its part of a stage, count it out, and go on with what is pending if it may."""
        yield from client(site, stage)
        stage.left += 1
        stage.ends += site.after
        if stage.left == len(stage.sites):
            done.succeed(tuple(stage.ends))
        if site in goes_on:
            yield from client(site, self._stages[-1])


def _in_order(sites: Sites) -> list[Site]:
    return sorted(sites, key=attrgetter("client"))


def _participants(sites: Sequence[Site]) -> dict[int, Sites]:
    by_round: dict[int, list[Site]] = {}
    for site in sites:
        for round in site.rounds:
            by_round.setdefault(round, []).append(site)
    # One set object for every round in which everyone takes part, not one each.
    everyone = frozenset(sites)
    size = len(everyone)
    return {t: everyone if len(own) == size else frozenset(own) for t, own in sorted(by_round.items())}
