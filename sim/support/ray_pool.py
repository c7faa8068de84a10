"""Runs on a Ray cluster, with the same answers as on this machine.

Batches are Ray tasks. Ray runs a task again when its worker or machine is lost; as a run has no effect but its answer,
nobody notices. What the runs have in common is sent once per machine, not with every task.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import re
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from parasim_core.sim.errors import EngineError, install_hint
from parasim_core.sim.support.worker_pool import Collect, LocalPool, Run, Submit, using
from parasim_core.sim.workload.methods import METHODS, Method

ATTEMPTS_AGAIN = 3
"""How often work is repeated whose worker died; one that dies every time is a fault of the work."""
_PATIENCE = 10.0
"""How long a machine may take to answer [s]."""
_BUILT_IN = frozenset(METHODS)


class WorkerEnvironment(NamedTuple):
    """What a worker has to share with the process whose runs it does.

    Attributes
    ----------
    version : str
        Of paraSim.
    directory : str
        In which relative paths start.
    methods : mapping of str to Method
        Registered besides paraSim's own.
    """

    version: str
    directory: str
    methods: Mapping[str, Method]


class RayPool:
    """The workers of the Ray cluster that this process is connected to."""

    def cores(self) -> int:
        """Number of processors of the cluster."""
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def capacity(self, *, processors: int, gpus: int = 0) -> int:
        """Tell how many workers of so many processors and GPUs fit on the cluster's machines."""
        import ray

        wanted = {name: count for name, count in (("CPU", processors), ("GPU", gpus)) if count}
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return sum(min(int(there.get(name, 0) // count) for name, count in wanted.items()) for there in alive)

    @contextmanager
    def started(self, run: Run, workers: int) -> Iterator[tuple[Submit, Collect]]:
        """Have tasks of the cluster compute inside a ``with`` block.

        Raises
        ------
        EngineError
            If workers cannot import paraSim, have another version of it, or die again and again.
        """
        import ray

        task = ray.remote(num_cpus=1, max_retries=ATTEMPTS_AGAIN)(_run_all)
        shared = ray.put((run, worker_environment()))
        running: deque[Any] = deque()

        def submit(items: list[Any]) -> Any:
            running.append(task.remote(shared, items))
            return running[-1]

        def collect(reference: Any) -> list[Any]:
            answers = _answers(reference)
            running.popleft()
            return answers

        try:
            yield submit, collect
        finally:
            if running:
                # Not what has just ended: to cancel that aborts this process, in Ray 2.60, with a failed check.
                for unended in ray.wait([*running], num_returns=len(running), timeout=0, fetch_local=False)[1]:
                    ray.cancel(unended, force=True)


@contextmanager
def on_ray(address: str = "auto") -> Iterator[None]:
    """Compute on a Ray cluster inside a ``with`` block; results are the same as on this machine.

    Parameters
    ----------
    address : str
        ``auto`` (the cluster that this machine belongs to), ``HOST:PORT`` of its head, ``ray://HOST:PORT`` for a
        cluster that this machine does not belong to, or ``local`` for one that is started here and stopped afterwards.
        If this process is already connected to a cluster, that one is used.

    Raises
    ------
    EngineError
        If Ray is not installed, there is no such cluster, or none can be started.
    """
    try:
        import ray
    except ImportError:
        raise EngineError(install_hint("--engine ray", "ray")) from None
    connected = ray.is_initialized()
    if not connected:
        _connect(address)
    try:
        with using(RayPool()):
            yield
    finally:
        if not connected:
            ray.shutdown()


def _connect(address: str) -> None:
    """Connect this process to a cluster.

    Raises
    ------
    EngineError
        If there is none, or none can be started.
    """
    import ray

    # Of runs that nobody reads any more, Ray would print errors; and it would report on a cluster that it starts.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    found, named = address, f"--address {address}"
    if address == "auto":
        found = _of_this_machine()
        given = found == os.environ.get("RAY_ADDRESS")
        named = f"RAY_ADDRESS {found}" if given else f"--engine ray: this machine's Ray cluster, {found}"
    failed = f"{named}: " + (
        "Ray cannot be started here" if found == "local" else "no Ray cluster can be reached there"
    )
    _check_reachable(found, failed)
    processors = LocalPool().cores() if found == "local" else None
    try:
        # Not what was found: Ray looks for a token of its own accord only where it looks for the cluster as well.
        ray.init(address=address, num_cpus=processors, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        # A node that does not start is a plain Exception; the processes that did start would outlive this line.
        ray.shutdown()
        raise EngineError(f"{failed}: {_in_short(error)}") from None


def _of_this_machine() -> str:
    """Find the address that ``auto`` stands for.

    Raises
    ------
    EngineError
        If this machine belongs to no cluster.
    """
    # Ray has no public function for this, and its own search must be the one that is checked.
    from ray._private.services import get_ray_address_from_environment

    with suppress(ConnectionError):
        if address := get_ray_address_from_environment("auto", None):
            return str(address)
    raise EngineError(
        "--engine ray: this machine belongs to no Ray cluster; name one with --address HOST:PORT, "
        "or have one started with --address local"
    )


def _check_reachable(address: str, failed: str) -> None:
    """Try the connection that an address names: Ray itself would go on trying for minutes.

    Raises
    ------
    EngineError
        If nobody answers.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"{failed}: {error}") from None


def _answers(reference: Any) -> list[Any]:
    """Wait for a task.

    Raises
    ------
    EngineError
        If the task could not be run. What its run raised is raised as it is.
    """
    import ray

    try:
        answers: list[Any] = ray.get(reference)
    except ray.exceptions.WorkerCrashedError:
        raise EngineError(
            f"a worker was killed {ATTEMPTS_AGAIN + 1} times over the same runs, perhaps for want of memory"
        ) from None
    except ray.exceptions.RayError as error:
        raise original_error(error) from None
    return answers


def original_error(error: Any) -> Exception:
    """Find what was raised on the worker in what Ray raised; what went wrong around it is an `EngineError`."""
    if missing := re.search(r"No module named '[^']*'", str(error)):
        return EngineError(f"on a worker of the Ray cluster: {missing[0]}; install the same paraSim on all machines")
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else EngineError(f"the Ray cluster failed: {_in_short(error)}")


def _in_short(error: Exception) -> str:
    """First line of a message; and the last one where that only announces a traceback."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0]} {lines[-1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]


def _run_all(shared: tuple[Run, WorkerEnvironment], items: list[Any]) -> list[Any]:
    """Run a batch, in a worker."""
    run, environment = shared
    adopt(environment)
    return [run(item) for item in items]


def adopt(environment: WorkerEnvironment) -> None:
    """Make a worker like the process that it works for: only then are its answers the same.

    Raises
    ------
    EngineError
        If it has another version of paraSim.
    """
    if _version() != environment.version:
        raise EngineError(
            f"a worker of the Ray cluster has paraSim {_version()}, this is {environment.version}; "
            "install the same on all machines"
        )
    if Path(environment.directory).is_dir():
        os.chdir(environment.directory)
    METHODS.update(environment.methods)


def worker_environment() -> WorkerEnvironment:
    """Describe this process to workers."""
    added = {name: method for name, method in METHODS.items() if name not in _BUILT_IN}
    return WorkerEnvironment(_version(), str(Path.cwd()), added)


@cache
def _version() -> str:
    return importlib.metadata.version("parasim")
