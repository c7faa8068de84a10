"""What is read as time."""

from __future__ import annotations

import time

import pytest
import torch

from parasim_core.train.update.timing import clock_for, now

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_one_thread_is_timed_by_its_processor_time():
    assert clock_for(CPU, 1) == "cpu-time"
    assert clock_for(CPU, 2) == "wall-clock"
    assert clock_for(CUDA, 1) == "gpu-events"


@pytest.mark.parametrize(("threads", "expected"), [(1, 3.0), (2, 7.0)])
def test_now_reads_that_clock(threads: int, expected: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(time, "process_time", lambda: 3.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 7.0)
    assert now(CPU) == expected


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch):
    happened: list[str] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: happened.append("waited"))
    monkeypatch.setattr(time, "perf_counter", lambda: happened.append("read") or 7.0)
    assert now(CUDA) == 7.0
    assert happened == ["waited", "read"]
