"""The same function for many items, on all the processors there are: results in the items' order, streamed both ways.

The workers are processes of this machine, unless `using` chose other ones.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any, Protocol, TypeVar

from parasim_core.sim.errors import OutputError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Run = Callable[[Any], Any]
Submit = Callable[[list[Any]], Any]
"""Has a batch of items computed, and returns what its answers are asked for with."""
Collect = Callable[[Any], list[Any]]
"""Waits for the answers of the batch that was submitted first of those not collected yet."""

AHEAD = 4
"""Batches per worker that wait their turn or to be read: enough to keep it busy, few enough for any memory."""


class WorkerPool(Protocol):
    """Where runs are computed."""

    def cores(self) -> int:
        """Number of processors."""

    def started(self, run: Run, workers: int) -> AbstractContextManager[tuple[Submit, Collect]]:
        """Have workers for a function inside a ``with`` block; what is not collected at its end is given up."""


class LocalPool:
    """Worker processes of this machine."""

    def cores(self) -> int:
        """Number of processors that this process may use."""
        return len(os.sched_getaffinity(0))

    @contextmanager
    def started(self, run: Run, workers: int) -> Iterator[tuple[Submit, Collect]]:
        """Have worker processes inside a ``with`` block.

        Raises
        ------
        OutputError
            If one of them was killed.
        """
        # Most commands start no workers, and need not wait for these.
        import multiprocessing
        from concurrent.futures import Future, ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), initializer=depend_on_parent)
        try:
            yield lambda items: pool.submit(_run_all, run, items), Future.result
        except BaseException as error:
            # Do not wait for runs that nobody will read.
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
            if isinstance(error, BrokenProcessPool):
                raise OutputError(
                    "a worker process was killed, perhaps for want of memory; try again with --jobs 1"
                ) from None
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_pool: ContextVar[WorkerPool] = ContextVar("pool")
_LOCAL = LocalPool()


@contextmanager
def using(pool: WorkerPool) -> Iterator[None]:
    """Compute with another pool inside a ``with`` block."""
    before = _pool.set(pool)
    try:
        yield
    finally:
        _pool.reset(before)


def current_pool() -> WorkerPool:
    """Tell where runs are computed."""
    return _pool.get(_LOCAL)


def cores() -> int:
    """Number of processors that there are for runs."""
    return current_pool().cores()


def in_order(run: Callable[[Item], Answer], items: Iterable[Item], *, workers: int, batch: int = 1) -> Iterator[Answer]:
    """Run a function for every item.

    Parameters
    ----------
    run : callable
        What to do; with several workers it must be importable by them.
    items : iterable
        Read as it is needed, never all at once.
    workers : int
        How many compute at a time; with 1, everything happens in this process.
    batch : int
        Items that a worker takes at a time.

    Returns
    -------
    iterator
        One answer per item, in the order of the items, whatever the pool and the number of workers.

    Raises
    ------
    OutputError
        While it is read: if a worker was killed and the pool does not run its items again. What `run` raises is
        raised again.
    """
    if workers <= 1:
        return (run(item) for item in items)
    return _in_batches(run, items, workers, batch)


def _in_batches(run: Callable[[Item], Answer], items: Iterable[Item], workers: int, batch: int) -> Iterator[Answer]:
    source, submitted = iter(items), deque[Any]()
    with current_pool().started(run, workers) as (submit, collect):
        while True:
            while len(submitted) < AHEAD * workers and (todo := list(islice(source, batch))):
                submitted.append(submit(todo))
            if not submitted:
                break
            yield from collect(submitted.popleft())


def _run_all(run: Callable[[Item], Answer], items: list[Item]) -> list[Answer]:
    return [run(item) for item in items]


def depend_on_parent() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent; and end when the parent does."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
