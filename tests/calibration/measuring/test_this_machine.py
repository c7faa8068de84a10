"""This machine: the version of its driver, and the memory that is free on it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from parasim_core.calibration.measuring import this_machine
from parasim_core.calibration.measuring.this_machine import available_bytes, this_device


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pretended GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name="NVIDIA Pretended", total_memory=1)
    )


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


def test_its_tool_names_the_driver(gpu: None, monkeypatch: pytest.MonkeyPatch):
    asked = answer(monkeypatch, "550.54.15\n550.54.15\n")
    assert this_device("cuda", 1).driver == "550.54.15"
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
def test_nobody_may_know_it(gpu: None, failure: Exception, monkeypatch: pytest.MonkeyPatch):
    answer(monkeypatch, failure)
    assert this_device("cuda", 1).driver == ""


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        # Of what is used, 50 are files that give way.
        ("600", "200", 450),
        ("600", "700", 0),
        # The group may have more than the machine, or no limit at all, or say nothing that is understood.
        ("9000", "200", 1000),
        ("max", "200", 1000),
        ("", "200", 1000),
    ],
)
def test_a_control_group_may_leave_less(
    limit: str, used: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 50\nactive_file 7\n")
    monkeypatch.setattr(this_machine, "_GROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert available_bytes() == free


def test_without_control_groups_it_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(this_machine, "_GROUP", tmp_path / "absent")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    assert available_bytes() == 1000
