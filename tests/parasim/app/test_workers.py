"""Processes that answer the page's questions: given up, killed, and there again."""

from __future__ import annotations

import asyncio
import os
import signal
from unittest import mock

import pytest

from parasim.app import workers as room
from parasim.app.questions import QUESTIONS
from parasim.app.workers import KilledError, Workers

SMALL = {"fields": {"model": "llama-3-8b", "compute": {"seconds": 30}, "rounds": 2}}
# A question of minutes.
LONG = {"fields": SMALL["fields"] | {"rounds": 1_000_000, "method": "fedbuff"}}


async def _rounds(workers: Workers) -> int:
    found, wrong = await workers.ask("run", SMALL)
    assert not wrong
    return int(found["figures"]["rounds"])


def test_what_nobody_waits_for_is_stopped_and_others_are_answered():
    async def scene() -> None:
        workers = Workers()
        try:
            tasks = [asyncio.create_task(workers.ask("run", LONG)) for _ in range(6)]
            await asyncio.sleep(0.5)
            for task in tasks:
                task.cancel()
            # All processes for quick questions were busy: this is answered by what takes their place.
            assert await asyncio.wait_for(_rounds(workers), 60) == 2
        finally:
            workers.stop()

    asyncio.run(scene())


def test_what_takes_too_long_is_given_up():
    async def scene() -> None:
        workers = Workers()
        try:
            await _rounds(workers)
            impatient = QUESTIONS | {"run": QUESTIONS["run"]._replace(patience=0.1)}
            with mock.patch.object(room, "QUESTIONS", impatient), pytest.raises(TimeoutError):
                await workers.ask("run", LONG)
            assert await asyncio.wait_for(_rounds(workers), 60) == 2
        finally:
            workers.stop()

    asyncio.run(scene())


def test_a_killed_process_is_told_and_replaced():
    async def scene() -> None:
        workers = Workers()
        try:
            await _rounds(workers)
            task = asyncio.create_task(workers.ask("run", LONG))
            await asyncio.sleep(0.5)
            for worker in [*workers._all]:
                os.kill(worker.process.pid, signal.SIGKILL)
            with pytest.raises(KilledError):
                await task
        finally:
            workers.stop()

    asyncio.run(scene())
