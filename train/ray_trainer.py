"""Local updates done by workers of a Ray cluster, to the same bits as in this process.

The workers have the model; with a job go the client's batches, its own updates that are under way, and references to
versions that a worker may not show yet. Each version is put into the cluster once, and back come only the messages.
Aggregation, evaluation and checkpoints stay in this process.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from torch import nn

from train.crew import Crew, Work
from train.jobs import Job, Learned
from train.local import LocalSettings
from train.packing import pack, unpack
from train.task import Task
from train.trained import Trained
from train.versions import BASE, Versions
from train.worker import Errand, Place, describe


class RayTrainer:
    """Has jobs done by a crew.

    Parameters
    ----------
    crew : Crew
        The workers.
    choose : callable
        Chooses what of a model is trained, as it did for `trained`.
    checkpointing : bool
        Whether activations are computed again instead of kept.
    trained : Trained
        What of the model is trained; nothing has been trained yet.
    versions : Versions
        The server's versions.
    task : Task
        Data and loss; workers get the loss, and of the data only what they train on.
    settings : LocalSettings
        Local training.
    """

    def __init__(
        self,
        crew: Crew,
        choose: Callable[[nn.Module], Trained],
        checkpointing: bool,
        trained: Trained,
        versions: Versions,
        task: Task,
        settings: LocalSettings,
    ):
        import ray

        self._crew = crew
        self._trained = trained
        self._versions = versions
        self._task = task
        self._batches = settings.steps * settings.accumulation
        self._device = next(trained.model.parameters()).device
        model = describe(trained, choose, settings, task.loss, checkpointing=checkpointing)
        self._model = (uuid.uuid4().hex, ray.put(model))
        self._put: dict[Place, Any] = {}
        self._merged: tuple[int, Any] = (BASE, None)

    def submit(self, job: Job) -> Callable[[], Learned]:
        """Have a job done as soon as a worker is free."""
        return partial(self._result, self._crew.submit(partial(self._errand, job)))

    def _result(self, work: Work) -> Learned:
        done = self._crew.result(work)
        message = {name: value.to(self._device) for name, value in unpack(done.message).items()}
        return Learned(message, done.loss, done.seconds)

    def _errand(self, job: Job) -> Errand:
        own = {item: [pack(delta) for delta in deltas] for item, deltas in job.own.items()}
        batches = [pack(batch) for batch in islice(self._task.batches(job.client, job.round), self._batches)]
        return Errand(self._model, replace(job, own={}), own, batches, self._versions_for(job), self._merged_for(job))

    def _versions_for(self, job: Job) -> dict[Place, Any]:
        """Refer to all versions that a worker may not have: those of items that were renewed."""
        import ray

        alive = {(item, version) for item, versions in self._versions.values.items() for version in versions}
        for place in self._put.keys() - alive:
            del self._put[place]
        needed = [
            (item, job.known.get(item, BASE)) for item in self._versions.values if self._versions.newest(item) != BASE
        ]
        for item, version in needed:
            if (item, version) not in self._put:
                self._put[item, version] = ray.put(pack(self._versions.get(item, version)))
        return {place: self._put[place] for place in needed}

    def _merged_for(self, job: Job) -> Any:
        import ray

        if job.merged != self._merged[0]:
            # No stack is merged while a job is open: the weights are still those of that round.
            self._merged = (job.merged, ray.put(pack(self._trained.merged())))
        return self._merged[1]
