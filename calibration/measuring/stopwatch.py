"""Read the time between moments of a training step, on the device that does the work."""

from __future__ import annotations

import time
from typing import Any

import torch

from parasim_core.train.update.timing import Clock


class Stopwatch:
    """Marks moments without waiting for the device, and says afterwards how far apart they are.

    Parameters
    ----------
    clock : str
        As `train.update.timing.clock_for` says.
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self._marks: list[Any] = []

    def mark(self) -> None:
        """Note the present moment: now, or when a GPU gets here."""
        if self._clock == "gpu-events":
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.process_time() if self._clock == "cpu-time" else time.perf_counter())

    def seconds(self) -> list[float]:
        """Moments since the first mark [s]; waits for a GPU to get to the last one."""
        first, *_ = self._marks
        if self._clock == "gpu-events":
            torch.cuda.synchronize()
            return [float(first.elapsed_time(mark)) / 1e3 for mark in self._marks]
        return [mark - first for mark in self._marks]
