"""One method trained: its metrics, its checkpoints' owner, its errors and its final model."""

from __future__ import annotations

import copy
import errno
import gc
import json
import math
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torch import nn

from parasim_core.sim.errors import OutputError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.data.task import Evaluation
from parasim_core.train.runs import run
from parasim_core.train.runs.checkpoint import CheckpointError
from parasim_core.train.runs.metrics import METRICS
from parasim_core.train.update.local import DivergedError
from tests.train.small_runs import Interrupted, bench, stop_after, train
from tests.train.tiny import RandomTokens


def test_a_row_per_round(tmp_path: Path):
    # FedBCD, 100 MB at 20 MB/s = 5 s each way; the slowest client computes 17 s. A round ends with its uploads at
    # 17 + 5 = 22 s; every next one costs 5 + 17 + 5 = 27 s more.
    rows = train(tmp_path, method="fedbcd").metrics
    assert [tuple(row) for row in rows] == [METRICS] * 5
    assert [row["simulated_s"] for row in rows] == [22, 49, 76, 103, 130]
    assert [row["uploaded_bytes"] for row in rows] == [300e6 * (t + 1) for t in range(5)]
    assert [row["downloaded_bytes"] for row in rows] == [300e6 * t for t in range(5)]


@pytest.mark.parametrize("mean", ["uniform", "weighted"])
def test_the_training_loss_is_weighted_as_the_updates_are(mean: str, tmp_path: Path):
    # The tiny clients have 2, 5 and 8 examples: sum n_i l_i / sum n_i under the weighted mean, sum l_i / N otherwise.
    trained = train(tmp_path, {"mean": mean}, method="fedbcd", rounds=2)
    weights = [2, 5, 8] if mean == "weighted" else [1, 1, 1]
    for row in trained.metrics:
        losses = [trained.learner.traces[client, row["round"]].loss for client in range(3)]
        expected = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
        assert row["train_loss"] == pytest.approx(expected, rel=1e-12)
        assert len(set(losses)) == 3


def test_losses_are_measured_as_often_as_asked(tmp_path: Path):
    rows = train(tmp_path, {"evaluation": {"every": 2}}).metrics
    assert [row["eval_loss"] is not None for row in rows] == [False, True, False, True, True]


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"rounds": 4}},
        {"fields": {"seed": 1}},
        {"fields": {"compute": {"seconds": 11}}},
        {"train": {"weight_decay": 0.1}},
        {"on": replace(bench(), data_digest="other data")},
        {"on": bench(seed=1)},
    ],
)
def test_another_runs_checkpoint_is_refused_and_left_alone(change, tmp_path: Path):
    with pytest.raises(Interrupted):
        train(tmp_path, on_row=stop_after(2))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError):
        train(tmp_path, change.get("train"), on=change.get("on"), **change.get("fields", {}))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_how_often_checkpoints_are_taken_may_change(tmp_path: Path):
    with pytest.raises(Interrupted):
        train(tmp_path, on_row=stop_after(2))
    assert len(train(tmp_path, {"checkpoint_every": 3}).metrics) == 5


def test_a_diverging_loss_leaves_the_last_checkpoint(tmp_path: Path):
    # A rate of 1e30 makes the weights so large that the next loss is not finite.
    with pytest.raises(DivergedError, match=r"^parablock: client 0, round 0: .*diverged.*lower the learning rate"):
        train(tmp_path, {"learning_rate": 1e30})
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("method", "rate", "why"),
    [
        # The largest float32 is 3.4e38, deltas are about 1e-2: weights of 1e18 are finite, their products are not.
        ("fedbcd", 1e20, "diverged in round 0: its held-out loss is nan"),
        ("fedit", 1e30, "diverged in round 0: its held-out loss is nan"),
        ("fedbcd", 1e42, "diverged: it is not finite after round 0"),
        ("flora", 1e42, "diverged: it is not finite after round 0"),
    ],
)
def test_a_diverged_global_model_is_an_error_and_kept_nowhere(method: str, rate: float, why: str, tmp_path: Path):
    rows: list[object] = []
    with pytest.raises(DivergedError, match=rf"^{method}: the global model {why}; lower train.global_learning_rate"):
        train(tmp_path, {"global_learning_rate": rate}, method=method, on_row=rows.append)
    assert not rows
    assert not list(tmp_path.iterdir())


def test_a_diverged_evaluation_leaves_the_last_good_checkpoint(tmp_path: Path):
    class Diverging(RandomTokens):
        measured = 0

        def evaluate(self, model, *, accuracy=True, progress=None):
            self.measured += 1
            return Evaluation(1.0 if self.measured < 3 else math.inf, None, 2)

    with pytest.raises(DivergedError, match=r"round 2: .* inf"):
        train(tmp_path, on=replace(bench(), task=Diverging(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["round-000001"]


def test_weights_that_diverged_unseen_are_not_blamed_on_the_local_rate(tmp_path: Path):
    with pytest.raises(DivergedError, match=r"round 1: .*nan in step 1 of 2; nothing was trained yet.*global_learning"):
        train(tmp_path, {"global_learning_rate": 1e20, "evaluation": {"every": 5}}, method="fedbcd")


def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room(tmp_path: Path, monkeypatch):
    save_file, calls = safetensors.torch.save_file, []

    def third_fails(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(*arguments, **options)

    monkeypatch.setattr(safetensors.torch, "save_file", third_fails)
    with pytest.raises(CheckpointError, match="round 2"):
        train(tmp_path / "run")
    # Beside it there may be the best one.
    assert max(path.name for path in (tmp_path / "run").iterdir()) == "round-000001"
    assert train(tmp_path / "run").metrics == train(tmp_path / "whole").metrics


@pytest.mark.parametrize("method", ["parablock", "fedit", "ffa-lora", "flora"])
def test_the_final_model_is_an_ordinary_one_with_the_same_logits(method: str, tmp_path: Path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    trained = train(tmp_path / "checkpoints", method=method, rounds=2)
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        # FLoRA's last adapters are merged already; what is left in the model is some client's fresh start.
        context = trained.learner.trained.adapter._tuner.disable_adapter_layers if method == "flora" else lambda: None
        context()
        expected = trained.learner.model(tokens).logits
        trained.save_model(tmp_path / "model", None, base="results/base")
        saved = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
        torch.testing.assert_close(saved(tokens).logits, expected, rtol=1e-4, atol=1e-5)
        if method in ("fedit", "ffa-lora"):
            base = PeftModel.from_pretrained(bench().model, tmp_path / "adapter").eval()
            torch.testing.assert_close(base(tokens).logits, expected, rtol=1e-4, atol=1e-5)
            adapter = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
            assert adapter["base_model_name_or_path"] == "results/base"


def test_a_model_that_cannot_be_written(tmp_path: Path):
    trained = train(tmp_path / "checkpoints", rounds=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="final model"):
        trained.save_model(tmp_path / "file" / "model", None)


def test_a_finished_methods_model_is_gone_before_the_next_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Models end in reference cycles; Python looks for those in its own time, which may come after the memory is full.
    gc.disable()
    try:
        finished = weakref.ref(train(tmp_path / "first", method="fedit", rounds=1).learner.model)
        alive: list[bool] = []

        def copied(model: nn.Module) -> nn.Module:
            alive.append(finished() is not None)
            return copy.deepcopy(model)

        monkeypatch.setattr(run, "copy", SimpleNamespace(deepcopy=copied))
        train(tmp_path / "second", method="parablock", rounds=1)
    finally:
        gc.enable()
    assert alive == [False]


@pytest.mark.parametrize(("kind", "named"), [("cpu", "cpu"), ("cuda", "NVIDIA Pretended")])
def test_the_device_that_trained_is_named(kind: str, named: str, monkeypatch: pytest.MonkeyPatch):
    # There is a GPU in either case.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "NVIDIA Pretended")
    scenario = Scenario.parse({"compute": {"seconds": [1]}, "payload": {"upload": "1MB"}, "fleet": [{"count": 1}]})
    assert run.MeasuredCosts(scenario, torch.device(kind)).provenance()["device"] == named
