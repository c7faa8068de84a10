"""Runs on a Ray cluster: order, streaming, errors, and workers that die. The engine of one machine: test_pool.py."""

from __future__ import annotations

import os
import signal
import socket
import sys
import types
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from parasim_core.sim.errors import EngineError, ScenarioError
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.support.ray_pool import on_ray
from parasim_core.sim.support.worker_pool import cores, in_order
from parasim_core.sim.workload.methods import METHODS, Method, Trains
from tests.sim.support.test_worker_pool import square

WITH_RAY = pytest.mark.usefixtures("cluster")


def refuse(number: int) -> int:
    raise ScenarioError(f"no {number}")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def note(directory: Path, number: int) -> int:
    """Note down every run; number 13 kills its worker the first time."""
    first = not any(directory.glob(f"{number}.*"))
    (directory / f"{number}.{os.getpid()}").touch()
    if number == 13 and first:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def has_method(name: str) -> bool:
    return name in METHODS


def where(_: int) -> tuple[int, str]:
    return os.getpid(), str(Path.cwd())


@WITH_RAY
@pytest.mark.parametrize("batch", [1, 7])
def test_answers_come_in_the_order_of_the_items(batch: int):
    with on_ray():
        assert cores() == 2
        assert list(in_order(square, range(40), workers=2, batch=batch)) == [n * n for n in range(40)]


@WITH_RAY
def test_nothing_to_do():
    with on_ray():
        assert list(in_order(square, [], workers=2)) == []


@WITH_RAY
def test_runs_are_somewhere_else_and_relative_paths_mean_the_same_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with on_ray():
        places = list(in_order(where, range(4), workers=2))
    assert os.getpid() not in {process for process, _ in places}
    assert {directory for _, directory in places} == {str(tmp_path)}
    # Outside the block everything is computed on this machine again, and with one worker, in this process.
    assert next(in_order(where, [0], workers=1))[0] == os.getpid()


@WITH_RAY
def test_items_are_read_as_they_are_needed():
    read = 0

    def endless() -> Iterator[int]:
        nonlocal read
        while True:
            yield read
            read += 1

    with on_ray():
        answers = in_order(square, endless(), workers=2, batch=2)
        assert [next(answers) for _ in range(5)] == [0, 1, 4, 9, 16]
        answers.close()
    # 4 batches of 2 ahead for each of 2 workers, and those that were answered.
    assert read <= 5 + 4 * 2 * 2


@WITH_RAY
def test_errors_are_raised_here():
    with on_ray(), pytest.raises(ScenarioError, match=r"^no 3$"):
        list(in_order(refuse, [3, 4], workers=2))


@WITH_RAY
def test_what_nobody_reads_any_more_is_given_up_without_harm():
    # Work that ends at the very moment at which it is given up: Ray's own check aborted this process then, soon.
    with on_ray():
        for _ in range(20):
            with pytest.raises(ScenarioError, match=r"^no 3$"):
                list(in_order(refuse, [3, 4], workers=2))
            answers = in_order(square, range(40), workers=2, batch=2)
            assert [next(answers) for _ in range(5)] == [0, 1, 4, 9, 16]
            answers.close()


@WITH_RAY
def test_a_worker_that_dies_costs_its_own_runs_only(tmp_path: Path):
    with on_ray():
        answers = list(in_order(partial(note, tmp_path), range(40), workers=2, batch=4))
    assert answers == [n * n for n in range(40)]
    runs = Counter(int(path.stem) for path in tmp_path.iterdir())
    # 12 and 13 of the batch 12 to 15 were done when the worker died; they, and nothing else, were done again.
    assert {number for number, times in runs.items() if times > 1} == {12, 13}
    assert len(runs) == 40


@WITH_RAY
def test_runs_that_kill_every_worker_are_given_up():
    with on_ray(), pytest.raises(EngineError, match="killed 4 times"):
        list(in_order(die, [1], workers=2))


@WITH_RAY
def test_a_method_of_ones_own_is_known_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(METHODS, "mine", Method("mine", Synchronous, Trains.EVERYTHING, "a copy of full-ft"))
    with on_ray():
        assert list(in_order(has_method, ["mine", "yours"], workers=2)) == [True, False]


@WITH_RAY
def test_what_workers_cannot_import_is_named(monkeypatch: pytest.MonkeyPatch):
    def run(item: int) -> int:
        return item

    # By name, a function of a module that only this process has.
    run.__module__, run.__qualname__ = "nowhere", "run"
    nowhere = types.ModuleType("nowhere")
    monkeypatch.setattr(nowhere, "run", run, raising=False)
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)
    with on_ray(), pytest.raises(EngineError, match="'nowhere'"):
        list(in_order(run, [1], workers=2))


@WITH_RAY
def test_another_version_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("parasim_core.sim.support.ray_pool._version", lambda: "0.0.7")
    with on_ray(), pytest.raises(EngineError, match=r"0\.0\.7"):
        list(in_order(square, [1], workers=2))


@pytest.fixture
def refused_port(monkeypatch: pytest.MonkeyPatch) -> str:
    """Where nobody answers, to a process that is connected to no cluster and sees none on this machine."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", frozenset)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@WITH_RAY
def test_an_address_where_nobody_answers_is_refused_at_once(refused_port: str):
    for address in (refused_port, f"ray://{refused_port}"):
        with pytest.raises(EngineError, match=f"^--address {address}: no Ray cluster"), on_ray(address):
            pass


@WITH_RAY
def test_a_cluster_that_is_gone_is_refused_at_once(refused_port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # What `ray start` leaves behind where its processes were killed.
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(refused_port)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with (
        pytest.raises(EngineError, match=f"^--engine ray: this machine's Ray cluster, {refused_port}:"),
        on_ray(),
    ):
        pass


@WITH_RAY
def test_an_address_from_the_environment_is_named_as_that(refused_port: str, monkeypatch: pytest.MonkeyPatch):
    for address in (refused_port, f"ray://{refused_port}"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(EngineError, match=f"^RAY_ADDRESS {address}: "), on_ray():
            pass


@WITH_RAY
@pytest.mark.usefixtures("refused_port")
def test_a_machine_that_belongs_to_no_cluster_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(EngineError, match=r"^--engine ray: .* --address HOST:PORT"), on_ray():
        pass


def test_a_cluster_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch):
    ended = []

    def init(**options: object) -> None:
        # As Ray raises it: no class of its own.
        raise Exception("The current node timed out during startup.\nMore.")

    absent = types.SimpleNamespace(is_initialized=lambda: False, init=init, shutdown=lambda: ended.append(True))
    monkeypatch.setitem(sys.modules, "ray", absent)
    message = r"^--address local: Ray cannot be started here: The current node timed out during startup\.$"
    with pytest.raises(EngineError, match=message), on_ray("local"):
        pass
    assert ended


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install -c constraints.txt -e '\.\[ray\]'"), on_ray():
        pass
