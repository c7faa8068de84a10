"""The same function for many items, on all the processors there are: results in the items' order, streamed both ways.

What the processors are, an engine says: worker processes of this machine, unless `using` chose another one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Protocol, TypeVar

from sim.errors import OutputError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

AHEAD = 4
"""Batches per worker that wait their turn or to be read: enough to keep it busy, few enough for any memory."""


class Engine(Protocol):
    """Where runs are computed."""

    def cores(self) -> int:
        """Number of processors."""
        ...

    def in_order(
        self, run: Callable[[Item], Answer], items: Iterable[Item], *, workers: int, batch: int
    ) -> Iterator[Answer]:
        """Run a function for every item with several workers, as `in_order` of this module says."""
        ...


class LocalEngine:
    """Worker processes of this machine."""

    def cores(self) -> int:
        """Number of processors that this process may use."""
        return len(os.sched_getaffinity(0))

    def in_order(
        self, run: Callable[[Item], Answer], items: Iterable[Item], *, workers: int, batch: int
    ) -> Iterator[Answer]:
        """Run a function for every item in worker processes."""
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), initializer=_depend_on_parent)
        finished = False
        try:
            source = iter(items)
            running: deque[Future[list[Answer]]] = deque()
            while True:
                while len(running) < AHEAD * workers and (todo := list(islice(source, batch))):
                    running.append(pool.submit(_run_all, run, todo))
                if not running:
                    break
                yield from running.popleft().result()
            finished = True
        except BrokenProcessPool:
            raise OutputError(
                "a worker process was killed, perhaps for want of memory; try again with --jobs 1"
            ) from None
        finally:
            if not finished:
                # Do not wait for runs that nobody will read.
                for worker in set(multiprocessing.active_children()) - others:
                    worker.kill()
            pool.shutdown(wait=True, cancel_futures=True)


_HERE = LocalEngine()
_engine: ContextVar[Engine] = ContextVar("engine", default=_HERE)


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """Compute with another engine inside a ``with`` block."""
    before = _engine.set(engine)
    try:
        yield
    finally:
        _engine.reset(before)


def engine() -> Engine:
    """Tell where runs are computed."""
    return _engine.get()


def cores() -> int:
    """Number of processors that there are for runs."""
    return engine().cores()


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
        One answer per item, in the order of the items, whatever the engine and the number of workers.

    Raises
    ------
    OutputError
        While it is read: if a worker was killed and the engine does not run its items again. What `run` raises is
        raised here.
    """
    if workers <= 1:
        return (run(item) for item in items)
    return engine().in_order(run, items, workers=workers, batch=batch)


def _run_all(run: Callable[[Item], Answer], items: list[Item]) -> list[Answer]:
    return [run(item) for item in items]


def _depend_on_parent() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent; and end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
