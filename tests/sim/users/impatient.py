"""FedAvg that goes on as soon as half of the clients are in, as a user would write it."""

from __future__ import annotations

from parasim import Method, Trains
from parasim_core.sim.engine.aggregation import Quorum
from parasim_core.sim.engine.world import Process
from parasim_core.sim.protocols.synchronous import Synchronous


class Impatient(Synchronous):
    """Half of the clients are enough; the run ends with the last round."""

    def start(self) -> None:
        self.run.server.policy = Quorum(0.5)
        super().start()

    def server(self) -> Process:
        yield from super().server()
        self.run.stop()


IMPATIENT = Method("impatient", Impatient, Trains.EVERYTHING, "half is enough")
