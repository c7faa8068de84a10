"""The other side of `train.remote.device_trainer`: a process that does jobs on a device, with a model of its own.

Whoever asks knows what this process has, and sends with each job only what it lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import torch

from parasim_core.sim.support.worker_pool import depend_on_parent
from parasim_core.train.data.task import Batch
from parasim_core.train.federated.versions import Versions
from parasim_core.train.models.blocks import Values
from parasim_core.train.models.packing import pack, unpack
from parasim_core.train.update.jobs import Job, do
from parasim_core.train.update.local import LocalSettings, LocalUpdate
from parasim_core.train.update.loss import Loss
from parasim_core.train.update.trained_part import TrainedPart, TrainedStack


@dataclass(frozen=True)
class Model:
    """What a worker is given at the beginning of a run; what it had of another one is forgotten.

    Attributes
    ----------
    trained : TrainedPart
        What of the model is trained; nothing has been trained yet.
    loss : callable
        Mean loss of a model on a batch.
    settings : LocalSettings
        Local training.
    """

    trained: TrainedPart
    loss: Loss
    settings: LocalSettings


@dataclass(frozen=True)
class JobRequest:
    """A job, with what the worker lacks to do it.

    Attributes
    ----------
    job : Job
        The job.
    batches : sequence of batch
        What it is trained on.
    versions : mapping of (item, version) to values
        Versions that the worker does not show; they take the places of what it shows of these items.
    merged : values or None
        The base weights with the stacks merged up to the job's round, where the worker has others.
    """

    job: Job
    batches: Sequence[Batch]
    versions: Mapping[tuple[int, int], Values]
    merged: Values | None


def serve(connection: Connection, moved: Mapping[str, str], threads: int) -> None:
    """Do jobs until nobody asks any more.

    Parameters
    ----------
    connection : multiprocessing.connection.Connection
        Where packed `Model`s and `JobRequest`s come from, and where packed updates go, or what went wrong.
    moved : mapping of str to str
        On which device this process has what lies on which device there.
    threads : int
        That PyTorch computes with: sums depend on how many share them.
    """
    depend_on_parent()
    torch.set_num_threads(threads)
    worker = None
    while True:
        try:
            received = unpack(np.frombuffer(connection.recv_bytes(), np.uint8), moved)
        except EOFError:
            return
        if isinstance(received, Model):
            worker = _Worker(received)
            continue
        assert worker is not None
        answer: LocalUpdate | Exception
        try:
            answer = worker.do(received)
        except Exception as error:  # whatever it is, it is raised where the update is waited for
            answer = error
        connection.send_bytes(pack(answer).data)


class _Worker:
    """Does the jobs of one run."""

    def __init__(self, model: Model):
        self._model = model
        self._versions = Versions(model.trained.part, lag=0)
        self._warm = False

    def do(self, request: JobRequest) -> LocalUpdate:
        """Catch up, and train."""
        job, model = request.job, self._model
        for (item, version), values in request.versions.items():
            self._versions.values.pop(item, None)
            self._versions.load(item, version, values)
        if request.merged is not None and isinstance(model.trained, TrainedStack):
            model.trained.load_merged(request.merged)
            model.trained.newest = job.merged
        learned = do(
            job, model.trained, self._versions, request.batches, model.loss, model.settings, warm_up=not self._warm
        )
        self._warm = True
        return learned
