"""What becomes of every update by the end of a run, under policies and shapes as users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parasim_core.sim.engine.aggregation import Aggregation, Batch, Buffer, Immediate, Quorum, Received
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.shape import Traits
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import SERVER, Kind
from parasim_core.sim.engine.world import Process
from parasim_core.sim.errors import ScenarioError, SimulationError
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.workload.methods import METHODS, Method, Trains
from tests.sim.runs import of, simulated

Client = Callable[[Synchronous[Any], Site], Process]


@pytest.fixture
def run_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run FedAvg with a policy of one's own, and perhaps another client or a server that ends the run."""

    def run(
        policy: Callable[[], Aggregation], client: Client | None = None, stop: bool = False, **fields: Any
    ) -> Result:
        class Own(Synchronous[Any]):
            traits = fields.pop("traits", Traits())

            def start(self) -> None:
                self.run.server.policy = policy()
                super().start()

            def server(self) -> Process:
                yield from super().server()
                if stop:
                    self.run.stop()

            def client(self, site: Site) -> Process:
                yield from client(self, site) if client else super().client(site)

        monkeypatch.setitem(METHODS, "own", Method("own", Own, Trains.EVERYTHING, "of one's own"))
        return simulated(method="own", **fields)

    return run


@pytest.mark.parametrize(("policy", "left"), [(lambda: Buffer(2), 12 - 8), (Immediate, 12 - 4)])
def test_what_comes_after_the_last_aggregation_is_dropped(run_with, policy, left: int):
    # 3 clients send 4 updates each; 4 aggregations of two, or of one, are all that are made.
    result = run_with(policy, rounds=4)
    assert result.provenance["updates"]["dropped"] == {"left over: no aggregation was left": left}


def vanishing(shape: Synchronous[Any], site: Site) -> Process:
    for round in site.rounds:
        yield site.released(shape.opened[round])
        yield site.fetch(shape.wanted(site, round))
        update = yield site.train(round)
        if site.client == 2:
            return
        yield site.upload(update)


def test_a_stop_does_not_cover_who_had_ended_with_an_update_in_hand(run_with):
    with pytest.raises(SimulationError, match="of client 2"):
        run_with(lambda: Quorum(0.5), vanishing, stop=True)


def test_the_client_that_lacks_the_most_updates_is_named(run_with):
    def never(shape: Synchronous[Any], site: Site) -> Process:
        yield site.released(shape.opened[0])

    # Client 0 takes part in one round, client 1 in all four: neither computes anything, so that 1 and 4 are missing.
    with pytest.raises(SimulationError, match="client 1 computed 0 of 4 updates"):
        run_with(lambda: Quorum(1.0), never, participation={"rounds": [[0, 1], [1], [1], [1]]})


def test_expected_updates_that_never_come_are_counted(run_with):
    def leaving(shape: Synchronous[Any], site: Site) -> Process:
        for round in site.rounds:
            if site.client == 2 and round == 2:
                return
            yield site.released(shape.opened[round])
            update = yield site.train(round)
            yield site.upload(update)

    # Rounds 2 to 7 go on without client 2 when their deadline is over.
    result = run_with(lambda: Quorum(1.0, deadline=20), leaving, rounds=8)
    assert result.provenance["updates"] == {"never_begun": 6}


def test_a_cancelled_upload_is_cancelled_and_not_lost(run_with):
    def cancelling(shape: Synchronous[Any], site: Site) -> Process:
        for round in site.rounds:
            yield site.released(shape.opened[round])
            update = yield site.train(round)
            upload = site.upload(update)
            if site.client == 2 and round == 1:
                yield shape.run.env.timeout(0.5)
                upload.cancel()
            else:
                yield upload

    result = run_with(lambda: Quorum(0.5), cancelling, rounds=3)
    assert result.provenance["updates"]["cancelled"] == 1


def test_a_cancelled_upload_may_be_sent_anew(run_with):
    def again(shape: Synchronous[Any], site: Site) -> Process:
        for round in site.rounds:
            yield site.released(shape.opened[round])
            update = yield site.train(round)
            upload = site.upload(update)
            yield shape.run.env.timeout(0.5)
            upload.cancel()
            yield site.upload(update)

    # 10 s, half a second of 100 MB, and the whole of it again; a round has no download.
    result = run_with(lambda: Quorum(1.0), again, rounds=2)
    assert result.wall_clock == 2 * 11.5
    assert "updates" not in result.provenance
    assert result.total("uploaded") == 2 * 3 * 150_000_000


def test_two_messages_of_one_client_at_once_both_arrive(run_with):
    def at_once(shape: Synchronous[Any], site: Site) -> Process:
        for round in site.rounds:
            yield site.released(shape.opened[round])
            fetch = site.fetch(shape.wanted(site, round))
            update = yield site.train(round)
            yield fetch & site.upload(update)

    # 100 MB down at 4 MB/s takes 25 s, while 10 s of computing and the upload of 1 s are done.
    result = run_with(lambda: Quorum(1.0), at_once, rounds=2, fleet=[{"uplink": "100MB/s", "downlink": "4MB/s"}])
    (down,) = of(result, Kind.DOWNLOAD)
    assert (down.start, down.end) == (11, 36)
    assert [(span.start, span.end) for span in of(result, Kind.UPLOAD)] == [(10, 11), (21, 22)]


class Twice(Aggregation):
    """Aggregates the first update of a round again in the place of its last one."""

    def __init__(self) -> None:
        self.received: dict[int, list[Received]] = {}

    def receive(self, received: Received) -> Batch | None:
        own = self.received.setdefault(received.update.round, [])
        own.append(received)
        return Batch(received.update.round, [own[0], *own[:-1]]) if len(own) == 3 else None


def test_an_update_is_aggregated_once(run_with):
    with pytest.raises(SimulationError, match="twice"):
        run_with(Twice)


def test_what_arrives_at_the_deadline_is_in_time(run_with):
    # Three updates arrive at 11.
    result = run_with(lambda: Quorum(1.0, deadline=11), rounds=1)
    (span,) = of(result, Kind.AGGREGATE, SERVER)
    assert (span.start, len(span.causes)) == (11, 3)
    assert "updates" not in result.provenance


def test_a_policy_that_tells_clients_apart_takes_no_collapsed_ones(run_with):
    with pytest.raises(SimulationError, match="collapsible"):
        run_with(lambda: Buffer(2), traits=Traits(collapsible=True))


@pytest.mark.parametrize("traits", [Traits(), Traits(causes_fixed=True, collapsible=True)])
@pytest.mark.parametrize(
    "fields", [{"participation": {"quorum": 0.5}}, {"fleet": [{"count": 3, "dropout": {"rate": 0.1}}]}]
)
def test_only_who_says_so_opens_rounds_one_by_one(run_with, traits: Traits, fields: dict[str, Any]):
    # As written, whoever waits for all updates of a round waits for those of clients that are gone, too.
    with pytest.raises(ScenarioError, match="own does not say what becomes of rounds that end early"):
        run_with(lambda: Quorum(0.5), traits=traits, **fields)
