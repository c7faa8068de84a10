"""A pool of Ray workers that train: started once, busy as long as there is something to do.

Which worker does what depends on who is free first, so nothing may depend on that. What a worker was doing when it died
is done again by another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sim.errors import EngineError
from sim.studies.pool import engine
from sim.studies.ray_engine import ATTEMPTS_AGAIN, RayEngine, in_words, surroundings


@contextmanager
def worker_pool(device: torch.device, most: int) -> Iterator[WorkerPool | None]:
    """Have workers inside a ``with`` block, if that is inside `parasim.on_ray`.

    Parameters
    ----------
    device : torch.device
        What they train on. On a CPU, each has as many threads as this process: sums depend on that. Otherwise each
        has a GPU.
    most : int
        How many can be busy at a time.

    Yields
    ------
    WorkerPool or None
        None where this process is to do everything itself.

    Raises
    ------
    EngineError
        If no machine of the cluster is large enough for a single worker.
    """
    where = engine()
    if not isinstance(where, RayEngine):
        yield None
        return
    gpus = 1 if device.type == "cuda" else 0
    threads = torch.get_num_threads()
    processors = 1 if gpus else threads
    count = min(most, where.room(processors=processors, gpus=gpus))
    if not count:
        raise EngineError(
            "no machine of the Ray cluster has a GPU, as this one has; train.device=cpu goes without"
            if gpus
            else f"no machine of the Ray cluster has {threads} processors, as many as this process has threads; "
            "set OMP_NUM_THREADS to fewer"
        )
    pool = WorkerPool(count, processors=processors, gpus=gpus)
    try:
        yield pool
    finally:
        pool.shut_down()


class OpenJob:
    """Something that a worker does, or will do, or has done."""

    def __init__(self, request: Callable[[], Any]):
        self.request = request
        self.answer: Any = None
        self.error: Exception | None = None
        self.done = False
        self.deaths = 0


class WorkerPool:
    """Workers of a Ray cluster, started when there is something to do.

    Parameters
    ----------
    count : int
        How many.
    processors, gpus : int
        Of the cluster, for each of them.
    """

    def __init__(self, count: int, *, processors: int, gpus: int = 0):
        self.count = count
        self._resources = {"num_cpus": processors, "num_gpus": gpus}
        self._workers: list[Any] = []
        self._idle: list[Any] = []
        self._queue: deque[OpenJob] = deque()
        # What is awaited, by its reference: a worker, and its job; None while it is starting.
        self._busy: dict[Any, tuple[Any, OpenJob | None]] = {}
        self._failed_starts = 0

    def submit(self, request: Callable[[], Any]) -> OpenJob:
        """Have something done as soon as a worker is free; `request` gives what it needs to know, by then."""
        job = OpenJob(request)
        self._queue.append(job)
        while len(self._workers) < self.count:
            self._start_worker()
        self._advance(wait=False)
        return job

    def result(self, job: OpenJob) -> Any:
        """Wait for something to be done.

        Raises
        ------
        EngineError
            If workers cannot do any, or die again and again. What doing it raised is raised as it is.
        """
        while not job.done:
            self._advance(wait=True)
        if job.error is not None:
            raise job.error
        return job.answer

    def shut_down(self) -> None:
        """End all workers, whatever they are doing."""
        import ray

        if ray.is_initialized():
            for worker in self._workers:
                ray.kill(worker)
        for held in (self._workers, self._idle, self._busy, self._queue):
            held.clear()

    def _start_worker(self) -> None:
        import ray

        from train.worker import Worker

        # Not started anew by Ray: what it was doing goes to whoever is free first.
        worker = ray.remote(**self._resources, max_restarts=0)(Worker).remote()
        self._workers.append(worker)
        beginning = worker.begin.remote(surroundings(), torch.__version__, torch.get_num_threads())
        self._busy[beginning] = (worker, None)

    def _advance(self, *, wait: bool) -> None:
        """Take what is done, waiting for something to be if asked to, and give out what is not."""
        import ray

        awaited = list(self._busy)
        done, _ = ray.wait(awaited, num_returns=1 if wait else len(awaited), timeout=None if wait else 0)
        for reference in done:
            self._collect(reference)
        while self._queue and self._idle:
            worker, job = self._idle.pop(), self._queue.popleft()
            self._busy[worker.do.remote(ray.put(job.request()))] = (worker, job)

    def _collect(self, reference: Any) -> None:
        """Take what a worker has done; it is free again, or replaced if it died."""
        import ray

        worker, job = self._busy.pop(reference)
        answer, failed = None, None
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayActorError as death:
            self._replace(worker, job, in_words(death))
            return
        except ray.exceptions.RayError as error:
            failed = in_words(error)
        self._idle.append(worker)
        if job is not None:
            # Raised where it is waited for: what is reported must not depend on who was faster.
            job.answer, job.error, job.done = answer, failed, True
        elif failed is not None:
            raise failed

    def _replace(self, worker: Any, job: OpenJob | None, reason: Exception) -> None:
        import ray

        self._workers.remove(worker)
        # Gone for sure, even if it was only out of reach: another one takes its place.
        ray.kill(worker)
        if job is None:
            self._failed_starts += 1
            if self._failed_starts > ATTEMPTS_AGAIN:
                raise reason
        else:
            job.deaths += 1
            if job.deaths > ATTEMPTS_AGAIN:
                raise EngineError(
                    f"a worker was killed {job.deaths} times over the same update, perhaps for want of memory"
                )
            self._queue.appendleft(job)
        self._start_worker()
