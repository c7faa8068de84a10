"""ParaBlock's shape in time: exchange an earlier round's update while computing the current one.

Source: ParaBlock, Algorithm 2. With staleness s, round t overlaps with the exchange of round t - s; the server's
model is s rounds behind, and after the last round the s updates that are left are sent one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import Field

from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.shape import Params, Shape, Traits
from parasim_core.sim.engine.site import Site, Thread
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.world import Process
from parasim_core.sim.protocols.rolling import Rolling
from parasim_core.sim.protocols.stages import Stage, Stages
from parasim_core.sim.scenario.fields import Whole


class OverlappedParams(Params):
    """What ParaBlock can be told."""

    staleness: Whole = Field(default=1, ge=1, le=1000)
    """Rounds between an update and its exchange: 1 in the paper."""


class Overlapped(Shape[OverlappedParams]):
    """Two threads per client: one computes, the other communicates."""

    traits = Traits(causes_fixed=True, collapsible=True, opens_rounds=True, overlaps=True)
    Params = OverlappedParams

    def __init__(self, run: Run, params: OverlappedParams):
        super().__init__(run, params)
        self.rounds: Stages | Rolling = (Stages if run.attendance is None else Rolling)(run, params.staleness)

    @classmethod
    def staleness(cls, params: OverlappedParams) -> int | None:
        """Rounds between an update and its exchange."""
        return params.staleness

    def start(self) -> None:
        """Begin the server's process, which begins those of the clients."""
        rounds = self.rounds
        self.run.process(
            self.run.server,
            rounds.server(self.client)
            if isinstance(rounds, Stages)
            else rounds.server(self.participation, self.exchange),
        )

    def client(self, site: Site, stage: Stage) -> Process:
        """One client of ParaBlock (Algorithm 2), in the rounds of a stage."""
        for round in stage.computed_by(site):  # line 3
            yield from self.participation(site, round)
        for round in stage.exchanged_by(site):  # lines 12 to 14
            yield from self.exchange(site, round)

    def participation(self, site: Site, round: int) -> Process:
        """The same in one round: compute, and meanwhile communicate."""
        training = site.train(round)  # line 4
        yield site.meanwhile(training, partial(self.exchange, round=round))  # lines 5, 6 and 9
        site.keep(training.update)

    def exchange(self, thread: Thread, round: int) -> Process:
        """Send the update of round t - s, and fetch what its aggregation brings."""
        for update in thread.site.due(round - self.params.staleness):
            yield thread.upload(update)
        if self.rounds.goes_on(thread.site, round):
            yield thread.wait(self.rounds.news(round))
            yield thread.fetch(self.rounds.wanted(thread.site, round))

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """The stages in which it has something to do."""
        return self.rounds.presence(site, wall_clock)
