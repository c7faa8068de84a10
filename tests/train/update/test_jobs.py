"""A job is complete when it is made: whenever it is done, and whatever is done before, the same comes out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.federated.versions import BASE, Versions
from parasim_core.train.models.packing import pack, unpack
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.update.jobs import Job, do, show
from parasim_core.train.update.trained_part import trained_part
from tests.train.tiny import ARCHITECTURE, BLOCKS, LOCAL, LORA, RandomTokens, assert_equal, tiny_model


def in_midst_of_things(trains: Trains) -> TorchLearner:
    """Client 0 has an update of its own on the first block under way, the others have none."""
    scenario = Scenario.parse(
        {
            "method": {"name": "parablock", "staleness": 2},
            "rounds": 4,
            "blocks": {"layers": 1},
            "fleet": [{"count": 3}],
            "compute": {"seconds": 1},
            "payload": {"upload": "1MB"},
        }
    )
    learner = TorchLearner(
        prepare(scenario, ARCHITECTURE),
        TrainSettings(global_learning_rate=0.5),
        trained_part(trains, tiny_model(), BLOCKS, LORA, seed=0),
        RandomTokens(3),
        LOCAL,
        costs=None,
    )
    learner.train(0, 0, 0 if trains is Trains.BLOCK else None).redeem()
    return learner


@pytest.mark.parametrize("trains", Trains)
@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0)])
def test_the_order_in_which_open_jobs_are_done_changes_nothing(trains: Trains, order: tuple[int, ...]):
    # Client 0 goes on with block 1 on top of its own update; 1 begins with block 0, of which 0 has an own value; 2 with
    # block 2, which nobody has seen.
    places = [(0, 1, 1), (1, 0, 0), (2, 0, 2)]
    messages: list[list[dict[str, Tensor]]] = []
    for sequence in ((0, 1, 2), order):
        learner = in_midst_of_things(trains)
        blocks = [place[2] if trains is Trains.BLOCK else None for place in places]
        promises = [
            learner.train(client, round, block) for (client, round, _), block in zip(places, blocks, strict=True)
        ]
        updates = {number: promises[number].redeem() for number in sequence}
        messages.append([updates[number].content for number in range(3)])  # type: ignore[misc]
    for one, other in zip(*messages, strict=True):
        assert_equal(one, other, exactly=True)


def test_a_job_is_not_changed_by_what_the_client_hears_later():
    learner = in_midst_of_things(Trains.BLOCK)
    job = learner.job(0, 1, 1)
    learner.receive(0, {0: 0})
    learner.clients[0].pending.clear()
    assert (dict(job.known), set(job.own)) == ({}, {0})


def test_own_updates_count_with_the_global_rate_in_the_order_of_rounds():
    # 1 + 0.5 x (2 + 4) = 4, on the base version 1.
    parameter = torch.nn.Parameter(torch.ones(1))
    versions = Versions(lambda item: {"w": parameter}, lag=1)
    own = [{"w": torch.tensor([amount])} for amount in (2.0, 4.0)]
    start = show(Job(0, 2, item=0, own={0: own}, rate=0.5), versions)
    assert start["w"].item() == parameter.item() == 4
    # Nothing of it stays for the next client.
    assert show(Job(1, 2, item=0), versions)["w"].item() == parameter.item() == 1
    assert versions.newest(0) == BASE


def test_what_a_client_keeps_goes_with_its_job_and_comes_back():
    # A worker elsewhere has nothing of the client's: the second turn of a job that was sent there and back is, to the
    # bit, that of one which was not, and the first job may be done once more.
    scenario = Scenario.parse(
        {
            "method": "fedcybgd",
            "rounds": 4,
            "blocks": {"count": 4},
            "fleet": [{"count": 2}],
            "compute": {"seconds": 1},
            "payload": {"upload": "1MB"},
        }
    )
    learned = []
    for elsewhere in (False, True):
        trained = trained_part(Trains.BLOCK, tiny_model(), BLOCKS, LORA, seed=0)
        learner = TorchLearner(
            prepare(scenario, ARCHITECTURE), TrainSettings(), trained, RandomTokens(2), LOCAL, costs=None
        )
        learner.aggregate(0, trained.item(0), [learner.train(0, 0, 0).redeem()])
        learner.receive(0, {trained.item(0): 0})
        job = learner.job(0, 2, 0)
        assert job.kept is not None
        assert (job.kept.before, job.kept.updates) == (1, 2)
        # Moments of two steps.
        assert {float(v) for name, v in job.kept.adamw.items() if name.startswith("step.")} == {2.0}
        for _ in range(2):
            carried = unpack(pack(job)) if elsewhere else job
            task = RandomTokens(2)
            update = do(carried, trained, learner.versions, task.batches(0, 2), task.loss, LOCAL, warm_up=True)
            learned.append(unpack(pack(update)) if elsewhere else update)
    for other in learned[1:]:
        assert_equal(other.delta, learned[0].delta, exactly=True)
        assert_equal(other.adamw, learned[0].adamw, exactly=True)
    assert {float(v) for name, v in learned[0].adamw.items() if name.startswith("step.")} == {4.0}
