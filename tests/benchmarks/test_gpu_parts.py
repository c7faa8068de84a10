"""What the benchmarks do differently on a GPU, or with --blocks and --compile, with pretended devices."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import local_training, memory
from parasim_core.sim.workload.architecture import from_config
from parasim_core.sim.workload.blocks import partition
from parasim_core.train.models.building import random_model
from parasim_demonstration.models import demo_config


def test_a_peak_counts_above_what_warming_up_left(monkeypatch: pytest.MonkeyPatch):
    # Libraries keep 70 bytes once they are loaded; the update's own peak is 1000 bytes above that.
    happened: list[str] = []
    held = {"now": 0}

    def update(config: Any, step: Any, device: str) -> None:
        happened.append("update")
        held["now"] = 70

    monkeypatch.setattr(memory, "local_update", update)
    monkeypatch.setattr(memory.gc, "collect", lambda: happened.append("collect"))
    monkeypatch.setattr(memory, "forget_peak", lambda device: happened.append("forget"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: held["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1070)
    assert memory.measure((memory.SMALL_LLAMA, "lora", 1, 8), "cuda") == 1000
    assert happened == ["update", "collect", "forget", "update"]


def test_the_measured_model_is_built_where_it_is_measured(monkeypatch: pytest.MonkeyPatch):
    class Built(Exception):  # noqa: N818 - the answer, not an error
        pass

    def build(name: str, config: Any, device: torch.device) -> None:
        raise Built(device.type)

    monkeypatch.setattr(memory, "build_model", build)
    with pytest.raises(Built, match="cuda"):
        memory.local_update(demo_config(), memory.TracedStep(memory.Trains.LORA), "cuda:0")


def test_only_the_chosen_blocks_are_traced(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []

    def traced(chosen: Namespace, model: nn.Module, blocks: Any) -> dict[int, float]:
        asked.extend(block.index for block in blocks)
        return {block.index: 1e9 for block in blocks}

    monkeypatch.setattr(local_training, "traced", traced)
    monkeypatch.setattr(local_training, "matrix_rates", lambda *given: {(1, 1, 1): 1e9})
    monkeypatch.setattr(local_training, "in_turns", lambda runs, chosen: {name: [1.0] for name in runs})
    model = random_model(demo_config(layers=4, hidden_size=64), seed=0)
    blocks = partition(from_config(model.config.to_dict(), "tiny"), 1)
    chosen = Namespace(device="cpu", batch_size=1, sequence_length=4, blocks=[1, 3])
    local_training.floors(chosen, model, blocks, local_training.draw(Namespace(**vars(chosen), steps=1), 8))
    assert asked == [1, 3]
    chosen.blocks, asked[:] = None, []
    local_training.floors(chosen, model, blocks, local_training.draw(Namespace(**vars(chosen), steps=1), 8))
    assert asked == [0, 1, 2, 3]


def test_layers_are_compiled_and_not_the_model(monkeypatch: pytest.MonkeyPatch):
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    model: Any = random_model(demo_config(layers=4, hidden_size=64), seed=0)
    local_training.compile_layers(model)
    assert compiled == list(model.model.layers)
