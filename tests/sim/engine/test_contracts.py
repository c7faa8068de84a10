"""What the engine promises: no wrong answer marked exact, and no run that stands still taken for a result."""

from __future__ import annotations

import pytest

from parasim_core.sim.analysis.critical_path import Holder, length
from parasim_core.sim.analysis.explain import explain
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.engine.world import Process
from parasim_core.sim.errors import ScenarioError, SimulationError
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.replay.conditions import Variants
from parasim_core.sim.replay.replay import record
from parasim_core.sim.workload.methods import METHODS, Method, Trains
from tests.sim.runs import of, prepared, simulated
from tests.sim.users.impatient import IMPATIENT
from tests.sim.users.own_fedbuff import OWN_FEDBUFF
from tests.sim.users.vanishing import SWALLOWING, VANISHING

FLEET = [{"uplink": f"{rate}MB/s"} for rate in (100, 50, 25, 12.5)]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in (IMPATIENT, OWN_FEDBUFF, VANISHING, SWALLOWING):
        monkeypatch.setitem(METHODS, method.name, method)


def test_a_shape_that_declares_nothing_is_never_replayed():
    # With every client twice as fast, who comes third in the buffer changes; the recorded graph does not know.
    recording = record(*prepared(method="own-fedbuff", fleet=FLEET, compute={"seconds": [10, 13, 17, 23]}, rounds=6))
    assert "own-fedbuff" in recording.not_replayable
    faster = Variants(uplink=recording.conditions.uplink * [[1, 1, 8, 8]])
    assert not recording.replay(faster).replayed.any()
    answer = recording.answer(faster)
    simulated_again = recording.simulate(faster).wall_clock
    assert answer.wall_clock[0] == recording.estimate(faster)[0] == simulated_again
    # What a replay of its graph would have said, were its causes fixed: something else.
    assert simulated_again < recording.result.wall_clock


def test_a_shape_that_declares_nothing_is_never_collapsed():
    assert len(simulated(method="own-fedbuff", fleet=[{"count": 4}], rounds=2).counts) == 4
    assert len(simulated(method="full-ft", fleet=[{"count": 4}], rounds=2).counts) == 1


def test_a_shape_that_declares_nothing_is_explained_by_simulation_alone():
    explanation = explain(*prepared(method="own-fedbuff", fleet=FLEET, rounds=4))
    assert explanation.not_replayable
    assert explanation.slack == ()
    assert explanation.claims
    assert all(claim.predicted is None and not claim.exact for claim in explanation.claims)
    # The path is that of this run: it is as long as the run, and knows what all of it was.
    assert length(explanation.path.pieces) == explanation.result.wall_clock


def test_a_shape_that_declares_too_much_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    # The recorded graph must give back its own recording. Forgetting what was waited for breaks that.
    setup, costs = prepared(method="full-ft", fleet=FLEET, rounds=3)
    assert not record(setup, costs).not_replayable
    monkeypatch.setattr("parasim_core.sim.engine.site.Site.released", lambda self, event: event)
    assert record(setup, costs).not_replayable


def test_a_client_that_vanishes_is_no_result():
    with pytest.raises(SimulationError) as stopped:
        simulated(method="vanishing", rounds=8)
    # Two rounds: 10 s + 1 s up, then 1 s down + 10 s + 1 s up: 23 s.
    assert stopped.value.exit_status == 1
    message = str(stopped.value)
    assert "2 of 8 rounds" in message
    assert "the server waits for aggregation 2 (2 of 3 updates are in) since 23 s" in message
    assert "client 1 computed 2 of 8 updates" in message
    assert "\n" not in message


def test_an_update_that_is_lost_is_no_result():
    with pytest.raises(SimulationError, match=r"3 updates were computed that were neither aggregated nor dropped"):
        simulated(method="swallowing", rounds=3)


class StoppedEarly(Synchronous):
    """FedAvg that somebody ends after its second round."""

    def server(self) -> Process:
        yield from self.run.survey()
        for round in range(2):
            self.opened[round].succeed(())
            yield self.run.server.aggregated(round)
        self.run.stop()


class SentTwice(Synchronous):
    """FedAvg in which client 0 sends for client 1 as well, who never does."""

    def client(self, site: Site) -> Process:
        for round in site.rounds:
            yield site.released(self.opened[round])
            update = yield site.train(round)
            for _ in range((2, 0, 1)[site.client]):
                yield site.upload(update)


@pytest.mark.parametrize(
    ("shape", "said"),
    [(StoppedEarly, r"was ended at 23 s, with 2 of 4 rounds"), (SentTwice, r"update 0 of client 0 .* twice")],
)
def test_what_looks_like_an_end_is_none(monkeypatch: pytest.MonkeyPatch, shape, said):
    monkeypatch.setitem(METHODS, "wrong", Method("wrong", shape, Trains.EVERYTHING, "not FedAvg"))
    with pytest.raises(SimulationError, match=said):
        simulated(method="wrong")


def test_a_parameter_of_another_shape_is_refused():
    for method, field in (("fedbcd", "staleness"), ("parablock", "buffer"), ("fedit", "download_fraction")):
        with pytest.raises(ScenarioError, match=rf"method\.{field}: {method} has no such parameter"):
            simulated(method={"name": method, field: 1})


def test_a_method_of_ones_own_needs_nothing_but_its_file():
    result = simulated(method="own-fedbuff", fleet=FLEET, compute={"seconds": [10, 13, 17, 23]}, rounds=2)
    # By hand, 100 MB a message: clients 0, 1 and 2 are in at 11, 15 and 21; then client 0 at 22, 1 at 30 and 3 at 31.
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [21, 31]
    assert result.wall_clock == 31
    # What was under way then ends with the run: client 0 is computing, client 2 too, client 1 fetches.
    assert max(span.end for span in result.timeline.spans) == 31


def test_a_quorum_ends_rounds_without_the_late_and_the_path_knows_it():
    explanation = explain(*prepared(method="impatient", fleet=[{}, {}, {"speed": 0.1}, {"speed": 0.1}], rounds=3))
    result = explanation.result
    # Clients 0 and 1: 10 s and 1 s up, then twice 1 s down, 10 s, 1 s up: 11, 23, 35. The others' 100 s never end.
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [11, 23, 35]
    assert result.provenance["updates"] == {"cancelled": 2, "never_begun": 2 * 2}
    assert {share.group for share in explanation.shares} <= {0, 1}
    assert not any(share.holder is Holder.UNRECORDED for share in explanation.shares)


def test_who_comes_late_is_dropped_and_goes_on_from_where_it_is():
    # Client 1 computes 15 s: its first update is in at 16, too late; round 1 is open since 11, so it goes on at once:
    # 1 s down, 15 s, 1 s up: in at 33, too late for round 1 (aggregated at 23); then the run ends at 35.
    result = simulated(method="impatient", fleet=[{}, {"speed": 2 / 3}], rounds=3)
    assert [span.start for span in of(result, Kind.COMPUTE, 1)] == pytest.approx([0, 17, 34])
    assert result.provenance["updates"] == {"dropped": {"late: its round had been aggregated": 2}, "cancelled": 1}
    # What client 1 did next waited for its own last upload.
    spans = result.timeline.spans
    for span in of(result, Kind.DOWNLOAD, 1):
        assert max(spans[cause].end for cause in span.causes) == pytest.approx(span.start)


class Retrying(Synchronous):
    """FedAvg whose clients break their first attempt to send off after a second, and send again."""

    def client(self, site: Site) -> Process:
        for round in site.rounds:
            yield site.released(self.opened[round])
            yield site.fetch(site.missing())
            update = yield site.train(round)
            attempt = site.upload(update)
            yield self.run.env.timeout(1)
            attempt.cancel()
            yield site.upload(update)


@pytest.mark.parametrize(
    ("fields", "sent", "ends"),
    [
        ({"fleet": [{"uplink": "50MB/s"}]}, [50e6, 100e6], [11, 13]),  # 1 s at 50 MB/s, then all of it
        ({"wire": {"serialization": "3s"}, "fleet": [{}]}, [0, 100e6], [11, 15]),  # while it is packed; 3 s and 1 s
        (
            {"payload": {"upload": "0B"}, "fleet": [{"latency": "2s"}]},
            [0, 0],
            [11, 13],
        ),  # without bytes, in its latency
    ],
)
def test_a_message_that_is_broken_off_leaves_its_trace_and_never_arrives(monkeypatch, fields, sent, ends):
    monkeypatch.setitem(METHODS, "retrying", Method("retrying", Retrying, Trains.EVERYTHING, "sends twice"))
    uploads = of(simulated(method="retrying", rounds=1, **fields), Kind.UPLOAD)
    assert [span.size for span in uploads] == sent
    assert [span.end for span in uploads] == ends
    assert all(sum(span.parts) == pytest.approx(span.end - span.start) for span in uploads)
