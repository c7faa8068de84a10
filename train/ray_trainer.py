"""Local updates done by workers of a Ray cluster, to the same bits as in this process.

The workers have the model; with a job go the client's batches, its own updates that are under way, and references to
versions that a worker may not show yet. Each version is put into the cluster once, and back come only the messages.
Aggregation, evaluation and checkpoints stay in this process.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from train.crew import WorkerPool
from train.jobs import Job, Learned
from train.local import LocalSettings
from train.packing import pack, unpack
from train.task import Task
from train.trained import TrainedPart
from train.versions import BASE, Versions
from train.worker import ItemVersion, JobRequest


class RayTrainer:
    """Has jobs done by a pool of workers.

    Parameters
    ----------
    pool : WorkerPool
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

    def __init__(self, pool: WorkerPool, trained: TrainedPart, versions: Versions, task: Task, settings: LocalSettings):
        import ray

        self._pool = pool
        self._trained = trained
        self._versions = versions
        self._task = task
        self._batches = settings.steps * settings.accumulation
        self._name = uuid.uuid4().hex
        self._model = ray.put(pack((trained, task.loss, settings)))
        self._put: dict[ItemVersion, Any] = {}
        self._merged: tuple[int, Any] = (BASE, None)

    def submit(self, job: Job) -> Callable[[], Learned]:
        """Have a job done as soon as a worker is free."""
        open_job = self._pool.submit(partial(self._request, job))
        return lambda: unpack(self._pool.result(open_job))

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

        if job.merged != self._merged[0]:
            # No stack is merged while a job is open: the weights are still those of that round.
            self._merged = (job.merged, ray.put(pack(self._trained.merged())))
        return self._merged[1]
