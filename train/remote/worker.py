"""The other side of `train.remote.ray_trainer`: a process of a Ray cluster that does jobs on a model of its own.

Every request says all that is needed to do it. What a process still has from earlier ones (the model, the versions that
it shows) only saves it from fetching that again: one that was started anew does the same, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from parasim_core.sim.errors import EngineError
from parasim_core.sim.support.ray_pool import WorkerEnvironment, adopt
from parasim_core.train.federated.versions import BASE, Versions
from parasim_core.train.models.packing import pack, unpack
from parasim_core.train.update.jobs import do
from parasim_core.train.update.local import LocalSettings
from parasim_core.train.update.loss import Loss
from parasim_core.train.update.trained_part import TrainedPart, TrainedStack

ItemVersion = tuple[int, int]
"""A version of one of the server's items."""


class Caller(NamedTuple):
    """What a worker has to share with the process that asks: only then does it learn the same.

    Attributes
    ----------
    environment : WorkerEnvironment
        Version of paraSim, directory, methods of one's own.
    torch_version : str
        Of PyTorch.
    threads : int
        That PyTorch computes with: sums depend on how many share them.
    """

    environment: WorkerEnvironment
    torch_version: str
    threads: int


class JobRequest(NamedTuple):
    """A job for another process. References are Ray's; what they refer to was packed with `train.models.packing.pack`.

    Attributes
    ----------
    name : str
        Of the model: the same for all jobs of a run.
    model : object reference
        The model as `TrainedPart` (before anything was trained), the loss and the local settings.
    job : numpy.ndarray
        The job and its batches, packed.
    versions : mapping of (item, version) to object reference
        Where the values of versions are that the worker may not have.
    merged_round : int
        Last round whose stack of adapters is in the client's base weights.
    merged : object reference or None
        Where those weights are.
    """

    name: str
    model: Any
    job: NDArray[np.uint8]
    versions: Mapping[ItemVersion, Any]
    merged_round: int
    merged: Any


class Kept:
    """What a process has of the run whose jobs it does."""

    name: str | None = None
    trained: TrainedPart
    loss: Loss
    settings: LocalSettings
    versions: Versions
    warm: set[int]


_kept = Kept()


def do_job(caller: Caller, request: JobRequest) -> NDArray[np.uint8]:
    """Do a job, in a worker.

    Returns
    -------
    numpy.ndarray
        The packed `train.update.local.LocalUpdate`.

    Raises
    ------
    EngineError
        If this process has another version of paraSim or of torch.
    """
    adopt(caller.environment)
    if torch.__version__ != caller.torch_version:
        raise EngineError(
            f"a worker of the Ray cluster has torch {torch.__version__}, this is {caller.torch_version}; "
            "install the same on all machines"
        )
    torch.set_num_threads(caller.threads)
    _catch_up(request)
    job, batches = unpack(request.job)
    kernels = _kept.settings.kernels_of(job.item)
    warm_up = kernels not in _kept.warm
    _kept.warm.add(kernels)
    return pack(do(job, _kept.trained, _kept.versions, batches, _kept.loss, _kept.settings, warm_up=warm_up))


def _catch_up(request: JobRequest) -> None:
    """Fetch what this process lacks: the model, and what it does not show."""
    import ray

    if request.name != _kept.name:
        _kept.trained, _kept.loss, _kept.settings = unpack(ray.get(request.model))
        _kept.trained.prepare(_kept.settings)
        _kept.versions = Versions(_kept.trained.part, lag=0)
        _kept.name, _kept.warm = request.name, set()
    versions = _kept.versions
    for (item, version), reference in request.versions.items():
        if version not in versions.values.get(item, (BASE,)):
            # In the place of any other: a worker keeps what it shows.
            versions.values.pop(item, None)
            versions.load(item, version, unpack(ray.get(reference)))
    trained = _kept.trained
    if isinstance(trained, TrainedStack) and request.merged_round != trained.newest:
        trained.load_merged(unpack(ray.get(request.merged)))
        trained.newest = request.merged_round
