"""A local update as a job: what it starts from, how it is done, and who does it.

A job is complete when it is made: whoever does it, where and when, the same comes out of it. `LocalTrainer` does jobs
in this process, on the one model; `train.remote.ray_trainer` has them done by workers of a Ray cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from parasim_core.train.data.task import Batch, Task
from parasim_core.train.federated.versions import BASE, Versions
from parasim_core.train.models.blocks import Values
from parasim_core.train.update.kept_optimizer import KeptOptimizer
from parasim_core.train.update.local import LocalSettings, LocalUpdate, train_locally
from parasim_core.train.update.loss import Loss
from parasim_core.train.update.trained_part import TrainedPart


@dataclass(frozen=True)
class Job:
    """What one client's local update starts from.

    Attributes
    ----------
    client, round : int
        Whose update.
    item : int
        Item that is trained.
    known : mapping of int to int
        Version that the client has of each item; the base where nothing is noted.
    own : mapping of int to sequence of values
        By item, the client's own updates that are in none of these versions, oldest first. They are added up only
        when the job is done, so that many open jobs do not hold a block each.
    rate : float
        Global learning rate, with which they count.
    merged : int
        Last round whose stack of adapters is in the client's base weights; the base where there are no stacks.
    kept : KeptOptimizer or None
        What AdamW and the schedule go on from; None where they start afresh.
    """

    client: int
    round: int
    item: int
    known: Mapping[int, int] = field(default_factory=dict)
    own: Mapping[int, Sequence[Values]] = field(default_factory=dict)
    rate: float = 1.0
    merged: int = BASE
    kept: KeptOptimizer | None = None

    @property
    def seed(self) -> int:
        """Seed of what is random within the model."""
        return self.client * 1_000_003 + self.round


class Trainer(Protocol):
    """Whoever does jobs."""

    def submit(self, job: Job) -> Callable[[], LocalUpdate]:
        """Take on a job; calling what is returned waits for it.

        No new version of anything comes up while a job is open.
        """
        ...


TrainerFactory = Callable[[TrainedPart, Versions, Task, LocalSettings], Trainer]
"""Gives the trainer of a run: what is trained, its versions, the data, and how to train."""


class LocalTrainer:
    """Does each job in this process, on the one model, when it is waited for.

    Parameters
    ----------
    trained : TrainedPart
        What of the model is trained.
    versions : Versions
        The server's versions.
    task : Task
        Data and loss.
    settings : LocalSettings
        Local training.
    """

    def __init__(self, trained: TrainedPart, versions: Versions, task: Task, settings: LocalSettings):
        self._trained = trained
        self._versions = versions
        self._task = task
        self._settings = settings
        trained.prepare(settings)
        self._warm: set[int] = set()

    def submit(self, job: Job) -> Callable[[], LocalUpdate]:
        """Put a job off until it is waited for."""
        return partial(self._do, job)

    def _do(self, job: Job) -> LocalUpdate:
        batches = self._task.batches(job.client, job.round)
        kernels = self._settings.kernels_of(job.item)
        warm_up = kernels not in self._warm
        self._warm.add(kernels)
        return do(job, self._trained, self._versions, batches, self._task.loss, self._settings, warm_up=warm_up)


def do(
    job: Job,
    trained: TrainedPart,
    versions: Versions,
    batches: Iterable[Batch],
    loss: Loss,
    settings: LocalSettings,
    *,
    warm_up: bool,
) -> LocalUpdate:
    """Do a job on a model.

    Parameters
    ----------
    job : Job
        What to do.
    trained : TrainedPart
        What of the model is trained.
    versions : Versions
        Holds those that the job names.
    batches : iterable of Batch
        The client's batches of this round.
    loss : callable
        Mean loss of a model on a batch.
    settings : LocalSettings
        Local training.
    warm_up : bool
        Take an untimed step first, for a device that has done nothing yet.

    Returns
    -------
    LocalUpdate
        With what is sent as its delta, before any compression (`TrainedPart.message`).

    Raises
    ------
    TrainingError
        If training goes wrong.
    """
    start = trained.fresh_start(job.client, job.round, show(job, versions))
    part = trained.part(job.item)
    with trained.merged_up_to(job.merged):
        update = train_locally(
            trained.model, part, batches, loss, settings, start=start, kept=job.kept, warm_up=warm_up, seed=job.seed
        )
    return replace(update, delta=trained.message(start, update.delta))


def show(job: Job, versions: Versions) -> Values:
    """Let the model be what a job's client has, and return its values of the item that is trained.

    Parameters
    ----------
    job : Job
        The job.
    versions : Versions
        Holds those that the job names.
    """
    for item in {*versions.values, *job.known, *job.own, job.item}:
        version = job.known.get(item, BASE)
        values = versions.get(item, version)
        if own := job.own.get(item):
            for delta in own:
                values = {name: value + job.rate * delta[name] for name, value in values.items()}
            versions.show_private(item, values)
        else:
            versions.show(item, version)
        if item == job.item:
            start = values
    return start
