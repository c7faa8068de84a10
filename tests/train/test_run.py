"""One method trained: its metrics, its checkpoints' owner, its errors and its final model."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from sim.errors import OutputError
from tests.train.runs import Interrupted, bench, stop_after, train
from train.checkpoint import CheckpointError
from train.local import TrainingError
from train.run import METRICS, metrics_text


def test_a_row_per_round(tmp_path: Path):
    # FedBCD, 100 MB at 20 MB/s = 5 s each way; the slowest client computes 17 s. A round ends with its uploads at
    # 17 + 5 = 22 s; every next one costs 5 + 17 + 5 = 27 s more.
    rows = train(tmp_path, method="fedbcd").metrics
    assert [tuple(row) for row in rows] == [METRICS] * 5
    assert [row["simulated_s"] for row in rows] == [22, 49, 76, 103, 130]
    assert [row["uploaded_bytes"] for row in rows] == [300e6 * (t + 1) for t in range(5)]
    assert [row["downloaded_bytes"] for row in rows] == [300e6 * t for t in range(5)]


def test_losses_are_measured_as_often_as_asked(tmp_path: Path):
    rows = train(tmp_path, {"evaluation": {"every": 2}}).metrics
    assert [row["eval_loss"] is not None for row in rows] == [False, True, False, True, True]


def test_metrics_as_text():
    row = dict.fromkeys(METRICS, 1) | {"method": "fedbcd", "simulated_s": 0.1, "accuracy": None}
    lines = metrics_text([row]).splitlines()
    assert lines[0] == "method,round,simulated_s,train_loss,eval_loss,accuracy,uploaded_bytes,downloaded_bytes"
    assert lines[1] == "fedbcd,1,0.1,1,1,,1,1"


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"rounds": 6}},
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
    with pytest.raises(CheckpointError, match="belongs to another run"):
        train(tmp_path, change.get("train"), on=change.get("on"), **change.get("fields", {}))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_how_often_checkpoints_are_taken_may_change(tmp_path: Path):
    with pytest.raises(Interrupted):
        train(tmp_path, on_row=stop_after(2))
    assert len(train(tmp_path, {"checkpoint_every": 3}).metrics) == 5


def test_a_diverging_loss_leaves_the_last_checkpoint(tmp_path: Path):
    # A rate of 1e30 makes the weights so large that the next loss is not finite.
    with pytest.raises(TrainingError, match=r"local training diverged.*lower the learning rate"):
        train(tmp_path, {"learning_rate": 1e30})
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room(tmp_path: Path, monkeypatch):
    save_file, calls = safetensors.torch.save_file, []

    def third_fails(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(*arguments, **options)

    monkeypatch.setattr(safetensors.torch, "save_file", third_fails)
    with pytest.raises(CheckpointError, match="round 2 cannot be written: No space left on device"):
        train(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["round-000001"]
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
        trained.save_model(tmp_path / "model", None)
        saved = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
        torch.testing.assert_close(saved(tokens).logits, expected, rtol=1e-4, atol=1e-5)
        if method in ("fedit", "ffa-lora"):
            base = PeftModel.from_pretrained(bench().model, tmp_path / "adapter").eval()
            torch.testing.assert_close(base(tokens).logits, expected, rtol=1e-4, atol=1e-5)


def test_a_model_that_cannot_be_written(tmp_path: Path):
    trained = train(tmp_path / "checkpoints", rounds=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the final model cannot be written"):
        trained.save_model(tmp_path / "file" / "model", None)
