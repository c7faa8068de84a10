"""Clients on worker processes of this machine: to the bit what they learn in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from parasim_core.sim.errors import EngineError, ScenarioError
from parasim_core.train.remote.device_trainer import DeviceWorkers, check_devices, device_workers
from parasim_core.train.update.local import TrainingError
from tests.train.remote.test_ray_trainer import CPU, VARIANTS, here_and_there, result
from tests.train.small_runs import Interrupted, assert_same, stop_after, train


@pytest.fixture(scope="module")
def workers() -> Iterator[DeviceWorkers]:
    """Two workers for all tests."""
    with device_workers(("cpu", "cpu"), CPU) as both:
        assert both is not None
        yield both


@pytest.mark.parametrize(
    "variant", ["parablock", "staleness 2", "fedit", "flora", "flora, with all that fails", "activation checkpointing",
                "fedcybgd that skips downloads", "full-ft, compressed, late updates a round later"],
)  # fmt: skip
def test_results_are_the_same_to_the_bit(variant: str, tmp_path: Path, workers: DeviceWorkers):
    here, there = here_and_there(tmp_path, workers, **VARIANTS[variant])
    assert_same(there, here)


def test_an_interrupted_run_goes_on_with_the_same_workers(tmp_path: Path, workers: DeviceWorkers):
    (tmp_path / "whole").mkdir()
    expected = result(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "checkpoints", workers=workers, on_update=stop_after(7))
    assert_same(result(tmp_path, workers=workers), expected)


def test_what_goes_wrong_in_a_worker_is_raised_here(tmp_path: Path, workers: DeviceWorkers):
    with pytest.raises(TrainingError, match=r"^parablock: client 0, round 0: .*diverged.*lower the learning rate"):
        train(tmp_path, {"learning_rate": 1e30}, workers=workers)


def test_a_worker_that_dies_is_said(tmp_path: Path):
    with device_workers(("cpu",), CPU) as only:
        assert only is not None
        (worker,) = only.workers

        def kill(*arguments: Any) -> None:
            worker.process.kill()
            worker.process.join()

        with pytest.raises(EngineError, match=r"the worker process of cpu ended \(status -9\)"):
            train(tmp_path, workers=only, on_update=kill)
    # Nothing is left over of workers when their block ends.
    with device_workers(("cpu",), CPU) as only:
        assert only is not None
    assert not only.workers[0].process.is_alive()


@pytest.mark.parametrize(
    ("device", "home", "message"),
    [
        ("gpu", "cpu", "--devices gpu: there is no such device here; allowed are cpu"),
        ("cuda:99", "cuda", "--devices cuda:99: there is no such device here"),
        ("cpu", "cuda", "--devices cpu: the server's model is on cuda; set train.device=cpu"),
    ],
)
def test_devices_that_are_not_there(device: str, home: str, message: str):
    with pytest.raises(ScenarioError, match=f"^{message}"):
        check_devices([device], torch.device(home))
