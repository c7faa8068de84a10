"""Processes that answer questions and can be stopped: when an answer takes too long, or nobody waits for it any more."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from pebble import ProcessPool

from parasim.app.questions import QUESTIONS, answer
from sim.support.worker_pool import cores

_SLOW = 2
"""Processes for questions that take seconds."""
_READ_FIRST = ("parasim.app.running", "parasim.app.methods", "parasim.app.lines", "parasim.app.reasons")


class Workers:
    """Processes for quick questions and for slow ones, so that neither wait for the other."""

    def __init__(self) -> None:
        # Forking a process that has threads is not safe.
        context = multiprocessing.get_context("spawn")
        quick = max(2, min(4, cores()))
        self._quick = ProcessPool(quick, initializer=_read_modules, context=context)
        self._slow = ProcessPool(_SLOW, context=context)
        # The first question need not wait for imports.
        self._quick.schedule(int)

    def ask(self, name: str, asked: Mapping[str, Any]) -> Future[Any]:
        """Have a question answered; cancelling its future stops the process that is at it.

        The future ends in `TimeoutError` when it takes too long, or in another error if its process was killed.
        """
        pool = self._quick if QUESTIONS[name].is_quick else self._slow
        return pool.schedule(answer, args=(name, dict(asked)), timeout=QUESTIONS[name].patience)

    def stop(self) -> None:
        """End all processes, whatever they are at."""
        for pool in (self._quick, self._slow):
            pool.stop()
        for pool in (self._quick, self._slow):
            pool.join()


def _read_modules() -> None:
    for module in _READ_FIRST:
        import_module(module)
