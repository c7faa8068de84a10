"""Processes that answer questions and can be stopped, when that takes too long or nobody waits for it any more."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from parasim.app.questions import QUESTIONS, answer
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.support.worker_pool import cores

_SLOW = 2
"""Processes for questions that take seconds."""
_GRACE = 2.0
"""A process that nobody waits for any more may take so long to finish before it is killed [s]."""
_READ_FIRST = [f"parasim.app.{name}" for name in ("running", "methods", "lines", "reasons", "forms", "files")]


class KilledError(ParaSimError):
    """The process that was to answer is gone."""


class Workers:
    """Processes for quick questions and for slow ones, so that neither wait for the other.

    Made, asked and stopped within one event loop.
    """

    def __init__(self) -> None:
        # Forked from a process that has read everything and has no threads: there in no time, and safe.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_READ_FIRST)
        self._all: set[_Worker] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(thread_name_prefix="reading")
        numbers = {True: max(2, min(4, cores())), False: _SLOW}
        self._idle: dict[bool, asyncio.Queue[_Worker]] = {quick: asyncio.Queue() for quick in numbers}
        for quick, number in numbers.items():
            for _ in range(number):
                self._idle[quick].put_nowait(self._new())

    async def ask(self, name: str, asked: Mapping[str, Any]) -> Any:
        """Have a question answered. Whoever is cancelled here waits no longer, and what computed for it is stopped.

        Raises
        ------
        TimeoutError
            If it takes longer than it may.
        KilledError
            If the process was killed.
        """
        idle = self._idle[QUESTIONS[name].is_quick]
        worker = await idle.get()
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self._threads, worker.answered, name, dict(asked))
        try:
            found = await asyncio.wait_for(asyncio.shield(reading), QUESTIONS[name].patience)
        except (TimeoutError, asyncio.CancelledError):
            task = loop.create_task(self._retire(worker, reading, idle))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
            raise
        if found is None:
            self._replace(worker, idle)
            raise KilledError("the process that computed this was killed, perhaps for want of memory")
        idle.put_nowait(worker)
        if isinstance(found, Exception):
            raise found
        return found

    def stop(self) -> None:
        """End all processes, whatever they are at."""
        for task in self._retiring:
            task.cancel()
        for worker in self._all:
            worker.process.kill()
        self._threads.shutdown(cancel_futures=True)

    async def _retire(self, worker: _Worker, reading: asyncio.Future[Any], idle: asyncio.Queue[_Worker]) -> None:
        """Let a process finish what nobody waits for, or have another one in its place."""
        await asyncio.wait({reading}, timeout=_GRACE)
        if reading.done() and reading.result() is not None:
            idle.put_nowait(worker)
            return
        worker.process.kill()
        self._replace(worker, idle)

    def _replace(self, worker: _Worker, idle: asyncio.Queue[_Worker]) -> None:
        self._all.discard(worker)
        idle.put_nowait(self._new())

    def _new(self) -> _Worker:
        worker = _Worker(self._context)
        self._all.add(worker)
        return worker


class _Worker:
    """One process, and the connection over which it is asked."""

    def __init__(self, context: multiprocessing.context.ForkServerContext) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_answer_all, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def answered(self, name: str, asked: dict[str, Any]) -> Any:
        """Ask, and wait for the answer or for what was raised; None if the process is gone."""
        with suppress(EOFError, OSError):
            self.connection.send((name, asked))
            return self.connection.recv()
        return None


def _answer_all(connection: Connection) -> None:
    """Answer one question after the other, as long as somebody may ask."""
    # Ctrl-C in a terminal reaches everyone; whoever started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            name, asked = connection.recv()
        except EOFError:
            return
        try:
            found: object = answer(name, asked)
        except Exception as error:  # a fault of paraSim's or of a user's own method
            found = RuntimeError(f"{type(error).__name__}: {error}")
        connection.send(found)
