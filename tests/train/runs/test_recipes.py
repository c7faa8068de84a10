"""Whole runs by other recipes: the steps are trained by them, and a run is gone on from by the same one alone."""

from __future__ import annotations

from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Lora
from parasim_core.train.models.adapters import Adapter
from parasim_core.train.models.blocks import Values
from parasim_core.train.runs.fingerprint import shared_settings
from parasim_core.train.runs.recorder import not_compiled
from parasim_core.train.runs.settings import RECIPE, TrainSettings
from parasim_core.train.update.local import LocalSettings, train_locally
from parasim_core.train.update.loss import training_loss
from parasim_core.train.update.trained_part import TrainedPart
from tests.train.small_runs import Interrupted, assert_same, bench, ended, stop_after, train
from tests.train.tiny import RandomTokens, tiny_model

PURE = {"weights": "bfloat16", "master_weights": False}
EXACT: dict[str, Any] = {"wire": {"precision": "float32"}, "rounds": 1}


def narrow_bench() -> Any:
    made = bench()
    made.model.to(torch.bfloat16)
    return made


def first_update(folder: Path, settings: dict[str, Any], **fields: Any) -> Values:
    """What client 0 sends first."""
    sent: list[Values] = []
    train(folder, settings, on=narrow_bench(), on_update=lambda trace, values: sent.append(values), **EXACT, **fields)
    return sent[0]


def batches() -> Any:
    return RandomTokens(3).batches(0, 0)


def test_a_run_without_a_master_trains_without_one(tmp_path: Path):
    sent = first_update(tmp_path, PURE, method="full-ft")
    model = tiny_model().to(torch.bfloat16)
    plan = LocalSettings(1e-2, steps=2, master=False)
    alone = train_locally(model, dict(model.named_parameters()), batches(), training_loss(), plan)
    assert all(torch.equal(sent[name], delta) for name, delta in alone.delta.items())


def test_a_run_with_float32_adapters_trains_them_in_mixed_precision(tmp_path: Path):
    sent = first_update(tmp_path, {"adapters": "float32"}, method="fedit")
    model = tiny_model().to(torch.bfloat16)
    adapter = Adapter(model, Lora(rank=2, targets=("q_proj", "v_proj")), 0, precision=torch.float32)
    alone = train_locally(model, adapter.part, batches(), training_loss(mixed=True), LocalSettings(1e-2, steps=2))
    assert all(torch.equal(sent[name], delta) for name, delta in alone.delta.items())


@pytest.mark.parametrize(
    "how",
    [
        {"method": "parablock", "settings": PURE},
        {"method": "fedcybgd", "settings": PURE},
        {"method": "fedit", "settings": {"adapters": "float32"}},
        {"method": "flora", "settings": PURE | {"adapters": "float32"}},
    ],
    ids=lambda how: how["method"],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, how: dict[str, Any]):
    settings, method = how["settings"], how["method"]
    whole = ended(train(tmp_path / "whole", settings, on=narrow_bench(), method=method), tmp_path)
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", settings, on=narrow_bench(), method=method, on_row=stop_after(2))
    resumed = ended(train(tmp_path / "cut", settings, on=narrow_bench(), method=method), tmp_path)
    assert_same(resumed, whole)


def test_a_run_by_another_recipe_is_another_run():
    scenario = Scenario.parse({"model": "llama-3-8b"})
    default = shared_settings(scenario, TrainSettings())
    # Directories of before there were recipes are those of the default one.
    assert {name for name in RECIPE if f"train.{name}" in default} == {"activation_checkpointing"}
    others = (
        *({"weights": "bfloat16"}, {"master_weights": False}, {"optimizer": "adamw-8bit"}, {"adapters": "float32"}),
        *({"attention": "eager"}, {"loss": "chunked"}, {"kernels": "compiled"}, {"packing": True}),
        {"activation_checkpointing": "selective"},
    )
    for other in others:
        told = shared_settings(scenario, TrainSettings.parse(other))
        ((field, value),) = other.items()
        assert told != default
        assert told[f"train.{field}"] == value


def test_layers_are_compiled_where_they_train_and_not_where_answers_are_measured(monkeypatch: pytest.MonkeyPatch):
    from torch._dynamo.testing import CompileCounter

    # What it makes of a graph is torch's affair, and takes it half a minute.
    counter = CompileCounter()
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=counter))
    updates = []
    for compiled in (False, True):
        model = tiny_model()
        part = {name: value for name, value in model.named_parameters() if "layers.2." in name}
        plan = LocalSettings(1e-2, steps=2, compiled=compiled)
        TrainedPart(model, [part]).prepare(plan)
        updates.append(train_locally(model, part, batches(), training_loss(), plan))
        made = counter.frame_count
        assert (made > 0) is compiled
        with not_compiled(TrainSettings(kernels="compiled")), torch.no_grad():
            model(input_ids=torch.arange(5)[None])
        assert counter.frame_count == made
    assert all(torch.equal(delta, updates[1].delta[name]) for name, delta in updates[0].delta.items())


def test_each_block_is_warmed_up_where_it_has_kernels_of_its_own():
    assert [LocalSettings(1.0, 1, compiled=compiled).kernels_of(3) for compiled in (False, True)] == [0, 3]
