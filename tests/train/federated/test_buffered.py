"""FedBuff trained: bit for bit the synchronous method where the buffer waits for all, and by hand where it does not."""

from __future__ import annotations

import copy

import pytest

from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.world import Process
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.workload.methods import METHODS, Method, Trains
from parasim_core.train.update.local import TrainingError
from tests.oracles import plain_training as plain
from tests.sim.users.impatient import IMPATIENT
from tests.sim.users.own_fedbuff import OWN_FEDBUFF
from tests.train.tiny import LOCAL, RandomTokens, assert_equal, federate, tiny_model, weights

FLEET = [{"uplink": "100MB/s"}, {"uplink": "50MB/s"}, {"uplink": "20MB/s"}]
RATE = LOCAL.learning_rate
UNEVEN = {"fleet": FLEET, "compute": {"seconds": [10, 12, 17]}}


def batches(client: int, sequence: int):
    return list(RandomTokens(3).batches(client, sequence))


@pytest.mark.parametrize("fields", [UNEVEN, {}], ids=["uneven", "alike"])
def test_a_buffer_for_everyone_trains_the_same_bits(fields):
    buffered, _ = federate(method={"name": "fedbuff", "buffer": 3}, rounds=3, **fields)
    synchronous, _ = federate(method="full-ft", rounds=3, **fields)
    assert_equal(weights(buffered), weights(synchronous), exactly=True)


@pytest.mark.parametrize("rule", ["constant", "polynomial"])
def test_stale_updates_are_trained_on_what_their_clients_had(rule: str):
    # tests/sim/test_buffered.py has the same run by hand: client, its how-manieth update, trained after which
    # aggregation, and how many came up meanwhile.
    arrivals = [(0, 0, -1, 0), (1, 0, -1, 1), (2, 0, -1, 2), (0, 1, 0, 2), (1, 1, 1, 2), (0, 2, 3, 1)]
    model, _ = federate(method={"name": "fedasync", "weights": rule}, rounds=6, **UNEVEN)
    server = tiny_model()
    names = [name for name, _ in server.named_parameters()]
    versions = [copy.deepcopy(server)]
    for client, sequence, trained_after, staleness in arrivals:
        delta = plain.local_training(versions[trained_after + 1], names, batches(client, sequence), RATE)
        factor = (1 + staleness) ** -0.5 if rule == "polynomial" else 1.0
        plain.add(server, {name: factor * value for name, value in delta.items()})
        versions.append(copy.deepcopy(server))
    assert_equal(weights(model), weights(server))


def test_dropped_updates_leave_no_trace_in_the_model():
    # Bound 1: client 2's first update, two behind, is dropped; the rest is as if it had never been sent.
    model, learner = federate(method={"name": "fedasync", "max_staleness": 1}, rounds=3, **UNEVEN)
    server = tiny_model()
    names = [name for name, _ in server.named_parameters()]
    after_first = None
    for client, sequence in ((0, 0), (1, 0), (0, 1)):
        start = after_first if sequence else tiny_model()
        plain.add(server, plain.local_training(start, names, batches(client, sequence), RATE))
        after_first = after_first or copy.deepcopy(server)
    assert_equal(weights(model), weights(server))
    assert (2, 0) not in learner.in_flight


def test_what_a_dropped_update_carried_goes_back_into_its_clients_memory():
    # Bound 1: client 2's first update, two behind, is dropped: its client owes all of it again, not only what top-k
    # left out.
    fields = UNEVEN | {"wire": {"upload": {"top_k": 0.2}}, "settings": {"error_feedback": True}}
    _, learner = federate(method={"name": "fedasync", "max_staleness": 1}, rounds=3, **fields)
    server = tiny_model()
    names = [name for name, _ in server.named_parameters()]
    assert_equal(learner.messages.residuals[2, 0], plain.local_training(server, names, batches(2, 0), RATE))


def test_versions_are_kept_for_who_is_at_work_and_not_for_who_waits():
    # Two of eight clients are at work at a time: what they train on, the newest version and the base are enough.
    kept: list[int] = []
    fleet = [{"uplink": f"{20 + 7 * number}MB/s"} for number in range(8)]
    federate(
        method={"name": "fedasync", "concurrency": 2},
        fleet=fleet,
        rounds=16,
        observe=lambda world, number, learner: kept.append(len(learner.versions.values[0])),
    )
    assert max(kept) <= 2 + 2


def test_late_clients_train_on_what_they_have(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(METHODS, IMPATIENT.name, IMPATIENT)
    model, _ = federate(method=IMPATIENT.name, fleet=[{}, {"downlink": "3MB/s"}], rounds=3)
    # Client 0 alone makes every round: as if there were no other.
    alone, _ = federate(method="full-ft", fleet=[{}], rounds=3)
    assert_equal(weights(model), weights(alone), exactly=True)


def test_a_client_may_train_more_often_than_there_are_rounds(monkeypatch: pytest.MonkeyPatch):
    # 5 aggregations of three updates, most of them of the fast client: 11 s each, where there are 5 rounds.
    monkeypatch.setitem(METHODS, OWN_FEDBUFF.name, OWN_FEDBUFF)
    uneven = {"fleet": [{"count": 3, "uplink": "100MB/s"}], "compute": {"seconds": [1, 10, 40]}}
    _, learner = federate(method=OWN_FEDBUFF.name, rounds=5, **uneven)
    assert max(round for client, round in learner.traces if client == 0) > 5


def test_an_update_with_the_number_of_another_is_refused(monkeypatch: pytest.MonkeyPatch):
    class Repeating(Synchronous):
        def client(self, site: Site) -> Process:
            for round in site.rounds:
                yield site.released(self.opened[round])
                yield site.upload((yield site.train(0)))

    monkeypatch.setitem(METHODS, "repeating", Method("repeating", Repeating, Trains.EVERYTHING, "always round 0"))
    with pytest.raises(TrainingError, match=r"site\.updates"):
        federate(method="repeating", rounds=2)
