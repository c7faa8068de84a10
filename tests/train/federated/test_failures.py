"""Training with clients that vanish and rounds that end early is what plain loops make of the same."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from parasim_core.sim.failures.dropout import Dropouts, Vanishing
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.federated.versions import Versions
from tests.oracles import plain_training as plain
from tests.train.tiny import LOCAL, RandomTokens, assert_equal, federate, tiny_model, weights

SCHEDULE = [2, 0, 0, 3, 0]
RATE = LOCAL.learning_rate
EVERYONE = [0, 1, 2]
DROPOUT = [{"count": 3, "dropout": {"rate": 0.5}}]


def batches(client: int, round: int):
    return list(RandomTokens(3).batches(client, round))


@pytest.fixture
def fates(monkeypatch: pytest.MonkeyPatch):
    def told(fates: Mapping[tuple[int, int], Vanishing]) -> None:
        monkeypatch.setattr(Dropouts, "draw", lambda self, client, number: fates.get((client, number)))

    return told


def fedavg(rounds: list[list[int]], names, schedule: list[int] = SCHEDULE):
    """The mean of those that were aggregated in each round, all trained on the model before it."""
    server = tiny_model()
    for t, whose in enumerate(rounds):
        sent = [plain.local_training(server, names(schedule[t]), batches(i, t), RATE) for i in whose]
        plain.add(server, plain.mean(sent, [1.0] * len(sent)))
    return server


@pytest.mark.parametrize("phase", ["download", "compute", "upload"])
def test_an_update_that_is_lost_was_never_made(phase: str, fates):
    # Client 1 vanishes in round 1, whatever it is at, and client 2 in round 3, for two rounds.
    fates({(1, 2): Vanishing(phase, 0.4, 1), (2, 4): Vanishing(phase, 0.4, 2)})
    model, _ = federate(method="fedbcd", fleet=DROPOUT, blocks={"layers": 1, "schedule": SCHEDULE})
    expected = fedavg([EVERYONE, [0, 2], EVERYONE, [0, 1], [0, 1]], lambda block: plain.names_of(block, tiny_model()))
    assert_equal(weights(model), weights(expected))


def test_a_round_that_begins_anew_is_trained_anew(fates):
    # All vanish in round 1; on the second try, client 0 is still away.
    fates({(client, 2): Vanishing("compute", 0.5, 2 - bool(client)) for client in range(3)})
    model, _ = federate(
        method="fedbcd", fleet=DROPOUT, blocks={"layers": 1, "schedule": SCHEDULE}, participation={"short": "wait"}
    )
    expected = fedavg([EVERYONE, [1, 2], *[EVERYONE] * 3], lambda block: plain.names_of(block, tiny_model()))
    assert_equal(weights(model), weights(expected))


@pytest.mark.parametrize("phase", ["download", "compute", "upload"])
def test_what_is_in_is_aggregated_with_what_is_trained_anew(phase: str, fates):
    # Client 1 vanishes in round 1 and client 2 in round 3, and all are needed. They train the same once more.
    fates({(1, 2): Vanishing(phase, 0.4, 1), (2, 5): Vanishing(phase, 0.4, 1)})
    told = {"quorum": 1, "short": "wait"}
    blocks = {"layers": 1, "schedule": SCHEDULE}
    model, learner = federate(method="fedbcd", fleet=DROPOUT, blocks=blocks, participation=told)
    twice = {key for key, times in learner.times.items() if times > 1}
    assert twice == (set() if phase == "download" else {(1, 1), (2, 3)})
    assert_equal(weights(model), weights(fedavg([EVERYONE] * 5, lambda block: plain.names_of(block, tiny_model()))))


def test_late_updates_go_into_the_next_aggregate(fates):
    # Client 2 takes 18 s: it is in at 19, and its update of block 2 comes with round 1, aggregated at 23, of block 0.
    # It has missed the opening of round 1, at 11, and begins it at 19: it fetches block 2 of round 0 and is in at 39;
    # that is after round 2, at 35, and its update comes with round 3.
    model, _ = federate(
        method="fedbcd",
        rounds=4,
        compute={"seconds": [10, 10, 18]},
        blocks={"layers": 1, "schedule": SCHEDULE[:4]},
        participation={"quorum": 0.6, "late": "next-round"},
    )
    server = tiny_model()
    late: list[tuple[int, plain.State]] = []
    for t, block in enumerate(SCHEDULE[:4]):
        names = plain.names_of(block, server)
        before = copy.deepcopy(server)
        sent = {block: [plain.local_training(before, names, batches(i, t), RATE) for i in (0, 1)]}
        if t in (1, 3):
            for other, delta in late:
                sent.setdefault(other, []).append(delta)
            late = []
        if t in (0, 1):
            # In round 1 it begins from what the server had after round 0.
            late_one = plain.local_training(before, names, batches(2, t), RATE)
        for deltas in sent.values():
            plain.add(server, plain.mean(deltas, [1.0] * len(deltas)))
        if t in (0, 1):
            late.append((block, late_one))
    assert_equal(weights(model), weights(server))


PARABLOCK = {"method": "parablock", "fleet": DROPOUT, "blocks": {"layers": 1, "schedule": SCHEDULE}}


@pytest.mark.parametrize(
    ("fate", "aggregated", "computed", "anew"),
    [
        # The cases of tests/sim/engine/test_overlapped_rounds.py: with its update of round 0 under way, or in.
        (Vanishing("compute", 0.05, 1), {0: [0, 2], 1: [0, 2]}, {1: [0, 2]}, {2: [1]}),
        (Vanishing("upload", 0.25, 1), {0: [0, 2], 1: [0, 2]}, {1: [0, 2]}, {2: [1]}),
        (Vanishing("compute", 0.5, 2), {1: [0, 2], 2: [0, 2]}, {1: [0, 2], 2: [0, 2]}, {3: [1]}),
        (Vanishing("download", 0.5, 1), {1: [0, 2], 2: [0, 2]}, {1: [0, 2], 2: [0, 2]}, {3: [1]}),
    ],
    ids=["computing", "sending", "computing later", "receiving"],
)
def test_parablock_corrects_whether_or_not_ones_own_update_is_in(fate, aggregated, computed, anew, fates):
    fates({(1, 2): fate})
    model, learner = federate(**PARABLOCK)
    rounds = range(len(SCHEDULE))
    expected = plain.parablock_with_losses(
        tiny_model(),
        SCHEDULE,
        batches,
        RATE,
        [computed.get(t, EVERYONE) for t in rounds],
        [aggregated.get(t, EVERYONE) for t in rounds],
        [anew.get(t, []) for t in rounds],
    )
    assert_equal(weights(model), weights(expected))
    # Nothing is left of what was lost.
    assert not any(client.pending for client in learner.clients.values())
    assert not learner.in_flight


@pytest.mark.parametrize(("staleness", "opening"), [(1, 2), (2, 3)])
def test_parablock_begins_anew_from_the_servers_model_where_nobody_is_left(staleness: int, opening: int, fates):
    # The cases of tests/sim/engine/test_overlapped_rounds.py: all vanish when round 0 is in and round 1 is not. What
    # they had of their own is gone: Algorithm 2 begins once more, from the model of round 0, with round 1.
    fates({(client, opening): Vanishing("compute", 0.5, 1) for client in EVERYONE})
    method = {"name": "parablock", "staleness": staleness}
    model, learner = federate(**PARABLOCK | {"method": method, "participation": {"short": "wait"}})
    before = plain.parablock(tiny_model(), SCHEDULE[:1], batches, 3, RATE, staleness)
    expected = plain.parablock(before, SCHEDULE[1:], lambda i, t: batches(i, t + 1), 3, RATE, staleness)
    assert_equal(weights(model), weights(expected))
    uninterrupted = plain.parablock(tiny_model(), SCHEDULE, batches, 3, RATE, staleness)
    assert not all(
        torch.allclose(weights(model)[name], value, atol=1e-5) for name, value in weights(uninterrupted).items()
    )
    assert not any(client.pending for client in learner.clients.values())
    assert not learner.in_flight


def test_parablock_catches_up_as_if_nothing_had_happened(fates):
    # Client 1 loses rounds 0 and 1 and trains both once more, from the base and from its own round 0, as before.
    fates({(1, 2): Vanishing("compute", 0.05, 1)})
    model, learner = federate(**PARABLOCK, participation={"quorum": 1, "short": "wait"})
    assert {key for key, times in learner.times.items() if times > 1} == {(1, 0), (1, 1)}
    assert_equal(weights(model), weights(plain.parablock(tiny_model(), SCHEDULE, batches, 3, RATE)))


CYCLIC = {"method": "fedcybgd", "rounds": 7, "fleet": [{"count": 4, "dropout": {"rate": 0.5}}]}
# Client 1 loses the second opening while it sends, client 2 the seventh while it computes.
LOST = {(1, 2): Vanishing("upload", 0.4, 1), (2, 7): Vanishing("compute", 0.4, 1)}
TURNS = [0, 2, 3, 0, 1, 3, 0]


def of_four(client: int, round: int):
    return list(RandomTokens(4).batches(client, round))


@pytest.mark.parametrize("optimizer", ["kept", "fresh"])
def test_a_turn_that_is_lost_leaves_nothing(optimizer: str, fates):
    fates(LOST)
    settings = {"cyclic": {"optimizer": optimizer}}
    model, learner = federate(**CYCLIC, settings=settings)
    # To the bit what these turns make in a run of which nobody has turns besides.
    told = CYCLIC | {"fleet": [{"count": 4}], "participation": {"rounds": [[client] for client in TURNS]}}
    listed, _ = federate(**told, settings=settings)
    assert_equal(weights(model), weights(listed), exactly=True)
    assert not learner.in_flight


def test_turns_pass_on_as_in_a_plain_loop(fates):
    fates(LOST)
    model, _ = federate(**CYCLIC)
    expected = plain.fedcybgd(tiny_model(), of_four, 7, 4, lambda t: RATE, turns=TURNS)
    assert_equal(weights(model), weights(expected))
    other = plain.fedcybgd(tiny_model(), of_four, 7, 4, lambda t: RATE)
    name = "model.layers.3.mlp.up_proj.weight"
    assert not torch.allclose(weights(model)[name], weights(other)[name], atol=1e-5)


def test_the_schedule_of_a_kept_optimizer_goes_by_the_round(fates):
    # Of the seven rounds, clients 0 to 2 have turns i and i + 4 without failures, and client 3 has the fourth. In round
    # t, so many of these came before: client 0 is at 0 of 2 in round 0, and at 1 of 2 in rounds 3 and 6.
    planned = {client: list(range(client, 7, 4)) for client in range(4)}

    def rates(t: int) -> list[float]:
        own = planned[TURNS[t]]
        before = min(sum(turn < t for turn in own), len(own) - 1)
        return [RATE * (1 + math.cos(math.pi * (2 * before + step) / (2 * len(own)))) / 2 for step in range(2)]

    fates(LOST)
    model, _ = federate(**CYCLIC, local_settings=replace(LOCAL, schedule="cosine"))
    assert_equal(weights(model), weights(plain.fedcybgd(tiny_model(), of_four, 7, 4, rates, turns=TURNS)))


@pytest.mark.parametrize("unfetched", ["base", "last"])
def test_blocks_that_were_not_fetched_outlast_a_lost_turn(unfetched: str, fates, monkeypatch: pytest.MonkeyPatch):
    # What each client had fetched when it trained: where a turn is lost, maybe in an earlier one, and it is still new.
    fetched: dict[int, list[int]] = {}
    had: dict[tuple[int, int], int] = {}
    receive, train = TorchLearner.receive, TorchLearner.train

    def received(learner, client, versions):
        had.update({(client, block): version for block, version in versions.items()})
        receive(learner, client, versions)

    def trained(learner, client, round, block):
        newest = learner.versions.newest
        fetched[round] = [item for item in range(4) if item != client and had.get((client, item)) == newest(item)]
        return train(learner, client, round, block)

    monkeypatch.setattr(TorchLearner, "receive", received)
    monkeypatch.setattr(TorchLearner, "train", trained)
    fates({(2, 7): Vanishing("download", 0.4, 1)})
    method = {"name": "fedcybgd", "download_fraction": 0.5}
    model, _ = federate(**CYCLIC | {"method": method, "rounds": 9}, settings={"cyclic": {"unfetched": unfetched}})
    turns = [0, 1, 2, 3, 0, 1, 3, 0, 1]
    expected = plain.fedcybgd(
        tiny_model(), of_four, 9, 4, lambda t: RATE, fetched=fetched.__getitem__, unfetched=unfetched, turns=turns
    )
    assert_equal(weights(model), weights(expected))


def test_what_a_client_owed_before_it_computed_is_what_it_owes_when_that_is_cut_off(fates):
    # With top-k, client 1 owes a part of round 1 (block 0) when it begins round 2, of the same block, and vanishes.
    fields: dict[str, Any] = {
        "method": "fedbcd",
        "fleet": DROPOUT,
        "wire": {"upload": {"top_k": 0.2}},
        "settings": {"error_feedback": True},
        "blocks": {"layers": 1, "schedule": SCHEDULE[:3]},
        "rounds": 3,
    }
    fates({(1, 3): Vanishing("compute", 0.5, 1)})
    _, cut = federate(**fields)
    fates({})
    _, before = federate(**fields | {"rounds": 2, "blocks": {"layers": 1, "schedule": SCHEDULE[:2]}})
    assert_equal(cut.messages.residuals[1, 0], before.messages.residuals[1, 0], exactly=True)
    # What was computed and lost on its way is owed again, with all that was owed.
    fates({(1, 3): Vanishing("upload", 0.5, 1)})
    _, lost = federate(**fields)
    trained = plain.local_training(tiny_model_after(fields), plain.names_of(0, tiny_model()), batches(1, 2), RATE)
    owed = before.messages.residuals[1, 0]
    assert_equal(lost.messages.residuals[1, 0], {name: value + owed[name] for name, value in trained.items()})


def tiny_model_after(fields: dict[str, Any]):
    model, _ = federate(**fields | {"rounds": 2, "blocks": {"layers": 1, "schedule": SCHEDULE[:2]}})
    return model


@pytest.mark.parametrize(("phase", "number"), [("download", 0), ("compute", 1), ("upload", 1)])
def test_an_update_in_no_round_that_is_lost_was_never_made(phase: str, number: int, fates):
    # tests/sim/engine/test_dispatcher.py: one place, a buffer of two, and client 0 vanishes in its first turn. So 1 and
    # 2 are aggregated, and then 0 and 1, trained on that. What 0 had begun, if it had, was its update 0.
    fates({(0, 0): Vanishing(phase, 0.4, 1)})
    method = {"name": "fedbuff", "buffer": 2, "concurrency": 1}
    model, learner = federate(method=method, fleet=DROPOUT, rounds=2)
    server = tiny_model()
    names = [name for name, _ in server.named_parameters()]
    for batch in ([(1, 0), (2, 0)], [(0, number), (1, 1)]):
        sent = [plain.local_training(server, names, batches(*update), RATE) for update in batch]
        plain.add(server, plain.mean(sent, [1.0, 1.0]))
    assert_equal(weights(model), weights(server))
    assert not learner.in_flight


def test_who_begins_again_on_the_same_model_is_twice_in_its_buffer(fates):
    # As there: client 1 is away, so that client 0 trains on the base a second time, which fills the buffer of three.
    fates({(1, 0): Vanishing("upload", 0.25, 9)})
    model, _ = federate(method={"name": "fedbuff", "buffer": 3}, fleet=DROPOUT, rounds=1)
    server = tiny_model()
    names = [name for name, _ in server.named_parameters()]
    sent = [plain.local_training(server, names, batches(*update), RATE) for update in [(0, 0), (0, 1), (2, 0)]]
    plain.add(server, plain.mean(sent, [1.0] * 3))
    assert_equal(weights(model), weights(server))


def test_an_overlapping_client_that_is_back_has_the_servers_model_and_nothing_of_its_own(fates):
    # As there, but client 1 takes 9 s: 5 s one way, every update by itself, blocks 0, 1, 2, 0, ... Client 1 loses its
    # first two updates at 10.8. At 40, when client 0's first three are aggregated, it is back: it fetches these blocks,
    # and its update 2, of block 2, is in at 69, after six of client 0, which always has all of its own.
    fates({(1, 1): Vanishing("compute", 0.2, 3)})
    model, learner = federate(
        method={"name": "parablock-async", "buffer": 1},
        fleet=[{"count": 2, "uplink": "20MB/s", "dropout": {"rate": 0.5}}],
        compute={"seconds": [10, 9]},
        blocks={"layers": 1, "schedule": [0, 1, 2, 0, 1, 2, 0]},
        rounds=7,
    )
    server = tiny_model()
    for number in range(6):
        if number == 3:
            other = plain.local_training(server, plain.names_of(2, server), batches(1, 2), RATE)
        plain.add(server, plain.local_training(server, plain.names_of(number % 3, server), batches(0, number), RATE))
    plain.add(server, other)
    assert_equal(weights(model), weights(server))
    assert not any(key[1] in (0, 1) for key in learner.clients[1].pending)


METHODS_ = ["fedbcd", "fedcybgd", "fedit", "ffa-lora", "flora", "full-ft", "parablock"]


@pytest.mark.parametrize("method", [*METHODS_, "fedbuff", "fedasync", "parablock-async"])
def test_rates_that_never_strike_train_the_same_bits(method: str):
    plain_model, _ = federate(method=method)
    never, _ = federate(method=method, fleet=[{"count": 3, "dropout": {"rate": 1e-12}}])
    assert_equal(weights(never), weights(plain_model), exactly=True)


@pytest.mark.parametrize("method", METHODS_)
def test_a_repair_changes_when_and_never_what_is_learned(method: str):
    plain_model, _ = federate(method=method)
    failing = {"failures": {"every": "30s", "repair": "5s", "resume": False}}
    links = {"outages": {"every": "10s", "last": "1s", "transfers": "restart"}}
    repaired, _ = federate(method=method, fleet=[{"count": 3, **failing, **links}])
    one, other = (
        # What is left of FLoRA's adapters in the model is nobody's.
        {name: value for name, value in weights(each).items() if method != "flora" or "lora_" not in name}
        for each in (repaired, plain_model)
    )
    assert_equal(one, other, exactly=True)


@pytest.mark.parametrize("seed", [0, 2])
def test_what_is_forgotten_while_a_device_is_repaired_is_never_trained_on(seed: int, monkeypatch: pytest.MonkeyPatch):
    # Rounds go on without clients that fail just when they are to download; these train on what they have and get then.
    fields: dict[str, Any] = {
        "method": "fedbcd",
        "rounds": 17,
        "seed": seed,
        "compute": {"seconds": 2},
        "payload": {"upload": "400kB"},
        "fleet": [
            {"count": count, "speed": speed, "uplink": "400kB/s", "failures": {"every": "60s", "repair": "10s"}}
            for count, speed in ((6, 1.0), (4, 0.4))
        ],
        "participation": {"fraction": 0.6, "over_selection": 1.5},
    }
    model, _ = federate(**fields)
    monkeypatch.setattr(Versions, "renew", renew_and_forget_nothing)
    expected, _ = federate(**fields)
    assert_equal(weights(model), weights(expected))


def renew_and_forget_nothing(versions: Versions, item: int, round: int, change: dict[str, torch.Tensor]) -> None:
    newest = versions.newest_values(item)
    versions.values[item][round] = {name: value + change[name] for name, value in newest.items()}
