"""FedBuff as a user would write it in a file of their own: no traits declared, nothing of paraSim's policies used.

Every client trains again and again; every third update that arrives is aggregated with the two before it.
"""

from __future__ import annotations

from parasim import Method, Trains, register
from parasim_core.sim.engine.aggregation import Aggregation, Batch, Received
from parasim_core.sim.engine.shape import Shape
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.world import Process

BUFFER = 3


class EveryThird(Aggregation):
    """Aggregates whatever three updates come together."""

    def __init__(self) -> None:
        self.waiting_for_more: list[Received] = []
        self.batches = 0

    def receive(self, received: Received) -> Batch | None:
        self.waiting_for_more.append(received)
        if len(self.waiting_for_more) < BUFFER:
            return None
        batch = Batch(self.batches, self.waiting_for_more)
        self.batches, self.waiting_for_more = self.batches + 1, []
        return batch


class OwnFedBuff(Shape):
    """Clients that never wait."""

    def start(self) -> None:
        self.run.server.policy = EveryThird()
        self.run.process(self.run.server, self.server())

    def server(self) -> Process:
        yield from self.run.survey()
        for site in self.run.sites:
            self.run.process(site, self.client(site))
        yield self.run.server.aggregated(self.run.rules.rounds - 1)
        self.run.stop()

    def client(self, site: Site) -> Process:
        while True:
            yield site.fetch(site.missing())
            update = yield site.train(site.updates)
            yield site.upload(update)


OWN_FEDBUFF = Method("own-fedbuff", OwnFedBuff, Trains.EVERYTHING, "FedBuff in a file of one's own")


def install() -> None:
    """Register it, as the README says."""
    register(OWN_FEDBUFF)
