"""It is the algorithm: final weights agree with plain re-implementations, and the paper's invariants hold."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import METHODS
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.models.adapters import SCALING, Adapter
from parasim_core.train.models.blocks import Values
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.update.jobs import show
from parasim_core.train.update.trained_part import TrainedStack
from tests.oracles import plain_training as plain
from tests.train.tiny import (
    ARCHITECTURE,
    BLOCKS,
    LOCAL,
    LORA,
    RandomTokens,
    assert_equal,
    federate,
    tiny_model,
    weights,
)

SCHEDULE = [2, 0, 0, 3, 1]
RATE = LOCAL.learning_rate
EQUAL = [1.0, 1.0, 1.0]


def batches(client: int, round: int):
    return list(RandomTokens(3).batches(client, round))


@pytest.mark.parametrize("staleness", [1, 2, 3])
@pytest.mark.parametrize("eta", [1.0, 0.5])
def test_parablock_is_algorithm_2(staleness: int, eta: float):
    model, _ = federate(
        method={"name": "parablock", "staleness": staleness},
        blocks={"layers": 1, "schedule": SCHEDULE},
        settings={"global_learning_rate": eta},
    )
    expected = plain.parablock(tiny_model(), SCHEDULE, batches, 3, RATE, s=staleness, eta=eta)
    assert_equal(weights(model), weights(expected))


@pytest.mark.parametrize("weighted", [False, True])
def test_fedbcd_averages_the_block(weighted: bool):
    model, learner = federate(
        method="fedbcd",
        blocks={"layers": 1, "schedule": SCHEDULE},
        settings={"mean": "weighted" if weighted else "uniform"},
    )
    n_i = [float(n) for n in learner.task.examples] if weighted else EQUAL
    start = tiny_model()
    expected = plain.fedavg(start, lambda t: plain.names_of(SCHEDULE[t], start), batches, 5, 3, RATE, n_i)
    assert_equal(weights(model), weights(expected))


@pytest.mark.parametrize(("method", "trained"), [("fedit", "lora_"), ("ffa-lora", "lora_B")])
def test_adapters_are_averaged(method: str, trained: str):
    model, _ = federate(method=method)
    start = tiny_model()
    Adapter(start, LORA, 0)
    names = [name for name, _ in start.named_parameters() if trained in name]
    expected = plain.fedavg(start, lambda t: names, batches, 5, 3, RATE, EQUAL)
    assert_equal(weights(model), weights(expected))


def test_full_fine_tuning_averages_everything():
    model, _ = federate(method="full-ft", rounds=2)
    start = tiny_model()
    names = list(dict(start.named_parameters()))
    assert_equal(weights(model), weights(plain.fedavg(start, lambda t: names, batches, 2, 3, RATE, EQUAL)))


def of_four(client: int, round: int):
    return list(RandomTokens(4).batches(client, round))


@pytest.mark.parametrize("optimizer", ["kept", "fresh"])
def test_fedcybgd_overwrites_the_block_of_whose_turn_it_is(optimizer: str):
    # Client 0 has three of the nine turns. The public code saves optimizer and scheduler after each turn and loads them
    # in the next one (L3030/FedCyBGD, causal_llms/src/llmtuner/tuner/sft/workflow.py).
    settings = {"cyclic": {"optimizer": optimizer}}
    model, _ = federate(method="fedcybgd", rounds=9, fleet=[{"count": 4}], settings=settings)
    expected = plain.fedcybgd(tiny_model(), of_four, 9, 4, lambda t: RATE, kept=optimizer == "kept")
    assert_equal(weights(model), weights(expected))
    other = plain.fedcybgd(tiny_model(), of_four, 9, 4, lambda t: RATE, kept=optimizer != "kept")
    assert not torch.allclose(parameter(model), parameter(other), atol=1e-5)


def parameter(model: torch.nn.Module) -> torch.Tensor:
    return weights(model)["model.layers.0.mlp.up_proj.weight"]


@pytest.mark.parametrize("optimizer", ["kept", "fresh"])
def test_the_schedule_of_a_kept_optimizer_spans_all_turns_of_its_client(optimizer: str):
    # 9 turns of 4 clients: client 0 has turns 0, 4 and 8, so K = 2 steps are 2 of 6; the others have 2 of 4.
    def rates(t: int) -> list[float]:
        before, turns = (t // 4, 3 if t % 4 == 0 else 2) if optimizer == "kept" else (0, 1)
        return [RATE * (1 + math.cos(math.pi * (2 * before + step) / (2 * turns))) / 2 for step in range(2)]

    local, settings = replace(LOCAL, schedule="cosine"), {"cyclic": {"optimizer": optimizer}}
    model, _ = federate(method="fedcybgd", rounds=9, fleet=[{"count": 4}], settings=settings, local_settings=local)
    expected = plain.fedcybgd(tiny_model(), of_four, 9, 4, rates, kept=optimizer == "kept")
    assert_equal(weights(model), weights(expected))


@pytest.mark.parametrize("clients", [4, 6])
@pytest.mark.parametrize("unfetched", ["base", "last"])
def test_what_stands_for_blocks_that_fedcybgd_did_not_fetch(
    unfetched: str, clients: int, monkeypatch: pytest.MonkeyPatch
):
    # The public code begins every turn with a copy of the base and puts the drawn blocks into it (also workflow.py).
    # Six clients share four blocks: some train a block that another one changed and that they did not fetch. The server
    # puts what comes back in the place of its own all the same.
    arrived: list[list[tuple[int, int]]] = [[]]
    receive, train = TorchLearner.receive, TorchLearner.train

    def received(learner, client, versions):
        arrived[-1] += [(client, item) for item in versions]
        receive(learner, client, versions)

    def trained(learner, client, round, block):
        arrived.append([])
        return train(learner, client, round, block)

    monkeypatch.setattr(TorchLearner, "receive", received)
    monkeypatch.setattr(TorchLearner, "train", trained)
    model, _ = federate(
        method={"name": "fedcybgd", "download_fraction": 0.5},
        rounds=11,
        fleet=[{"count": clients}],
        blocks={"count": 4},
        settings={"cyclic": {"unfetched": unfetched}},
    )
    # Between two updates, the client of the one before has its own block back, and that of the next one fetches others.
    fetched = [[item for client, item in arrivals if client == t % clients] for t, arrivals in enumerate(arrived[:-1])]
    assert [len(items) for items in fetched] == [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    how_fetched = {"fetched": fetched.__getitem__, "blocks": 4}
    models = {
        how: plain.fedcybgd(tiny_model(), of_four, 11, clients, lambda t: RATE, unfetched=how, **how_fetched)
        for how in ("base", "last")
    }
    assert_equal(weights(model), weights(models[unfetched]))
    assert not torch.allclose(parameter(models["base"]), parameter(models["last"]), atol=1e-5)


def test_flora_merges_the_exact_weighted_sum_of_products():
    # W + scaling sum_i (n_i / sum n) B_i A_i, from the adapters that were really sent.
    start = weights(tiny_model())
    model, learner = federate(method="flora", rounds=1, settings={"mean": "weighted"})
    n_i = learner.task.examples
    plain_model = tiny_model()
    stack = TrainedStack(plain_model, LORA, seed=0)
    products: dict[str, torch.Tensor] = {}
    for client in range(3):
        opening = stack.fresh_start(client, 0, {})
        delta = plain.local_training(plain_model, list(opening), batches(client, 0), RATE)
        for name in (n for n in opening if n.endswith("lora_A.default.weight")):
            a = opening[name] + delta[name]
            b_name = name.replace("lora_A", "lora_B")
            b = opening[b_name] + delta[b_name]
            module = name.removesuffix(".lora_A.default.weight")
            products[module] = products.get(module, torch.zeros(())) + n_i[client] / sum(n_i) * (b @ a)
    merged = weights(model)
    for module, product in products.items():
        expected = start[f"{module}.weight"] + SCALING * product
        torch.testing.assert_close(merged[f"{module}.base_layer.weight"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("staleness", [1, 2])
@pytest.mark.parametrize("eta", [1.0, 0.5])
def test_a_client_differs_from_the_server_by_its_own_updates_only(staleness, eta, monkeypatch):
    # x_i[t] - x[t] = eta x the sum of delta_i on the blocks of its last s rounds, and zero on every other block:
    # after the correction, those are the server's.
    deltas = {}
    train = TorchLearner.train

    def checked(learner, client, round, block):
        learner.versions.show_newest()
        server = weights(learner.model)
        show(learner.job(client, round, block), learner.versions)
        difference = {name: value - server[name] for name, value in weights(learner.model).items()}
        expected = {name: torch.zeros_like(value) for name, value in server.items()}
        for earlier in range(max(0, round - staleness), round):
            for name, value in deltas[client, earlier].items():
                expected[name] += eta * value
        for name, value in difference.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
        promise = train(learner, client, round, block)

        def redeem():
            update = promise.redeem()
            deltas[client, round] = learner.clients[client].pending[learner.trained.item(block), round]
            return update

        return replace(promise, redeem=redeem)

    monkeypatch.setattr(TorchLearner, "train", checked)
    federate(
        method={"name": "parablock", "staleness": staleness},
        blocks={"layers": 1, "schedule": SCHEDULE},
        settings={"global_learning_rate": eta},
    )
    assert len(deltas) == 3 * len(SCHEDULE)


def test_one_client_and_parablock_are_block_coordinate_descent_to_the_bit():
    schedule = {"layers": 1, "schedule": SCHEDULE}
    overlapped, _ = federate(method="parablock", fleet=[{}], blocks=schedule)
    plainly, _ = federate(method="fedbcd", fleet=[{}], blocks=schedule)
    assert_equal(weights(overlapped), weights(plainly), exactly=True)


@pytest.mark.parametrize("method", ["parablock", "fedbcd", "fedit", "full-ft"])
def test_identical_clients_equal_one(method: str):
    one, _ = federate(method=method, fleet=[{"count": 1}], alike=True)
    three, _ = federate(method=method, fleet=[{"count": 3}], alike=True)
    assert_equal(weights(three), weights(one), exactly=True)


@pytest.mark.parametrize("method", ["parablock", "fedbcd", "flora"])
def test_the_order_in_which_clients_finish_changes_nothing(method: str, monkeypatch: pytest.MonkeyPatch):
    # The last client comes first. FLoRA's sums are float32: their last bits show in which order they were added.
    orders = []
    aggregate = TorchLearner.aggregate

    def noted(learner, *arguments):
        orders.append([update.client for update in arguments[-1]])
        aggregate(learner, *arguments)

    monkeypatch.setattr(TorchLearner, "aggregate", noted)
    fleet = [{"count": 4}]
    uneven, _ = federate(method=method, fleet=fleet, compute={"seconds": [30, 40, 20, 10]})
    even, _ = federate(method=method, fleet=fleet)
    assert orders == [[0, 1, 2, 3]] * 10
    # FLoRA's adapters are merged at the end of a round; what is left in the model is nobody's.
    one, other = (
        {name: value for name, value in weights(model).items() if "lora_" not in name} for model in (uneven, even)
    )
    assert_equal(one, other, exactly=True)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_lowers_a_loss_it_trains_on(method: str):
    # Alike clients, and the same batch in the end as in the beginning: what is learned must show.
    task = RandomTokens(1, alike=True)
    batch = next(task.batches(0, 0))
    before = task.loss(tiny_model(), batch).item()
    model, _ = federate(method=method, fleet=[{"count": 2}], alike=True, rounds=1)
    assert task.loss(model, batch).item() < before


def test_partial_participation_trains_from_what_was_fetched():
    # Two cohorts in turn: FedBCD under partial participation is FedAvg over each round's participants.
    cohorts = [[0, 1], [2], [0, 2], [1], [0, 1, 2]]
    model, _ = federate(method="fedbcd", blocks={"layers": 1, "schedule": SCHEDULE}, participation={"rounds": cohorts})
    expected = tiny_model()
    for t, members in enumerate(cohorts):
        names = plain.names_of(SCHEDULE[t], expected)
        deltas = [plain.local_training(expected, names, batches(i, t), RATE) for i in members]
        plain.add(expected, plain.mean(deltas, [1.0] * len(members)))
    assert_equal(weights(model), weights(expected))


def test_parablock_with_cohorts_in_turn_is_one_round_behind():
    # Disjoint cohorts carry no update of their own over: round t trains on the aggregates up to round t - 2.
    cohorts = [[0], [1], [2], [0], [1]]
    model, _ = federate(blocks={"layers": 1, "schedule": SCHEDULE}, participation={"rounds": cohorts})
    server = tiny_model()
    deltas = []
    for t, (member,) in enumerate(cohorts):
        if t >= 2:
            plain.add(server, deltas[t - 2])
        deltas.append(plain.local_training(server, plain.names_of(SCHEDULE[t], server), batches(member, t), RATE))
    plain.add(server, deltas[3])
    plain.add(server, deltas[4])
    assert_equal(weights(model), weights(server))


def test_top_k_of_everything_is_the_uncompressed_run():
    compressed, _ = federate(method="fedbcd", wire={"upload": {"top_k": 1.0}})
    plainly, _ = federate(method="fedbcd")
    assert_equal(weights(compressed), weights(plainly), exactly=True)


def test_error_feedback_sends_later_what_was_left_out():
    fields = {"method": "fedbcd", "blocks": {"layers": 1, "schedule": [1] * 5}, "wire": {"upload": {"top_k": 0.2}}}
    exact, _ = federate(**{**fields, "wire": {}})
    without, _ = federate(**fields)
    with_feedback, learner = federate(**fields, settings={"error_feedback": True})
    assert learner.messages.residuals.keys() == {(client, 1) for client in range(3)}

    def distance(model) -> float:
        other, goal = weights(model), weights(exact)
        return math.sqrt(sum(float((other[name] - goal[name]).square().sum()) for name in goal))

    assert 0 < distance(with_feedback) < distance(without)


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_quantization_changes_the_model_a_little(direction: str):
    coarse, _ = federate(method="fedbcd", wire={direction: {"bits": 4}})
    fine, _ = federate(method="fedbcd", wire={direction: {"bits": 12}})
    exact = weights(federate(method="fedbcd")[0])
    differences = [
        max(float((value - exact[name]).abs().max()) for name, value in weights(model).items())
        for model in (fine, coarse)
    ]
    assert 0 < differences[0] < differences[1] < 0.05


def test_without_the_correction_clients_never_hear_of_one_another():
    # One client hears nothing new either way; three diverge.
    alone = [federate(fleet=[{}], settings={"correction": c})[0] for c in (True, False)]
    assert_equal(weights(alone[0]), weights(alone[1]))
    together = [federate(settings={"correction": c})[0] for c in (True, False)]
    assert any(
        not torch.allclose(a, b, atol=1e-5)
        for a, b in zip(weights(together[0]).values(), weights(together[1]).values(), strict=True)
    )


def test_the_gradient_schedule_goes_from_the_largest_gradient_down():
    _, learner = federate(method="fedbcd", blocks={"layers": 1, "schedule": "gradient", "gradient_pass": "1s"})
    model = tiny_model()
    norms = torch.zeros(len(BLOCKS))
    for client in range(3):
        model.zero_grad()
        model(**batches(client, 0)[0]).loss.backward()
        for block in range(len(BLOCKS)):
            grads = [p.grad for n, p in model.named_parameters() if f"layers.{block}." in n]
            norms[block] += torch.nn.utils.get_total_norm(grads)
    order = norms.argsort(descending=True).tolist()
    assert list(learner.schedule()) == [order[t % len(order)] for t in range(5)]


def test_who_takes_turns_has_a_block_of_its_own_whatever_the_gradients():
    _, learner = federate(method="fedcybgd", blocks={"schedule": "gradient", "gradient_pass": "1s"})
    learner.surveyed = {client: (1.0, torch.tensor([1.0, 3.0, 2.0])) for client in range(3)}
    assert list(learner.schedule()) == [0, 1, 2, 0, 1]


def test_versions_that_nobody_trains_on_are_forgotten():
    alive = []

    def count(run, round, learner):
        alive.append(max(len(versions) for versions in learner.versions.values.values()))

    federate(method={"name": "parablock", "staleness": 2}, rounds=12, blocks={"layers": 2}, observe=count)
    assert max(alive) <= 4


def test_updates_are_forgotten_once_they_are_aggregated():
    _, learner = federate(rounds=8)
    assert all(not client.pending for client in learner.clients.values())


def test_a_client_of_flora_pays_for_the_stacks_that_reach_it(monkeypatch: pytest.MonkeyPatch):
    # Merging takes 5 s (three rounds: 5, 7, 9) beside updates of 1 s. Client 0 takes part in rounds 0, 1 and 2, client
    # 1 in 0 and 2: before round 1 client 0 merges round 0's stack, 1 + 5; before round 2 it merges round 1's, 1 + 7,
    # and client 1 both, 1 + 5 + 7. Before round 0 there is nothing to merge.
    merges = iter([5.0, 7.0, 9.0])

    def merge(self: TrainedStack, stacked: Values, round: int) -> float:
        self.newest = round
        return next(merges)

    monkeypatch.setattr(TrainedStack, "merge", merge)
    trained = TrainedStack(tiny_model(), LORA, seed=0)
    task, rounds = RandomTokens(2), [[0, 1], [0], [0, 1]]
    scenario = Scenario.parse(
        {
            "method": "flora",
            "rounds": 3,
            "fleet": [{"count": 2}],
            "compute": {"seconds": 1},
            "payload": {"upload": "1MB"},
        }
    )
    learner = TorchLearner(prepare(scenario, ARCHITECTURE), TrainSettings(), trained, task, LOCAL, costs=None)
    monkeypatch.setattr("parasim_core.train.update.local.now", ticking())
    known: dict[int, int] = {}
    for number, clients in enumerate(rounds):
        updates = []
        for client in clients:
            missing = {item: item for item in range(known.get(client, 0), number)}
            if missing:
                learner.receive(client, missing)
            known[client] = number
            updates.append(learner.train(client, number, None).redeem())
        learner.aggregate(number, number, updates)
    seconds = {place: trace.seconds for place, trace in learner.traces.items()}
    assert seconds == {(0, 0): 1, (1, 0): 1, (0, 1): 6, (0, 2): 8, (1, 2): 13}
    assert learner.merge_seconds == {0: 5.0, 1: 7.0, 2: 9.0}


def ticking() -> Any:
    """A clock that goes on by a second whenever it is read."""
    count = itertools.count()
    return lambda device: float(next(count))


def test_merging_is_timed_without_stacking(monkeypatch: pytest.MonkeyPatch):
    # Two readings a second apart around the merge alone.
    monkeypatch.setattr("parasim_core.train.update.trained_part.now", ticking())
    stack = TrainedStack(tiny_model(), LORA, seed=0)
    adapter = stack.message(stack.fresh_start(0, 0, {}), {name: torch.zeros(()) for name in stack.part(0)})
    assert stack.merge(stack.stacked([adapter, adapter], [1.0, 1.0], 1.0), 0) == 1.0
