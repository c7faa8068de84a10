"""FedAvg's shape in time: download, train, upload, aggregate, repeat; nothing overlaps.

FedBCD, FedIT, FFA-LoRA, FLoRA and full fine-tuning are this with different things trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.shape import Params, Shape, Traits
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.world import Process

P = TypeVar("P", bound=Params)


class Synchronous(Shape[P]):
    """Every participant of a round does the same steps, and the server waits for the last of them."""

    traits = Traits(causes_fixed=True, collapsible=True, opens_rounds=True)

    def __init__(self, run: Run, params: P):
        super().__init__(run, params)
        self.opened = [run.signal(f"the opening of round {round}") for round in range(run.rules.rounds)]
        # A round's begin is where its participants' presence starts; round 0 begins with the run.
        self.begins = [0.0] * run.rules.rounds

    def start(self) -> None:
        """Begin the server's process and every client's."""
        if self.run.attendance is not None:
            self.run.process(self.run.server, self.run.attendance.rounds(self.participation))
            return
        participants: Counter[int] = Counter()
        for site in self.run.sites:
            for round in site.rounds:
                participants[round] += site.count
        for round, clients in participants.items():
            self.run.server.expect(round, clients)
        self.run.process(self.run.server, self.server())
        for site in self.run.sites:
            self.run.process(site, self.client(site))

    def server(self) -> Process:
        """Open each round when the one before it is aggregated."""
        after = yield from self.run.survey()
        for round, opened in enumerate(self.opened):
            self.run.server.open(round)
            opened.succeed(after)
            after = yield self.run.server.aggregated(round)
            if round + 1 < len(self.opened):
                self.begins[round + 1] = self.run.env.now

    def client(self, site: Site) -> Process:
        """One client, in all of its rounds."""
        for round in site.rounds:
            yield site.released(self.opened[round])
            yield from self.participation(site, round)

    def participation(self, site: Site, round: int) -> Process:
        """One client of FedAvg in one round: catch up, train, upload."""
        yield site.fetch(self.wanted(site, round))
        update = yield site.train(round)
        yield site.upload(update)

    def wanted(self, site: Site, round: int) -> Sequence[int]:
        """Items that a client downloads before it trains: all that changed since it last took part."""
        return site.missing()

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """From the opening of each of its rounds to the next round's."""
        if isinstance(site, Fallible):
            return site.attended(wall_clock)
        if len(site.rounds) == len(self.begins):
            return [(0.0, wall_clock)]
        ends = [*self.begins[1:], wall_clock]
        return [(self.begins[round], ends[round]) for round in site.rounds]
