"""A Llama small enough for exact comparisons, and a task of random tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import prepare, simulate
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import from_config
from parasim_core.sim.workload.blocks import Block, partition
from parasim_core.train.data.task import Batch, Evaluation
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.update.local import LocalSettings
from parasim_core.train.update.trained_part import trained_part
from tests.oracles.plain_training import EPSILON

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16,
    "tie_word_embeddings": False,
}
ARCHITECTURE = from_config(CONFIG, "tiny")
BLOCKS: tuple[Block, ...] = partition(ARCHITECTURE, 1)
LOCAL = LocalSettings(learning_rate=1e-2, steps=2, epsilon=EPSILON)
LORA = Lora(rank=2, targets=("q_proj", "v_proj"))


def tiny_model(seed: int = 0) -> nn.Module:
    """The model with seeded weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: nn.Module = LlamaForCausalLM(LlamaConfig(**CONFIG)).eval()
    return model


class RandomTokens:
    """A task of random tokens, different for every client and round, or the same for all clients."""

    def __init__(self, clients: int, *, steps: int = 2, alike: bool = False):
        self.examples: Sequence[int] = [8] * clients if alike else [3 * client + 2 for client in range(clients)]
        self._steps = steps
        self._alike = alike

    def batches(self, client: int, round: int) -> Iterator[Batch]:
        """Two sequences of eight tokens a batch."""
        who = 0 if self._alike else client
        generator = torch.Generator().manual_seed(1000 * who + round)
        for _ in range(self._steps):
            tokens = torch.randint(CONFIG["vocab_size"], (2, 8), generator=generator)
            yield {"input_ids": tokens, "labels": tokens}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's own loss."""
        loss: Tensor = model(**batch).loss
        return loss

    def evaluate(self, model: nn.Module, *, accuracy: bool = True, progress: Any = None) -> Evaluation:
        """Loss on a batch of nobody's."""
        with torch.no_grad():
            return Evaluation(self.loss(model, next(self.batches(10_000, 0))).item(), None, 2)


def federate(**fields: Any) -> tuple[nn.Module, TorchLearner]:
    """Train as `federate_with_result` does; return the server's model at the end, and the learner."""
    model, learner, _ = federate_with_result(**fields)
    return model, learner


def federate_with_result(
    *,
    settings: Mapping[str, Any] | None = None,
    alike: bool = False,
    model: nn.Module | None = None,
    observe: Any = None,
    local_settings: LocalSettings = LOCAL,
    **fields: Any,
) -> tuple[nn.Module, TorchLearner, Result]:
    """Train with the real protocols and learner; return the server's model at the end, the learner, and what happened.

    Messages carry float32 unless `wire` says otherwise, so that nothing is rounded that an oracle does not round.
    """
    data = {
        "compute": {"seconds": 10},
        "payload": {"upload": "100MB"},
        "fleet": [{"count": 3}],
        "rounds": 5,
        "blocks": {"layers": 1},
    } | fields
    data["wire"] = {"precision": "float32"} | fields.get("wire", {})
    scenario = Scenario.parse(data)
    setup = prepare(scenario, ARCHITECTURE)
    model = model or tiny_model()
    costs = GivenSeconds(scenario, Fleet(scenario.fleet))
    learner = TorchLearner(
        setup,
        TrainSettings.parse(settings),
        trained_part(setup.method.trains, model, setup.blocks, LORA, seed=scenario.seed),
        RandomTokens(scenario.clients, alike=alike),
        local_settings,
        costs,
    )
    noted = None if observe is None else lambda run, round: observe(run, round, learner)
    result = simulate(setup, costs, learner, noted)
    learner.versions.show_newest()
    return model, learner, result


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all weights."""
    return snapshot(dict(model.named_parameters()))


def snapshot(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of a part's values."""
    return {name: value.detach().clone() for name, value in part.items()}


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor], *, exactly: bool = False) -> None:
    """All weights agree, to float tolerance or to the bit."""
    assert first.keys() == second.keys()
    for name in first:
        if exactly:
            assert torch.equal(first[name], second[name]), name
        else:
            torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6)
