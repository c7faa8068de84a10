"""FedBuff's shape in time: clients go at their own pace, and every few updates are aggregated, stale or not.

Sources: Nguyen et al. (arXiv 2106.06639); with a buffer of one, FedAsync and its weights: Xie et al. (1903.03934).
"""

from typing import Literal

from pydantic import Field

from parasim_core.sim.engine.aggregation import Buffer, weight_of_stale
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.selection import Places
from parasim_core.sim.engine.shape import Params, Shape, Traits
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.world import Process
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.fields import Number, Whole


class AsyncParams(Params):
    """What FedAsync can be told."""

    concurrency: Whole | None = Field(default=None, ge=1)
    """Clients that are at work at a time; all if left out."""
    max_staleness: Whole | None = Field(default=None, ge=0)
    """Updates that are older than this many aggregations are dropped; none if left out."""
    weights: Literal["constant", "polynomial", "hinge"] = "constant"
    """For `paraSim train`: the weight of an update s aggregations old is 1; (1 + s)^-decay; or 1 up to `grace`, then
    1 / (1 + decay (s - grace))."""
    decay: Number = Field(default=0.5, ge=0)
    """For `paraSim train`: how fast `weights` fall."""
    grace: Whole = Field(default=4, ge=0)
    """For `paraSim train`: the age up to which the weights of `hinge` stay 1."""


class BufferedParams(AsyncParams):
    """What FedBuff can be told besides."""

    buffer: Whole | None = Field(default=None, ge=1)
    """Updates per aggregation; 10 if left out, or as many as there are clients."""


def buffer_size(params: AsyncParams, clients: int) -> int:
    """Tell how many updates are aggregated together."""
    return (params.buffer or min(10, clients)) if isinstance(params, BufferedParams) else 1


class Asynchronous(Shape[AsyncParams]):
    """Who has sent its update makes room, and begins again once there is a newer model and its turn has come."""

    traits = Traits(rounds_numbered=False, opens_rounds=True)
    Params = AsyncParams

    def __init__(self, run: Run, params: AsyncParams):
        super().__init__(run, params)
        dispatcher, overlaps = run.dispatcher, self.traits.overlaps
        clients = len(run.sites) if dispatcher is None else dispatcher.clients
        buffer = buffer_size(params, clients)
        if buffer > clients and not overlaps:
            raise ScenarioError(f"method.buffer: {buffer} updates never come together: there are {clients} clients")
        weigh = weight_of_stale(params.weights, params.decay, params.grace)
        run.server.policy = Buffer(buffer, params.max_staleness, weigh, by_block=overlaps)
        number = params.concurrency or clients
        self.places = (
            Places(run.env, number) if dispatcher is None else dispatcher.places(number, self.turn, waits=not overlaps)
        )

    @classmethod
    def staleness(cls, params: AsyncParams) -> int | None:
        """No bound for what is trained: what is too old is dropped when it arrives."""
        return None

    def start(self) -> None:
        """Begin the server, which begins the clients."""
        dispatcher = self.run.dispatcher
        self.run.process(self.run.server, self.server() if dispatcher is None else dispatcher.work())

    def server(self) -> Process:
        """Let everyone begin, and end the run with the last aggregation."""
        after = yield from self.run.survey()
        for site in self.run.sites:
            site.after = after
            self.run.process(site, self.client(site))
        yield self.run.server.aggregated(self.run.rules.rounds - 1)
        self.run.stop()

    def client(self, site: Site) -> Process:
        """One client: take its turns, each when there is a model that it has not trained on."""
        while True:
            yield site.wait(self.places.turn(site))
            yield from self.turn(site)
            if not site.missing():
                yield site.wait(self.run.server.aggregated(self.run.server.aggregations))

    def turn(self, site: Site) -> Process:
        """One client in its turn: fetch what is newer, train, upload."""
        yield site.fetch(site.missing())
        update = yield site.train(site.updates)
        yield site.upload(update)
        self.places.give_back(site)


class Buffered(Asynchronous):
    """The same, with several updates an aggregation."""

    traits = Asynchronous.traits
    Params = BufferedParams
