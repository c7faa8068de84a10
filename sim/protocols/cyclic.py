"""FedCyBGD's shape in time: clients take turns, each training a block of its own.

Source: Wang, Wang and Tang, "Save It All" (arXiv 2406.11187).
"""

from __future__ import annotations

from collections.abc import Sequence

from sim.protocols.base import Process, Run, Site
from sim.protocols.synchronous import Synchronous
from sim.streams import stream
from sim.timeline import Interval


class Cyclic(Synchronous):
    """A round is one client's turn; the others wait for theirs."""

    def __init__(self, run: Run):
        super().__init__(run)
        self.draws = stream(run.rules.seed, "cyclic-download")

    def client(self, site: Site) -> Process:
        """One client of FedCyBGD: in its turn, catch up, train its block, and return it."""
        for turn in site.rounds:
            after = yield self.opened[turn]
            after = yield from site.fetch(self.wanted(site, turn), after)
            work = site.train(turn, after)
            update = yield work
            yield from site.upload(update, (work.span,))
            # The server's block is now this client's own: it has that version without a download.
            yield self.run.server.aggregated(turn)
            site.holds(self.run.sizes.item(turn, update.block))

    def wanted(self, site: Site, round: int) -> Sequence[int]:
        """Of the blocks that others changed, the share that is downloaded; the rest stay as they were."""
        missing = sorted(site.missing())
        # Half a block more rounds up: Python's own rule would send 4.5 blocks to 4 and 5.5 to 6.
        wanted = int(self.run.rules.download_fraction * len(missing) + 0.5)
        if wanted == len(missing):
            return missing
        return sorted(self.draws.choice(missing, size=wanted, replace=False).tolist())

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """The whole run: a client whose turn it is not waits."""
        return [(0.0, wall_clock)]
