"""Asynchronous ParaBlock: everyone computes a block while the last one travels, and goes on at its own pace.

ParaBlock's overlap and correction (Algorithm 2) with FedBuff's buffers, one for each block, in the place of rounds.
`docs/explanation/asynchronous.md` has it as an algorithm, and why it is this one.
"""

from __future__ import annotations

from functools import partial

from parasim_core.sim.engine.shape import Traits
from parasim_core.sim.engine.site import Site, Thread
from parasim_core.sim.engine.training import Training
from parasim_core.sim.engine.world import Process, Signal
from parasim_core.sim.network.timing import after_delay
from parasim_core.sim.protocols.buffered import Asynchronous, BufferedParams


class OverlappedAsync(Asynchronous):
    """Two threads per client: one computes, the other sends what was computed before and takes what is newer."""

    traits = Traits(rounds_numbered=False, opens_rounds=True, overlaps=True)
    Params = BufferedParams

    def client(self, site: Site) -> Process:
        """One client: take its turns, and wait for nothing else."""
        while True:
            yield site.wait(self.places.turn(site))
            yield from self.turn(site)

    def turn(self, site: Site) -> Process:
        """One client in its turn: fetch what is newer, and compute one block after the other until others wait."""
        yield site.fetch(site.missing())
        yield from self.compute(site)
        while self.places.has(site):
            if self.run.dispatcher is not None:
                self.run.dispatcher.participate(site)
            yield from self.compute(site)
        # It fetches all that it misses before it computes again.
        self.run.world.learner.rest(site.client, vanished=False)
        for update in site.due(site.updates):
            yield site.upload(update)

    def compute(self, site: Site) -> Process:
        """Compute a block, meanwhile exchange the one before it if it is still to be sent, and go on if it may."""
        training = site.train(site.updates)
        if site.kept:
            yield site.meanwhile(training, partial(self.exchange, training=training))
        else:
            yield training
        site.keep(training.update)
        yield site.wait(self.places.again(site))

    def exchange(self, thread: Thread, training: Training) -> Process:
        """Beside a computation: send the update before it, and take what the server has newer by its end."""
        server, missing = self.run.server, thread.site.missing
        for update in thread.site.due(thread.site.updates):
            yield thread.upload(update)
            yield self.instant_over()
            if not missing():
                # Waiting as long as it computes anyway costs nothing.
                yield server.aggregated(server.aggregations) | training
                yield self.instant_over()
            if missing():
                yield thread.wait(server.aggregated(server.aggregations - 1))
            yield thread.fetch(missing())

    def instant_over(self) -> Signal:
        """Happen at the end of this instant: what is aggregated in it is in time, whatever comes first in it."""
        over = self.run.signal("the end of an instant")
        after_delay(self.run.env, 0.0, partial(_happen, over))
        return over


def _happen(signal: Signal, _: object) -> None:
    signal.succeed()
