"""The base: trained once, kept as an ordinary model, and read again to the bit."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.models.pretraining import pretrain
from parasim_core.train.runs.checkpoint import CheckpointError
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import Workbench, build
from parasim_core.train.update.local import DivergedError
from tests.train.tiny import assert_equal, weights


def base(
    folder: Path, *, progress: Any = lambda what, done, total: None, precision: Any = None, **pretraining: Any
) -> tuple[Workbench, bool]:
    """Pretrain the demonstration's model for two steps, or read it."""
    scenario = Scenario.parse({"model": "demo", "fleet": [{"count": 2}]})
    section = {
        "data": {"examples": 40, "held_out_examples": 5},
        "pretraining": {"steps": 2, "batch_size": 2} | pretraining,
    }
    settings = TrainSettings.parse(section)
    bench = build(scenario, settings)
    bench.model.to(precision)
    return bench, pretrain(bench, scenario, settings, folder, progress)


def test_it_is_read_as_it_was_trained_by_paraSim_and_by_transformers(tmp_path: Path):  # noqa: N802
    bench, there = base(tmp_path / "base")
    assert there
    trained = weights(bench.model)
    written = (tmp_path / "base" / "model.safetensors").stat().st_mtime_ns
    again, there = base(tmp_path / "base")
    assert there
    assert_equal(weights(again.model), trained, exactly=True)
    assert (tmp_path / "base" / "model.safetensors").stat().st_mtime_ns == written
    assert_equal(weights(AutoModelForCausalLM.from_pretrained(tmp_path / "base")), trained, exactly=True)
    question = [{"role": "user", "content": "How many apples?"}]
    asked = AutoTokenizer.from_pretrained(tmp_path / "base").apply_chat_template(question, tokenize=False)
    assert asked == "Question: How many apples?\nAnswer:"
    assert len({path.stat().st_mode for path in (tmp_path / "base").iterdir()}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_no_steps_no_base(tmp_path: Path):
    assert not base(tmp_path / "base", steps=0)[1]
    assert not list(tmp_path.iterdir())


def test_another_base_is_refused_and_left_alone(tmp_path: Path):
    base(tmp_path / "base")
    before = {path: path.read_bytes() for path in (tmp_path / "base").iterdir()}
    with pytest.raises(CheckpointError, match="is a base of another run"):
        base(tmp_path / "base", steps=3)
    assert {path: path.read_bytes() for path in (tmp_path / "base").iterdir()} == before


@pytest.mark.parametrize("file", ["model.safetensors", "pretraining.json"])
def test_a_damaged_one_is_named(file: str, tmp_path: Path):
    base(tmp_path / "base")
    path = tmp_path / "base" / file
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(CheckpointError, match="base: "):
        base(tmp_path / "base")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch):
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(CheckpointError, match="base cannot be written: No space left"):
        base(tmp_path / "base")
    assert not list(tmp_path.iterdir())


def test_a_diverging_one_is_named(tmp_path: Path):
    with pytest.raises(DivergedError, match=r"^pretraining the base: "):
        base(tmp_path / "base", learning_rate=1e30)


class Stopped(Exception):  # noqa: N818 - an interruption is no error
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_an_interrupted_one_goes_on_to_the_same_bits(precision: torch.dtype, tmp_path: Path):
    whole, _ = base(tmp_path / "whole", steps=12, precision=precision)
    steps: list[int] = []

    def stop(what: str, done: int, total: int) -> None:
        steps.append(done)
        if len(steps) in (5, 10):
            raise Stopped

    for life in range(3):
        if life < 2:
            with pytest.raises(Stopped):
                base(tmp_path / "base", steps=12, precision=precision, progress=stop)
            assert not (tmp_path / "base").exists()
        else:
            resumed, there = base(tmp_path / "base", steps=12, precision=precision, progress=stop)
    # Of 12 steps every second one is kept. The 5th and the 9th, which are interrupted, go on after the 4th and the 8th.
    assert steps == [1, 2, 3, 4, 5, *range(5, 10), *range(9, 13)]
    assert there
    assert_equal(weights(resumed.model), weights(whole.model), exactly=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["base", "whole"]


def test_what_is_unfinished_belongs_to_one_run(tmp_path: Path):
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        base(tmp_path / "base", steps=4, progress=stop)
    with pytest.raises(CheckpointError, match="base-unfinished: is an unfinished base of another run"):
        base(tmp_path / "base", steps=5)
    state = tmp_path / "base-unfinished" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match="base-unfinished: is damaged"):
        base(tmp_path / "base", steps=4)
