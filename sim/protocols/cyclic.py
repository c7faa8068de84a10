"""FedCyBGD's shape in time: clients take turns, each training a block of its own.

Of a client that is gone when its turn comes, or vanishes in it, the turn passes to the next one
(docs/explanation/turns.md).

Source: Wang, Wang and Tang, "Save It All" (arXiv 2406.11187).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.shape import Params, Traits
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.world import Process
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.scenario.fields import Number
from parasim_core.sim.support.streams import stream


class CyclicParams(Params):
    """What FedCyBGD can be told."""

    download_fraction: Number = Field(default=1.0, ge=0, le=1)
    """Share of the blocks changed by others that a client downloads in its turn, drawn at random."""


class Cyclic(Synchronous[CyclicParams]):
    """A round is one client's turn; the others wait for theirs."""

    traits = Traits(causes_fixed=True, takes_turns=True, opens_rounds=True)
    Params = CyclicParams

    def __init__(self, run: Run, params: CyclicParams):
        super().__init__(run, params)
        self.draws = stream(run.rules.seed, "cyclic-download")

    @classmethod
    def staleness(cls, params: CyclicParams) -> int | None:
        """No bound where a client may skip what others changed."""
        return 0 if params.download_fraction == 1 else None

    def participation(self, site: Site, round: int) -> Process:
        """One client of FedCyBGD in its turn: catch up, train its block, and return it."""
        yield site.fetch(self.wanted(site, round))
        update = yield site.train(round)
        yield site.upload(update)
        # The server's block is now this client's own: it has that version without a download.
        yield site.wait(self.run.server.aggregated(round))
        item = self.run.world.sizes.item(round, update.block)
        site.receive({item: self.run.server.versions[item]})

    def wanted(self, site: Site, round: int) -> Sequence[int]:
        """Of the blocks that others changed, the share that is downloaded; the rest stay as they were."""
        missing = sorted(site.missing())
        # Half a block more rounds up: Python's own rule would send 4.5 blocks to 4 and 5.5 to 6.
        wanted = int(self.params.download_fraction * len(missing) + 0.5)
        if wanted == len(missing):
            return missing
        return sorted(self.draws.choice(missing, size=wanted, replace=False).tolist())

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """The whole run: a client whose turn it is not waits, unless it is gone, or dropped out in its last turn."""
        if not isinstance(site, Fallible):
            return [(0.0, wall_clock)]
        assert self.run.attendance is not None
        found: list[Interval] = []
        left = 0.0
        for begin, end in [*site.attended(wall_clock), (wall_clock, wall_clock)]:
            between = self.run.attendance.sessions(site.client, left, begin)
            # Whoever vanished and is there all the same has dropped out.
            dropped_out = found and between and between[0][0] == left
            found += [(begin, end)] if dropped_out else [*between, (begin, end)]
            left = end
        return found
