"""Benchmarks that are asked for what there is not: one line, and nothing measured."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


def refused(script: str, *arguments: str) -> str:
    """Run a benchmark that must refuse its arguments, and return its last line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *arguments])
        patch.setattr(sys, "path", list(sys.path))
        patch.setattr(torch, "set_num_threads", lambda count: None)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(FOLDER / script), run_name="__main__")
    assert end.value.code != 0
    return str(end.value.code)


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("local_training.py", "--parts floor --layers 2 --blocks 7", "--blocks 7: there are blocks 0 to 1"),
        ("local_training.py", "--block-layers 9", "has only 8 layers"),
        ("memory.py", "--case smollm2-135m block:2:99 4 16", "smollm2-135m has blocks 0 to 14 of that width"),
        ("memory.py", "--case smollm2-135m block:2 4 16", "write it like block:LAYERS:INDEX"),
        ("memory.py", "--case smollm2-135m blocks:2:0 4 16", "write it like block:2:0, lora"),
        ("memory.py", "--case smolm2-135m lora 4 16", "did you mean 'smollm2-135m'?"),
        ("memory.py", "--case smollm2-135m lora 0 16", "batch_size is 0"),
    ],
)
def test_one_line_says_what_there_is(script: str, arguments: str, message: str):
    line = refused(script, *arguments.split())
    assert line.startswith(f"{script}: error: ")
    assert message in line


@pytest.mark.parametrize("script", ["local_training.py", "memory.py"])
def test_a_gpu_that_is_not_there(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused(script, "--device", "cuda") == "2"
    assert "PyTorch finds no CUDA device here" in capsys.readouterr().err
