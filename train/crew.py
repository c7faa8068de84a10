"""Workers of a Ray cluster for work that needs a process of its own kind: started once, busy as long as there is any.

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
from sim.studies.pool import current_pool
from sim.studies.ray_engine import ATTEMPTS_AGAIN, RayPool, original_error, worker_environment


@contextmanager
def crew(device: torch.device, most: int) -> Iterator[Crew | None]:
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
    Crew or None
        None where this process is to do everything itself.

    Raises
    ------
    EngineError
        If the cluster has no room for a single worker.
    """
    where = current_pool()
    if not isinstance(where, RayPool):
        yield None
        return
    gpus = 1 if device.type == "cuda" else 0
    threads = torch.get_num_threads()
    processors = 1 if gpus else threads
    room = where.capacity(processors=processors, gpus=gpus)
    if not room:
        raise EngineError(
            "no machine of the Ray cluster has a GPU, as this one has; train.device=cpu goes without"
            if gpus
            else f"no machine of the Ray cluster has {threads} processors, as many as this process has threads; "
            "set OMP_NUM_THREADS to fewer"
        )
    workers = Crew(min(room, most), processors=processors, gpus=gpus)
    try:
        yield workers
    finally:
        workers.dismiss()


class Work:
    """Something to be done by a worker."""

    def __init__(self, errand: Callable[[], Any]):
        self.errand = errand
        self.answer: Any = None
        self.error: Exception | None = None
        self.done = False
        self.attempts = 0


class Crew:
    """Workers, started when there is something to do.

    Parameters
    ----------
    count : int
        How many.
    processors, gpus : int
        Of the cluster, for each of them.
    """

    def __init__(self, count: int, *, processors: int, gpus: int = 0):
        self.count = count
        self._needs = {"num_cpus": processors, "num_gpus": gpus}
        self._workers: list[Any] = []
        self._idle: list[Any] = []
        self._queue: deque[Work] = deque()
        # What is awaited, by its reference: a worker, and its work; None while it is starting.
        self._busy: dict[Any, tuple[Any, Work | None]] = {}
        self._failed_starts = 0

    def submit(self, errand: Callable[[], Any]) -> Work:
        """Have something done as soon as a worker is free; `errand` gives it what it needs to know, by then."""
        work = Work(errand)
        self._queue.append(work)
        while len(self._workers) < self.count:
            self._hire()
        self._attend(patiently=False)
        return work

    def result(self, work: Work) -> Any:
        """Wait for something to be done.

        Raises
        ------
        EngineError
            If workers cannot do any, or die again and again. What doing it raised is raised as it is.
        """
        while not work.done:
            self._attend(patiently=True)
        if work.error is not None:
            raise work.error
        return work.answer

    def dismiss(self) -> None:
        """End all workers, whatever they are doing."""
        import ray

        if ray.is_initialized():
            for worker in self._workers:
                ray.kill(worker)
        self._workers.clear()
        self._idle.clear()
        self._busy.clear()
        self._queue.clear()

    def _hire(self) -> None:
        import ray

        from train.worker import Worker

        # Not started anew by Ray: what it was doing goes to whoever is free first.
        worker = ray.remote(**self._needs, max_restarts=0)(Worker).remote()
        self._workers.append(worker)
        beginning = worker.begin.remote(worker_environment(), torch.__version__, torch.get_num_threads())
        self._busy[beginning] = (worker, None)

    def _attend(self, *, patiently: bool) -> None:
        """Take what is done and give out what is not: when something is done, or at once."""
        import ray

        awaited = list(self._busy)
        done, _ = ray.wait(awaited, num_returns=1 if patiently else len(awaited), timeout=None if patiently else 0)
        for reference in done:
            self._collect(reference)
        while self._queue and self._idle:
            worker, work = self._idle.pop(), self._queue.popleft()
            self._busy[worker.do.remote(ray.put(work.errand()))] = (worker, work)

    def _collect(self, reference: Any) -> None:
        """Take what a worker has done; it is free again, or replaced if it died."""
        import ray

        worker, work = self._busy.pop(reference)
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayActorError as death:
            self._replace(worker, work, original_error(death))
            return
        except ray.exceptions.RayError as error:
            if work is None:
                raise original_error(error) from None
            # Raised where it is waited for: what is reported must not depend on who was faster.
            work.error, work.done = original_error(error), True
        else:
            if work is not None:
                work.answer, work.done = answer, True
        self._idle.append(worker)

    def _replace(self, worker: Any, work: Work | None, reason: Exception) -> None:
        import ray

        self._workers.remove(worker)
        # Gone for sure, even if it was only out of reach: another one needs its place.
        ray.kill(worker)
        if work is None:
            self._failed_starts += 1
            if self._failed_starts > ATTEMPTS_AGAIN:
                raise reason
        else:
            work.attempts += 1
            if work.attempts > ATTEMPTS_AGAIN:
                raise EngineError(
                    f"a worker was killed {work.attempts} times over the same update, perhaps for want of memory"
                )
            self._queue.appendleft(work)
        self._hire()
