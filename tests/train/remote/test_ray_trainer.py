"""Clients on workers of a Ray cluster: to the bit what they learn in this process, whatever happens to workers."""

from __future__ import annotations

import os
import signal
import sys
import types
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parasim_core.sim.errors import EngineError
from parasim_core.sim.support.ray_pool import on_ray
from parasim_core.train.data.task import Batch
from parasim_core.train.remote.ray_trainer import ClusterWorkers, cluster_workers
from parasim_core.train.update.local import DivergedError
from tests.train.small_runs import Ended, Interrupted, assert_same, bench, ended, stop_after, train
from tests.train.tiny import RandomTokens

CPU = torch.device("cpu")
FAILING: dict[str, Any] = {
    "fleet": [
        {
            "count": 3,
            "uplink": "20MB/s",
            "available": {"share": 0.8, "session": "100s"},
            "dropout": {"rate": 0.3},
            "failures": {"every": "60s", "repair": "5s"},
            "outages": {"every": "30s", "last": "2s", "transfers": "restart"},
        }
    ],
    "participation": {"short": "wait"},
    "rounds": 7,
    "seed": 4,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "parablock": {},
    "staleness 2": {"method": {"name": "parablock", "staleness": 2}},
    "fedbcd, weighted, half the rate": {
        "method": "fedbcd",
        "train": {"mean": "weighted", "global_learning_rate": 0.5},
    },
    "fedit": {"method": "fedit"},
    "ffa-lora": {"method": "ffa-lora"},
    "flora": {"method": "flora"},
    "fedcybgd that skips downloads": {"method": "fedcybgd", "cyclic": {"download_fraction": 0.5}, "rounds": 7},
    "fedcybgd, whose clients keep no optimizer": {
        "method": "fedcybgd",
        "train": {"cyclic": {"optimizer": "fresh", "unfetched": "last"}},
        "rounds": 4,
    },
    "full-ft, compressed, with error feedback": {
        "method": "full-ft",
        "wire": {"upload": {"top_k": 0.2, "bits": 4}, "download": {"bits": 8}},
        "train": {"error_feedback": True, "stochastic_rounding": True},
        "rounds": 3,
    },
    "gradient schedule": {"blocks": {"layers": 1, "schedule": "gradient", "gradient_pass": 3}},
    "cohorts": {"participation": {"rounds": [[0, 1], [2], [0, 2], [1], [0, 1, 2]]}},
    "activation checkpointing": {"train": {"activation_checkpointing": True}, "rounds": 2},
    "without the correction": {"train": {"correction": False}},
    "parablock, with all that fails": FAILING,
    "flora, with all that fails": {"method": "flora", **FAILING},
    "full-ft, compressed, late updates a round later": {
        "method": "full-ft",
        "wire": {"upload": {"top_k": 0.2}},
        "train": {"error_feedback": True},
        **FAILING,
        "participation": {"quorum": 0.6, "late": "next-round", "short": "wait"},
    },
}


@pytest.fixture(scope="module")
def workers(cluster: None) -> ClusterWorkers:
    """Two workers for all tests."""
    return ClusterWorkers(2, processors=1)


def result(folder: Path, **fields: Any) -> Ended:
    """Train; FLoRA's adapters are merged at the end of a round, and what is left in the model is nobody's."""
    left = ended(train(folder / "checkpoints", **fields), folder)
    if fields.get("method") == "flora":
        left.weights.update({name: torch.zeros(()) for name in left.weights if "lora_" in name})
    return left


def here_and_there(tmp_path: Path, workers: ClusterWorkers, **fields: Any) -> tuple[Ended, Ended]:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    return result(tmp_path / "here", **fields), result(tmp_path / "there", workers=workers, **fields)


@pytest.mark.parametrize("variant", VARIANTS)
def test_results_are_the_same_to_the_bit(variant: str, tmp_path: Path, workers: ClusterWorkers):
    here, there = here_and_there(tmp_path, workers, **VARIANTS[variant])
    assert_same(there, here)


@pytest.mark.parametrize("method", ["parablock", "fedit"])
def test_what_is_learned_is_the_same_where_time_is_measured(method: str, tmp_path: Path, workers: ClusterWorkers):
    here, there = here_and_there(tmp_path, workers, method=method, costs=None)
    # Bytes too, but for those that other clients have moved by the time a round is done.
    timed = ("simulated_s", "uploaded_bytes", "downloaded_bytes")
    learned = [
        [{name: value for name, value in row.items() if name not in timed} for row in left.metrics]
        for left in (here, there)
    ]
    assert learned[0] == learned[1]
    assert_same(replace(there, metrics=[], timeline=""), replace(here, metrics=[], timeline=""))


@pytest.mark.parametrize(
    "variant",
    [
        *("parablock", "flora", "full-ft, compressed, with error feedback", "parablock, with all that fails"),
        "full-ft, compressed, late updates a round later",
    ],
)
@pytest.mark.parametrize("first", ["here", "there"])
def test_a_run_goes_on_elsewhere(first: str, variant: str, tmp_path: Path, workers: ClusterWorkers):
    fields = VARIANTS[variant]
    (tmp_path / "whole").mkdir()
    whole = result(tmp_path / "whole", **fields)
    others = {"here": None, "there": workers}
    # In the middle of the second round, so that something is open.
    with pytest.raises(Interrupted):
        train(tmp_path / "checkpoints", workers=others.pop(first), on_update=stop_after(5), **fields)
    (other,) = others.values()
    assert_same(result(tmp_path, workers=other, **fields), whole)


def loss_noting_process(folder: Path, model: nn.Module, batch: Batch) -> Tensor:
    """The model's loss; leave a trace of who computes it."""
    (folder / f"{os.getpid()}").touch()
    loss: Tensor = model(**batch).loss
    return loss


def deadly_loss(folder: Path, mine: int, batches: tuple[int, ...], model: nn.Module, batch: Batch) -> Tensor:
    """The model's loss; but of all processes other than `mine`, those that have these batches are killed over them."""
    if os.getpid() != mine:
        with (folder / "batches").open("a+") as file:
            file.write(".")
            file.flush()
            file.seek(0)
            count = len(file.read())
        if count in batches or not batches:
            os.kill(os.getpid(), signal.SIGKILL)
    loss: Tensor = model(**batch).loss
    return loss


class Tokens(RandomTokens):
    """Random tokens with another loss."""

    def __init__(self, loss: Any):
        super().__init__(3)
        self.loss = loss  # type: ignore[method-assign]


def test_workers_share_the_work_and_this_process_does_none(tmp_path: Path, workers: ClusterWorkers):
    noted = tmp_path / "processes"
    noted.mkdir()
    on = replace(bench(), task=Tokens(partial(loss_noting_process, noted)))
    train(
        tmp_path / "checkpoints", workers=workers, on=on, method="fedbcd", train={"evaluation": {"every": 9}}, rounds=4
    )
    processes = {int(path.name) for path in noted.iterdir()}
    # The held-out loss is this process's affair, and another function's. How many processes take turns, Ray decides.
    assert len(processes - {os.getpid()}) >= 2


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(tmp_path: Path, workers: ClusterWorkers):
    (tmp_path / "whole").mkdir()
    whole = result(tmp_path / "whole")
    on = replace(bench(), task=Tokens(partial(deadly_loss, tmp_path, os.getpid(), (10,))))
    assert_same(result(tmp_path, workers=workers, on=on), whole)
    # 15 updates of two batches, an untimed one before the first of each of two workers, and what was done again.
    assert len((tmp_path / "batches").read_text()) > 15 * 2 + 2


def test_a_diverging_loss_says_the_same(tmp_path: Path, workers: ClusterWorkers):
    said = []
    for asked in (None, workers):
        with pytest.raises(DivergedError, match="local training diverged") as error:
            train(tmp_path / str(asked is None), {"learning_rate": 1e30}, workers=asked)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_what_kills_every_worker_is_given_up(tmp_path: Path, workers: ClusterWorkers):
    on = replace(bench(), task=Tokens(partial(deadly_loss, tmp_path, os.getpid(), ())))
    alone = replace(workers, count=1)
    with pytest.raises(EngineError, match="killed 4 times over the same update, perhaps for want of memory"):
        train(tmp_path / "checkpoints", workers=alone, on=on)


def test_outside_a_cluster_there_are_none():
    assert cluster_workers(CPU, most=5) is None


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cpu", "no machine of the Ray cluster has 3 processors, .* set OMP_NUM_THREADS to fewer"),
        ("cuda", "no machine of the Ray cluster has a GPU, as this one has; train.device=cpu goes without"),
    ],
)
def test_a_cluster_that_is_too_small(device: str, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with on_ray(), pytest.raises(EngineError, match=message):
        cluster_workers(torch.device(device), most=5)


@pytest.mark.usefixtures("cluster")
def test_inside_a_cluster_there_are_as_many_as_fit_and_can_be_busy():
    with on_ray():
        assert [cluster_workers(CPU, most=most) for most in (1, 2, 5)] == [
            ClusterWorkers(count, processors=1) for count in (1, 2, 2)
        ]


@pytest.mark.parametrize(
    ("name", "where", "other"),
    [
        ("paraSim", "parasim_core.sim.support.ray_pool._version", lambda: "0.0.7"),
        ("torch", "torch.__version__", "0.0.7"),
    ],
)
def test_other_versions_are_refused(
    name: str, where: str, other: Any, tmp_path: Path, workers: ClusterWorkers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(where, other)
    message = rf"a worker of the Ray cluster has {name} [\w.+]+, this is 0\.0\.7; install the same on all machines"
    with pytest.raises(EngineError, match=message):
        train(tmp_path, workers=workers)


def test_workers_without_parasim_are_told_of(tmp_path: Path, workers: ClusterWorkers, monkeypatch: pytest.MonkeyPatch):
    def foreign(*arguments: Any) -> None:
        pass

    # By name, a function of a module that only this process has.
    foreign.__module__, foreign.__qualname__ = "nowhere", "foreign"
    nowhere = types.ModuleType("nowhere")
    monkeypatch.setattr(nowhere, "foreign", foreign, raising=False)
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)
    monkeypatch.setattr("parasim_core.train.remote.ray_trainer.do_job", foreign)
    with pytest.raises(EngineError, match="No module named 'nowhere'; install the same paraSim on all machines"):
        train(tmp_path, workers=workers)
