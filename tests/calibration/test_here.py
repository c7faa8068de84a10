"""What computes here: the driver's version, from the kernel or from its own tool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from calibration import here
from calibration.here import device_here


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretended GPU; returns where the kernel would name its driver."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name="NVIDIA Pretended", total_memory=1)
    )
    monkeypatch.setattr(here, "_DRIVER", tmp_path / "version")
    return tmp_path / "version"


def answer(monkeypatch: pytest.MonkeyPatch, given: str | Exception) -> list[list[str]]:
    """Let nvidia-smi answer; returns what it is asked."""
    asked: list[list[str]] = []

    def run(question: list[str], **options: Any) -> Any:
        asked.append(question)
        assert options["timeout"] > 0
        if isinstance(given, Exception):
            raise given
        return SimpleNamespace(stdout=given)

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_the_kernel_names_the_driver(gpu: Path, monkeypatch: pytest.MonkeyPatch):
    asked = answer(monkeypatch, "1.2.3")
    gpu.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n")
    assert device_here("cuda", 1).driver == "535.104.05"
    assert not asked


def test_in_a_container_its_tool_does(gpu: Path, monkeypatch: pytest.MonkeyPatch):
    asked = answer(monkeypatch, "550.54.15\n550.54.15\n")
    assert device_here("cuda", 1).driver == "550.54.15"
    assert asked == [["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]]


@pytest.mark.parametrize(
    "failure",
    [
        FileNotFoundError("nvidia-smi"),
        subprocess.TimeoutExpired("nvidia-smi", 10),
        subprocess.CalledProcessError(9, "nvidia-smi"),
    ],
    ids=repr,
)
def test_nobody_may_know_it(gpu: Path, failure: Exception, monkeypatch: pytest.MonkeyPatch):
    answer(monkeypatch, failure)
    assert device_here("cuda", 1).driver == ""
