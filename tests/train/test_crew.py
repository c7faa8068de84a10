"""A pool of workers: everything is done once by whoever is free, and again where a worker died."""

from __future__ import annotations

import operator
import re
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from sim.errors import EngineError
from sim.studies.ray_engine import on_ray
from tests.train.hands import Hand, die_until, meet
from train.crew import WorkerPool, worker_pool
from train.worker import Worker

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def hands(cluster: None) -> Iterator[WorkerPool]:
    """Two workers that start fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.worker.Worker", Hand)
        pool = WorkerPool(2, processors=1)
        yield pool
        pool.shut_down()


def tell(hands: WorkerPool, run: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Have something done; the function that waits for it."""
    return partial(hands.result, hands.submit(lambda: partial(run, *arguments)))


def test_everyone_gets_his_own_answer(hands: WorkerPool):
    waiting = [tell(hands, operator.mul, n, n) for n in range(20)]
    # Whatever the order in which they are asked for.
    assert [wait() for wait in reversed(waiting)] == [n * n for n in reversed(range(20))]


def test_two_are_busy_at_a_time(tmp_path: Path, hands: WorkerPool):
    waiting = [tell(hands, meet, tmp_path, name) for name in ("one", "other")]
    assert len({wait() for wait in waiting}) == 2


def test_an_error_is_raised_where_it_is_waited_for(hands: WorkerPool):
    fine, broken, later = (tell(hands, operator.truediv, 6, n) for n in (2, 0, 3))
    assert (fine(), later()) == (3, 2)
    with pytest.raises(ZeroDivisionError):
        broken()


def test_what_a_worker_died_of_is_done_again_three_times(tmp_path: Path, hands: WorkerPool):
    assert tell(hands, die_until, tmp_path, 3)() == 4
    assert tell(hands, operator.add, 1, 1)() == 2


def test_what_kills_every_worker_is_given_up(tmp_path: Path, hands: WorkerPool):
    with pytest.raises(EngineError, match="killed 4 times over the same update, perhaps for want of memory"):
        tell(hands, die_until, tmp_path, 99)()
    assert len(list(tmp_path.iterdir())) == 4


def test_outside_a_cluster_nobody_is_started():
    with worker_pool(CPU, most=5) as pool:
        assert pool is None


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cpu", "no machine of the Ray cluster has 3 processors, .* set OMP_NUM_THREADS to fewer"),
        ("cuda", "no machine of the Ray cluster has a GPU, as this one has; train.device=cpu goes without"),
    ],
)
def test_a_cluster_without_room(device: str, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with on_ray(), pytest.raises(EngineError, match=message), worker_pool(torch.device(device), most=5):
        pass


@pytest.mark.usefixtures("cluster")
def test_inside_a_cluster_there_are_as_many_as_have_room_and_can_be_busy():
    for most, expected in ((1, 1), (2, 2), (5, 2)):
        with on_ray(), worker_pool(CPU, most=most) as pool:
            assert pool is not None
            assert pool.count == expected


def refusal() -> str:
    """What is said where workers cannot begin. They need no processor: others may have all."""
    pool = WorkerPool(1, processors=0)
    try:
        with pytest.raises(EngineError) as error:
            pool.result(pool.submit(lambda: None))
    finally:
        pool.shut_down()
    return str(error.value)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("name", "where", "other"),
    [("paraSim", "sim.studies.ray_engine._version", lambda: "0.0.7"), ("torch", "torch.__version__", "0.0.7")],
)
def test_other_versions_are_refused(name: str, where: str, other: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("train.worker.Worker", Worker)
    monkeypatch.setattr(where, other)
    message = rf"a worker of the Ray cluster has {name} [\w.+]+, this is 0\.0\.7; install the same on all machines"
    assert re.fullmatch(message, refusal())


@pytest.mark.usefixtures("cluster")
def test_workers_without_parasim_are_told_of(monkeypatch: pytest.MonkeyPatch):
    class Foreign(Hand):
        pass

    # By name, a class of a module that only this process has.
    Foreign.__module__, Foreign.__qualname__ = "nowhere", "Foreign"
    nowhere = types.ModuleType("nowhere")
    monkeypatch.setattr(nowhere, "Foreign", Foreign, raising=False)
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)
    monkeypatch.setattr("train.worker.Worker", Foreign)
    assert refusal().endswith("No module named 'nowhere'; install the same paraSim on all machines")
