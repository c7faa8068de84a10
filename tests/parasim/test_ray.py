"""Sweeps, plans and training on a Ray cluster: byte for byte what they are on this machine."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim_core.sim.support.ray_pool import RayPool
from tests.parasim.command_line import refused, run
from tests.parasim.test_failing_jobs import FAILING, VARIED

WITH_RAY = pytest.mark.usefixtures("cluster")

# Two unlike groups on a shared server link, so that what-ifs cannot be replayed and are simulated in workers.
SMALL = """\
model: gpt2
method: parablock
rounds: 4
compute: {seconds: 3}
lora: {targets: [c_attn]}
server: {egress: 30MB/s}
fleet:
  - {name: near, count: 2, uplink: 40MB/s, speed_jitter: {sigma: 0.1}}
  - {name: far, count: 2, uplink: 10MB/s, latency: 20ms, uplink_jitter: {sigma: 0.2}}
"""
SWEEP = ("--method", "parablock,fedbcd", "--bandwidth", ",".join(f"{n}MB/s" for n in range(1, 21)), "--format", "csv")
QUESTIONS = {
    "deadline": ("--within", "30s", "--solve-for", "clients"),
    "hiding": ("--hide-communication",),
    "break-even": ("--break-even", "parablock,fedit"),
    "budget": ("--budget", "5USD"),
    "confidence": ("--confidence", "0.9"),
    "sensitivity": ("--sensitivity",),
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def files_of(directory: Path) -> dict[str, bytes]:
    # reproduce.json holds the command, which differs.
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "reproduce.json"}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many workers every stream of runs was sent to: what stays in this process is no test of Ray."""
    streams: list[int] = []
    started = RayPool.started

    def noted(self: RayPool, run: Any, workers: int) -> Any:
        streams.append(workers)
        return started(self, run, workers)

    monkeypatch.setattr(RayPool, "started", noted)
    return streams


@WITH_RAY
def test_a_sweep_is_the_same_to_the_last_byte(small: Path, tmp_path: Path, sent: list[int]):
    here = run("sweep", small, *SWEEP, "--out", tmp_path / "here")
    there = run("sweep", small, *SWEEP, "--out", tmp_path / "there", "--engine", "ray")
    assert here.status == there.status == 0
    assert here.out == there.out
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")
    assert {"results.csv", "sweep.json", "runtime.png"} <= set(files_of(tmp_path / "there"))
    assert sent == [2]


@WITH_RAY
def test_a_sweep_over_clients_that_fail_is_the_same_to_the_last_byte(tmp_path: Path, sent: list[int]):
    path = tmp_path / "failing.yaml"
    path.write_text(FAILING)
    here = run("sweep", path, *VARIED, "--out", tmp_path / "here", "--format", "csv")
    there = run("sweep", path, *VARIED, "--out", tmp_path / "there", "--format", "csv", "--engine", "ray")
    assert here.status == there.status == 0, (here, there)
    assert here.out == there.out
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")
    assert sent == [2]


@WITH_RAY
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_plan_is_the_same_to_the_last_byte(
    small: Path, question: str, sent: list[int], monkeypatch: pytest.MonkeyPatch
):
    if question == "sensitivity":
        pytest.importorskip("SALib")
    # As if so few runs were worth sending to workers.
    monkeypatch.setattr("parasim.planning.search.runtimes._WORTH_WORKERS", 1)
    monkeypatch.setattr("parasim.planning.questions.budget._SERIAL_BELOW", 1)
    arguments = ("plan", small, *QUESTIONS[question], "--format", "json")
    here, there = run(*arguments), run(*arguments, "--engine", "ray")
    assert here.status == there.status == 0, (here, there)
    assert here.out == there.out
    assert json.loads(there.out)["answers"]
    assert sent


@WITH_RAY
def test_a_worker_killed_in_the_middle_of_a_sweep_changes_nothing(small: Path, tmp_path: Path):
    done: list[int] = []

    def kill_one(count: int, total: int) -> None:
        done.append(count)
        if count == 4:
            os.kill(_a_worker(), signal.SIGKILL)

    methods, bandwidths = ["parablock", "fedbcd"], [f"{n}MB/s" for n in range(1, 41)]
    here = parasim.sweep(small, method=methods, bandwidth=bandwidths)
    with parasim.on_ray():
        there = parasim.sweep(small, method=methods, bandwidth=bandwidths, progress=kill_one)
    assert there.rows == here.rows
    assert done == list(range(81))


def _a_worker() -> int:
    """Process of some worker of the cluster."""
    import ray

    @ray.remote
    def process() -> int:
        return os.getpid()

    return int(ray.get(process.remote()))


TRAINED = """\
rounds: 2
compute: {seconds: [2, 3, 2]}
fleet: [{count: 3, uplink: 1MB/s}]
blocks: {layers: 1}
local: {steps: 1, batch_size: 4}
wire: {bytes_per_parameter: 4}
train: {data: {source: digits}, partition: {kind: iid}}
"""


@WITH_RAY
def test_a_training_is_the_same_to_the_last_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from parasim_core.train.remote.ray_trainer import RayTrainer

    busy: list[int] = []
    submit = RayTrainer.submit

    def noted(self: RayTrainer, job: Any) -> Any:
        busy.append(self.workers.count)
        return submit(self, job)

    monkeypatch.setattr(RayTrainer, "submit", noted)
    path = tmp_path / "trained.yaml"
    path.write_text(TRAINED)
    arguments = ("train", path, "--method", "parablock,fedbcd", "--clock", "profile", "--out")
    here = run(*arguments, tmp_path / "here")
    assert not busy
    there = run(*arguments, tmp_path / "there", "--engine", "ray")
    assert here.status == there.status == 0, (here, there)
    assert here.out == there.out.replace(str(tmp_path / "there"), str(tmp_path / "here"))
    # Two workers, for 2 methods x 2 rounds x 3 clients.
    assert busy == [2] * 12
    left, expected = trained_files(tmp_path / "there"), trained_files(tmp_path / "here")
    assert left == expected
    assert {"metrics.csv", "parablock/timeline.csv", "fedbcd/model/model.safetensors", "training.png"} <= set(left)


def trained_files(directory: Path) -> dict[str, bytes]:
    # A checkpoint holds the seconds that every update really took, and reproduce.json the command.
    found = (path for path in directory.rglob("*") if path.is_file())
    names = {path: path.relative_to(directory) for path in found}
    return {
        str(name): path.read_bytes()
        for path, name in names.items()
        if "checkpoints" not in name.parts and name.name != "reproduce.json"
    }


def test_an_address_goes_with_ray(small: Path):
    assert "--engine ray" in refused("plan", small, "--hide-communication", "--address", "auto")
    assert "--engine ray" in refused("train", small, "--address", "auto")
    assert "--address" in refused("sweep", small, "--engine", "ray", "--address", "")
