"""Whole runs of `train_method` on the tiny model: their results, and how to interrupt them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from parasim_core.sim.engine.costs import Costs, GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.data.partition import Partition
from parasim_core.train.runs.run import Trained, train_method
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import Workbench
from tests.train.tiny import ARCHITECTURE, RandomTokens, tiny_model, weights

Callback = Callable[..., None]


class Interrupted(Exception):  # noqa: N818 - an interruption is no error
    """Stands for whatever ends a process."""


@dataclass(frozen=True)
class Ended:
    """What a run leaves behind."""

    weights: dict[str, torch.Tensor]
    metrics: list[dict[str, object]]
    timeline: str


def bench(clients: int = 3, *, seed: int = 0, digest: str = "random tokens") -> Workbench:
    """The tiny model and its random tokens."""
    partition = Partition(tuple((client,) for client in range(clients)), ("",) * clients)
    return Workbench(tiny_model(seed), ARCHITECTURE, None, RandomTokens(clients), partition, digest)


def given(setup: Setup) -> Costs:
    """The seconds that the scenario gives."""
    return GivenSeconds(setup.scenario, Fleet(setup.scenario.fleet))


def train(
    folder: Path | None, train: dict[str, Any] | None = None, *, on: Workbench | None = None, **fields: Any
) -> Trained:
    """Train the tiny model on three uneven clients for five rounds, by the given seconds."""
    options = {"costs": given} | {name: fields.pop(name) for name in ("costs", "workers", "target") if name in fields}
    callbacks = {name: fields.pop(name) for name in ("on_row", "on_update") if name in fields}
    scenario = Scenario.parse(
        {
            "compute": {"seconds": [10, 12, 17]},
            "payload": {"upload": "100MB"},
            "fleet": [{"count": 3, "uplink": "20MB/s"}],
            "rounds": 5,
            "blocks": {"layers": 1},
            "local": {"steps": 2},
            "lora": {"rank": 2, "targets": ["q_proj", "v_proj"]},
        }
        | fields
    )
    settings = TrainSettings.parse({"learning_rate": 1e-2} | (train or {}))
    return train_method(scenario, settings, on or bench(), folder, **options, **callbacks)


def ended(trained: Trained, folder: Path) -> Ended:
    """Take the results of a run."""
    trained.result.write_timeline(folder / "timeline.csv")
    return Ended(weights(trained.learner.model), trained.metrics, (folder / "timeline.csv").read_text())


def assert_same(one: Ended, other: Ended) -> None:
    """Two runs ended alike, bit for bit."""
    assert one.metrics == other.metrics
    assert one.timeline == other.timeline
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        assert torch.equal(value, other.weights[name]), name


def stop_after(count: int) -> Callback:
    """Interrupt at the `count`-th call."""
    calls = 0

    def call(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == count:
            raise Interrupted

    return call
