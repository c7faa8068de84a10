"""A client that vanishes, as a user would write it who asks what happens then."""

from __future__ import annotations

from parasim import Method, Trains
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.world import Process
from parasim_core.sim.protocols.synchronous import Synchronous


class Vanishing(Synchronous):
    """FedAvg in which client 1 is gone from its third round on."""

    def client(self, site: Site) -> Process:
        for round in site.rounds:
            if site.client == 1 and round == 2:
                return
            yield site.released(self.opened[round])
            yield site.fetch(self.wanted(site, round))
            update = yield site.train(round)
            yield site.upload(update)


class Swallowing(Synchronous):
    """FedAvg in which client 1 computes its last update and never sends it; the server's process does not wait."""

    def server(self) -> Process:
        yield from super().server()

    def client(self, site: Site) -> Process:
        for round in site.rounds:
            yield site.released(self.opened[round])
            yield site.fetch(self.wanted(site, round))
            update = yield site.train(round)
            if site.client != 1 or round < 2:
                yield site.upload(update)


VANISHING = Method("vanishing", Vanishing, Trains.EVERYTHING, "FedAvg that loses a client")
SWALLOWING = Method("swallowing", Swallowing, Trains.EVERYTHING, "FedAvg that loses an update")
