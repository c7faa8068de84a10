"""What messages weigh is what they hold: values of 2 bytes are rounded to 2 bytes, both ways, and nothing else is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parasim_core.sim.workload.methods import METHODS
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.federated.versions import Versions
from parasim_core.train.models.adapters import A
from parasim_core.train.models.blocks import Values
from parasim_core.train.update.jobs import show
from parasim_core.train.update.trained_part import TrainedStack
from tests.oracles import plain_training as plain
from tests.train.tiny import LOCAL, RandomTokens, federate, tiny_model, weights

RATE = LOCAL.learning_rate
SCHEDULE = [2, 0, 0, 3, 1]
BLOCKS = {"layers": 1, "schedule": SCHEDULE}
EQUAL = [1.0, 1.0, 1.0]


def batches(client: int, round: int) -> list[dict[str, Tensor]]:
    return list(RandomTokens(3).batches(client, round))


@pytest.fixture
def on_the_wire(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Values]]:
    """Notes what servers got of updates, and what they then made of their own models, as every client does."""
    noted: dict[str, list[Values]] = {"up": [], "down": []}
    aggregate, renew, merge = TorchLearner.aggregate, Versions.renew, TrainedStack.merge

    def aggregated(learner, number, item, updates):
        noted["up"] += [update.content for update in updates]
        aggregate(learner, number, item, updates)

    def renewed(versions, item, round, change):
        noted["down"].append(change)
        renew(versions, item, round, change)

    def merged(stack, stacked, round):
        noted["down"].append(stacked)
        return merge(stack, stacked, round)

    monkeypatch.setattr(TorchLearner, "aggregate", aggregated)
    monkeypatch.setattr(Versions, "renew", renewed)
    monkeypatch.setattr(TrainedStack, "merge", merged)
    return noted


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize(
    ("wire", "dtype"),
    [
        ({"bytes_per_parameter": 2, "precision": None}, torch.bfloat16),
        ({"precision": "float16"}, torch.float16),
        ({"precision": "bfloat16", "upload": {"top_k": 0.3}, "download": {"top_k": 0.5}}, torch.bfloat16),
    ],
    ids=["2 bytes", "float16", "top-k"],
)
def test_values_of_two_bytes_are_values_of_two_bytes(method: str, wire: Any, dtype: torch.dtype, on_the_wire):
    federate(method=method, wire=wire, rounds=3)
    for way in ("up", "down"):
        assert on_the_wire[way]
        for message in on_the_wire[way]:
            assert any(value.any() for value in message.values())
            for name, value in message.items():
                assert torch.equal(value, value.to(dtype).float()), (way, name)


@pytest.mark.parametrize(("bytes_per_parameter", "exact"), [(1, True), (3, True), (4, True), (8, True), (2, False)])
def test_values_of_four_bytes_and_those_of_no_type_are_not_rounded(bytes_per_parameter: float, exact: bool):
    wire = {"bytes_per_parameter": bytes_per_parameter, "precision": None}
    model, _ = federate(method="fedbcd", wire=wire, blocks=BLOCKS)
    plainly = plain.fedavg(tiny_model(), lambda t: plain.names_of(SCHEDULE[t], model), batches, 5, 3, RATE, EQUAL)
    assert (distance(model, plainly) < 1e-4) == exact


def distance(model: nn.Module, other: nn.Module) -> float:
    goal = weights(other)
    return math.sqrt(sum(float((value - goal[name]).square().sum()) for name, value in weights(model).items()))


def assert_rounded(model: nn.Module, expected: nn.Module, unrounded: nn.Module) -> None:
    """The model is the oracle's that rounds. Where the last bit of float32 decides how a value is rounded the two may
    differ, but these are few: what rounding as a whole changes is many times as much.
    """
    assert distance(model, expected) < 0.1 * distance(expected, unrounded)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("staleness", [1, 2])
@pytest.mark.parametrize("eta", [1.0, 0.5])
def test_parablock_is_algorithm_2_with_rounded_messages(precision: str, staleness: int, eta: float):
    model, _ = federate(
        method={"name": "parablock", "staleness": staleness},
        blocks=BLOCKS,
        settings={"global_learning_rate": eta},
        wire={"precision": precision},
    )
    way = getattr(plain, precision)
    expected = plain.parablock(tiny_model(), SCHEDULE, batches, 3, RATE, staleness, eta, way, way)
    unrounded = plain.parablock(tiny_model(), SCHEDULE, batches, 3, RATE, staleness, eta)
    assert_rounded(model, expected, unrounded)


@pytest.mark.parametrize("feedback", [False, True])
def test_what_is_rounded_away_goes_into_error_feedback(feedback: bool, on_the_wire):
    # The same block in every round, so that what a message lost is in the next one.
    fields = {"method": "fedbcd", "blocks": {"layers": 1, "schedule": [1] * 5}, "wire": {"precision": "bfloat16"}}
    model, learner = federate(**fields, settings={"error_feedback": feedback})
    start = tiny_model()

    def trained(*, feedback: bool, wire=plain.bfloat16) -> nn.Module:
        names = plain.names_of(1, start)
        return plain.fedavg(
            tiny_model(), lambda t: names, batches, 5, 3, RATE, EQUAL, up=wire, down=wire, feedback=feedback
        )

    expected = trained(feedback=feedback)
    assert distance(model, expected) < 0.1 * distance(expected, trained(feedback=not feedback))
    assert bool(learner.messages.residuals) == feedback
    for owed in learner.messages.residuals.values():
        # No more than half a unit in the last of 8 bits of what was sent: 2^-9 of the next power of two.
        largest = max(float(value.abs().max()) for value in owed.values())
        assert 0 < largest <= 2**-8 * max(float(v.abs().max()) for sent in on_the_wire["up"] for v in sent.values())


def test_the_block_that_a_client_of_fedcybgd_returns_is_rounded():
    def of_four(client: int, round: int) -> list[dict[str, Tensor]]:
        return list(RandomTokens(4).batches(client, round))

    model, _ = federate(method="fedcybgd", rounds=9, fleet=[{"count": 4}], wire={"precision": "bfloat16"})
    way = plain.bfloat16
    expected = plain.fedcybgd(tiny_model(), of_four, 9, 4, lambda t: RATE, up=way, down=way)
    assert_rounded(model, expected, plain.fedcybgd(tiny_model(), of_four, 9, 4, lambda t: RATE))


@pytest.mark.parametrize("compression", [{"top_k": 0.25}, {"bits": 4}])
def test_flora_merges_the_stack_that_was_sent(compression: Any, on_the_wire):
    # What is priced is done: of the stack too.
    federate(method="flora", rounds=2, wire={"download": compression})
    for stacked in on_the_wire["down"]:
        for matrix in stacked.values():
            if "top_k" in compression:
                # A quarter of each matrix, rounded up or down.
                assert int((matrix != 0).sum()) <= math.ceil(0.25 * matrix.numel())
            else:
                # Levels -7 to 7, and one scale for 256 values.
                assert len(matrix.unique()) <= 15 * math.ceil(matrix.numel() / 256 + 1)
        assert any(bool(matrix.any()) for name, matrix in stacked.items() if name.endswith(A))


def test_server_and_clients_hold_the_same_model(monkeypatch: pytest.MonkeyPatch):
    # Under FedBCD every client begins a round with the server's model, to the bit, though messages are rounded.
    starts: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    job = TorchLearner.job

    def compared(learner, client, round, block):
        made = job(learner, client, round, block)
        show(made, learner.versions)
        theirs = weights(learner.model)
        learner.versions.show_newest()
        starts.append((theirs, weights(learner.model)))
        return made

    monkeypatch.setattr(TorchLearner, "job", compared)
    federate(method="fedbcd", blocks=BLOCKS, wire={"precision": "bfloat16"})
    assert len(starts) == 15
    for theirs, servers in starts:
        assert all(torch.equal(theirs[name], servers[name]) for name in servers)
