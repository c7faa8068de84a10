"""The other side of `train.ray_trainer`: a process of a Ray cluster that does jobs on a model of its own.

Every request says all that is needed to do it. What a worker still has from earlier ones (the model, the versions that
it shows) only saves it from fetching that again: a worker that was started anew does the same, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sim.errors import EngineError
from sim.studies.ray_engine import Surroundings, settle
from train.jobs import do
from train.local import LocalSettings, Loss
from train.packing import pack, unpack
from train.trained import TrainedPart
from train.versions import BASE, Versions

ItemVersion = tuple[int, int]
"""A version of one of the server's items."""


class JobRequest(NamedTuple):
    """A job for another process. References are Ray's; what they refer to was packed with `train.packing.pack`.

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
        Last round whose stack of adapters is in the base weights.
    merged : object reference or None
        Where those weights are.
    """

    name: str
    model: Any
    job: NDArray[np.uint8]
    versions: Mapping[ItemVersion, Any]
    merged_round: int
    merged: Any


class Worker:
    """Does one job after the other."""

    _trained: TrainedPart
    _loss: Loss
    _settings: LocalSettings
    _versions: Versions

    def __init__(self) -> None:
        self._name: str | None = None
        self._merged_round = BASE
        self._warm = False

    def begin(self, around: Surroundings, torch_version: str, threads: int) -> None:
        """Become like the process that it works for.

        Raises
        ------
        EngineError
            If it has another version of paraSim or of torch.
        """
        settle(around)
        if torch.__version__ != torch_version:
            raise EngineError(
                f"a worker of the Ray cluster has torch {torch.__version__}, this is {torch_version}; "
                "install the same on all machines"
            )
        # Sums depend on how many threads share them.
        torch.set_num_threads(threads)

    def do(self, request: JobRequest) -> NDArray[np.uint8]:
        """Do a job; the packed `train.jobs.Learned` of it."""
        self._catch_up(request)
        job, batches = unpack(request.job)
        learned = do(job, self._trained, self._versions, batches, self._loss, self._settings, warm_up=not self._warm)
        self._warm = True
        return pack(learned)

    def _catch_up(self, request: JobRequest) -> None:
        """Fetch what is not there yet: the model, and what it does not show."""
        import ray

        if request.name != self._name:
            self._trained, self._loss, self._settings = unpack(ray.get(request.model))
            self._versions = Versions(self._trained.part, lag=0)
            self._name, self._merged_round, self._warm = request.name, BASE, False
        for (item, version), reference in request.versions.items():
            if version not in self._versions.values.get(item, (BASE,)):
                # In the place of any other: a worker keeps what it shows.
                self._versions.values.pop(item, None)
                self._versions.load(item, version, unpack(ray.get(reference)))
        if request.merged_round != self._merged_round:
            self._trained.load_merged(unpack(ray.get(request.merged)))
            self._merged_round = request.merged_round
