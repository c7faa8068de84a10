"""Local updates done by worker processes of this machine, one for each device, to the same bits as in this process.

With a job go the client's batches, its own updates that are under way, and those versions that the worker does not show
yet; back comes the message. Aggregation, evaluation and checkpoints stay in this process.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch

from parasim_core.sim.errors import EngineError, ScenarioError
from parasim_core.train.data.task import Task
from parasim_core.train.federated.versions import BASE, Versions
from parasim_core.train.models.packing import pack, unpack
from parasim_core.train.remote.device_worker import JobRequest, Model, serve
from parasim_core.train.update.jobs import Job
from parasim_core.train.update.local import LocalSettings, LocalUpdate
from parasim_core.train.update.trained_part import TrainedPart, TrainedStack


@dataclass(eq=False)
class _Worker:
    """A worker process, and what is known of what it has.

    Attributes
    ----------
    device : str
        What it trains on.
    process : multiprocessing process
        The process.
    connection : multiprocessing.connection.Connection
        To it.
    shown : dict of int to int
        Version that it shows of each item; the base where nothing is noted.
    merged : int
        Last round whose stack of adapters is in its base weights.
    doing : open job or None
        What it was asked for and has not answered.
    """

    device: str
    process: BaseProcess
    connection: Connection
    shown: dict[int, int] = field(default_factory=dict)
    merged: int = BASE
    doing: _OpenJob | None = None

    def send(self, content: object) -> None:
        """Send something; a worker that is not alive any more is an `EngineError`."""
        try:
            self.connection.send_bytes(pack(content).data)
        except OSError:
            raise self.lost() from None

    def receive(self, home: str) -> Any:
        """Wait for an answer, with its tensors on this process's own device."""
        try:
            return unpack(np.frombuffer(self.connection.recv_bytes(), np.uint8), {self.device: home})
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self.lost() from None

    def lost(self) -> EngineError:
        """Say that it has ended."""
        self.process.join(1)
        return EngineError(
            f"--devices: the worker process of {self.device} ended (status {self.process.exitcode}), perhaps for want "
            "of memory"
        )


@dataclass
class _OpenJob:
    """A job, and what came of it once a worker has done it."""

    job: Job
    answer: LocalUpdate | Exception | None = None


@dataclass(frozen=True)
class DeviceWorkers:
    """Worker processes of this machine that train.

    Attributes
    ----------
    workers : sequence
        One for each device that was named.
    home : str
        Device of this process's own model.
    """

    workers: Sequence[_Worker]
    home: str

    def trainer(self, trained: TrainedPart, versions: Versions, task: Task, settings: LocalSettings) -> DeviceTrainer:
        """Have them train for a run; its parameters are those of `DeviceTrainer`."""
        return DeviceTrainer(self, trained, versions, task, settings)


def check_devices(devices: Sequence[str], home: torch.device) -> None:
    """Refuse devices that are not there, or are of another kind than this process's own.

    Raises
    ------
    ScenarioError
        Naming those that there are.
    """
    there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    for device in devices:
        if device not in there:
            raise ScenarioError(f"--devices {device}: there is no such device here; allowed are {', '.join(there)}")
        if (kind := torch.device(device).type) != home.type:
            raise ScenarioError(f"--devices {device}: the server's model is on {home.type}; set train.device={kind}")


@contextmanager
def device_workers(devices: Sequence[str], home: torch.device) -> Iterator[DeviceWorkers | None]:
    """Have a worker process for each device inside a ``with`` block; none if no device is named.

    Parameters
    ----------
    devices : sequence of str
        ``cuda:0`` and so on; or ``cpu``, as often as there are to be workers, each with as many threads as this
        process.
    home : torch.device
        Where this process has its own model.

    """
    if not devices:
        yield None
        return
    # Neither CUDA nor the threads of PyTorch outlive a fork.
    context = multiprocessing.get_context("spawn")
    at_home = f"cuda:{torch.cuda.current_device()}" if home.type == "cuda" else "cpu"
    workers = []
    try:
        for device in devices:
            here, there = context.Pipe()
            process = context.Process(
                target=serve, args=(there, {at_home: device}, torch.get_num_threads()), daemon=True
            )
            process.start()
            there.close()
            workers.append(_Worker(device, process, here))
        yield DeviceWorkers(workers, at_home)
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.kill()
            worker.process.join()


class DeviceTrainer:
    """Has jobs done by worker processes.

    Parameters
    ----------
    workers : DeviceWorkers
        The workers.
    trained : TrainedPart
        What of the model is trained; nothing has been trained yet.
    versions : Versions
        The server's versions.
    task : Task
        Data and loss; workers get the loss, and of the data only what they train on.
    settings : LocalSettings
        Local training.
    """

    def __init__(
        self, workers: DeviceWorkers, trained: TrainedPart, versions: Versions, task: Task, settings: LocalSettings
    ):
        self._workers, self._home = workers.workers, workers.home
        self._trained, self._versions, self._task = trained, versions, task
        self._batches = settings.steps * settings.accumulation
        self._waiting: deque[_OpenJob] = deque()
        for worker in self._workers:
            if worker.doing:
                # A run before this one ended in an error and did not wait for it.
                worker.receive(self._home)
                worker.doing = None
            worker.shown.clear()
            worker.merged = BASE
            worker.send(Model(trained, task.loss, settings))

    def submit(self, job: Job) -> Callable[[], LocalUpdate]:
        """Have a job done as soon as a worker is free."""
        open_job = _OpenJob(job)
        self._waiting.append(open_job)
        self._collect(timeout=0)
        return partial(self._result, open_job)

    def _result(self, open_job: _OpenJob) -> LocalUpdate:
        """Wait for a job.

        Raises
        ------
        EngineError
            If a worker has died. What doing the job raised is raised as it is.
        """
        while open_job.answer is None:
            self._collect(timeout=None)
        if isinstance(open_job.answer, Exception):
            raise open_job.answer
        return open_job.answer

    def _collect(self, timeout: float | None) -> None:
        """Take answers that have come, waiting so long for the first one [s], and give free workers more to do."""
        busy = {worker.connection: worker for worker in self._workers if worker.doing}
        for connection in wait(list(busy), timeout) if busy else ():
            worker = busy[connection]  # type: ignore[index]
            assert worker.doing is not None
            worker.doing.answer = worker.receive(self._home)
            worker.doing = None
        for worker in self._workers:
            if not worker.doing and self._waiting:
                worker.doing = self._waiting.popleft()
                worker.send(self._request(worker, worker.doing.job))

    def _request(self, worker: _Worker, job: Job) -> JobRequest:
        """Put together what a worker lacks to do a job, and note that it has it from then on."""
        batches = list(islice(self._task.batches(job.client, job.round), self._batches))
        renewed = [item for item in self._versions.values if self._versions.newest(item) != BASE]
        needed = {item: job.known.get(item, BASE) for item in renewed}
        lacked = {item: version for item, version in needed.items() if worker.shown.get(item, BASE) != version}
        worker.shown |= lacked
        merged, trained = None, self._trained
        if isinstance(trained, TrainedStack) and worker.merged != job.merged:
            merged = trained.merged() if job.merged == trained.newest else trained.older[job.merged]
            worker.merged = job.merged
        versions = {(item, version): self._versions.get(item, version) for item, version in lacked.items()}
        return JobRequest(job, batches, versions, merged)
