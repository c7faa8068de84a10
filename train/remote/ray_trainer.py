"""Local updates done by workers of a Ray cluster, to the same bits as in this process.

The workers have the model; with a job go the client's batches, its own updates that are under way, and references to
versions that a worker may not show yet. Each version is put into the cluster once, and back come only the messages.
Aggregation, evaluation and checkpoints stay in this process.

Jobs are Ray tasks. Ray decides which worker does what, so nothing may depend on that, and runs a job again elsewhere
when its worker dies.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch

from parasim_core.sim.errors import EngineError
from parasim_core.sim.support.ray_pool import ATTEMPTS_AGAIN, RayPool, original_error, worker_environment
from parasim_core.sim.support.worker_pool import current_pool
from parasim_core.train.data.task import Task
from parasim_core.train.federated.versions import BASE, Versions
from parasim_core.train.models.packing import pack, unpack
from parasim_core.train.remote.worker import Caller, ItemVersion, JobRequest, do_job
from parasim_core.train.update.jobs import Job
from parasim_core.train.update.local import LocalSettings, LocalUpdate
from parasim_core.train.update.trained_part import TrainedPart, TrainedStack


@dataclass(frozen=True)
class ClusterWorkers:
    """Workers of a Ray cluster that train.

    Attributes
    ----------
    count : int
        How many are busy at a time.
    processors, gpus : int
        Of the cluster, for each of them.
    """

    count: int
    processors: int
    gpus: int = 0

    def trainer(self, trained: TrainedPart, versions: Versions, task: Task, settings: LocalSettings) -> RayTrainer:
        """Have them train for a run; its parameters are those of `RayTrainer`."""
        return RayTrainer(self, trained, versions, task, settings)


def cluster_workers(device: torch.device, most: int) -> ClusterWorkers | None:
    """Find workers, if this is inside `parasim.on_ray`.

    Parameters
    ----------
    device : torch.device
        What they train on. On a CPU, each has as many threads as this process: sums depend on that. Otherwise each
        has a GPU.
    most : int
        How many can be busy at a time.

    Returns
    -------
    ClusterWorkers or None
        None where this process is to do everything itself.

    Raises
    ------
    EngineError
        If no machine of the cluster is large enough for a single worker.
    """
    where = current_pool()
    if not isinstance(where, RayPool):
        return None
    gpus = 1 if device.type == "cuda" else 0
    threads = torch.get_num_threads()
    processors = 1 if gpus else threads
    count = min(most, where.capacity(processors=processors, gpus=gpus))
    if not count:
        raise EngineError(
            "no machine of the Ray cluster has a GPU, as this one has; train.device=cpu goes without"
            if gpus
            else f"no machine of the Ray cluster has {threads} processors, as many as this process has threads; "
            "set OMP_NUM_THREADS to fewer"
        )
    return ClusterWorkers(count, processors, gpus)


@dataclass
class _OpenJob:
    """A job, and Ray's reference to what comes out of it once a worker has been asked."""

    job: Job
    reference: Any = None


class RayTrainer:
    """Has jobs done by workers.

    Parameters
    ----------
    workers : ClusterWorkers
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
        self, workers: ClusterWorkers, trained: TrainedPart, versions: Versions, task: Task, settings: LocalSettings
    ):
        import ray

        self.workers = workers
        self._trained = trained
        self._versions = versions
        self._task = task
        self._batches = settings.steps * settings.accumulation
        self._name = uuid.uuid4().hex
        self._caller = Caller(worker_environment(), torch.__version__, torch.get_num_threads())
        self._model = ray.put(pack((trained, task.loss, settings)))
        # A worker goes on with its model after a job; by default Ray ends one that used a GPU.
        resources = {"num_cpus": workers.processors, "num_gpus": workers.gpus, "max_calls": 0}
        self._do = ray.remote(**resources, max_retries=ATTEMPTS_AGAIN)(do_job)
        self._waiting: deque[_OpenJob] = deque()
        self._running: list[Any] = []
        self._put: dict[ItemVersion, Any] = {}
        self._merged: dict[int, Any] = {}

    def submit(self, job: Job) -> Callable[[], LocalUpdate]:
        """Have a job done as soon as a worker is free."""
        open_job = _OpenJob(job)
        self._waiting.append(open_job)
        self._submit_waiting()
        return partial(self._result, open_job)

    def _submit_waiting(self) -> None:
        """Ask workers that are free; not more at a time, for a request holds all that its job needs."""
        import ray

        if self._running:
            _, self._running = ray.wait(self._running, num_returns=len(self._running), timeout=0)
        while self._waiting and len(self._running) < self.workers.count:
            open_job = self._waiting.popleft()
            open_job.reference = self._do.remote(self._caller, self._request(open_job.job))
            self._running.append(open_job.reference)

    def _result(self, open_job: _OpenJob) -> LocalUpdate:
        """Wait for a job.

        Raises
        ------
        EngineError
            If workers cannot do any, or die again and again. What doing it raised is raised as it is.
        """
        import ray

        while open_job.reference is None or open_job.reference in self._running:
            ray.wait(self._running, num_returns=1)
            self._submit_waiting()
        try:
            learned: LocalUpdate = unpack(ray.get(open_job.reference))
        except ray.exceptions.WorkerCrashedError:
            raise EngineError(
                f"a worker was killed {ATTEMPTS_AGAIN + 1} times over the same update, perhaps for want of memory"
            ) from None
        except ray.exceptions.RayError as error:
            raise original_error(error) from None
        return learned

    def _request(self, job: Job) -> JobRequest:
        batches = list(islice(self._task.batches(job.client, job.round), self._batches))
        return JobRequest(
            self._name, self._model, pack((job, batches)), self._versions_for(job), job.merged, self._merged_for(job)
        )

    def _versions_for(self, job: Job) -> dict[ItemVersion, Any]:
        """Refer to all versions that a worker may not have: those of items that were renewed."""
        import ray

        alive = {(item, version) for item, versions in self._versions.values.items() for version in versions}
        for gone in self._put.keys() - alive:
            del self._put[gone]
        items = [item for item in self._versions.values if self._versions.newest(item) != BASE]
        needed = [(item, job.known.get(item, BASE)) for item in items]
        for item, version in needed:
            if (item, version) not in self._put:
                self._put[item, version] = ray.put(pack(self._versions.get(item, version)))
        return {key: self._put[key] for key in needed}

    def _merged_for(self, job: Job) -> Any:
        import ray

        trained = self._trained
        if not isinstance(trained, TrainedStack):
            return None
        # No stack is merged while a job is open: what is kept of earlier rounds is what jobs may need.
        self._merged = {round: put for round, put in self._merged.items() if round in (trained.newest, *trained.older)}
        if job.merged not in self._merged:
            values = trained.merged() if job.merged == trained.newest else trained.older[job.merged]
            self._merged[job.merged] = ray.put(pack(values))
        return self._merged[job.merged]
