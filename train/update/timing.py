"""What is read as time, the same wherever real training is timed."""

from __future__ import annotations

import time
from typing import Literal

import torch

Clock = Literal["wall-clock", "cpu-time", "gpu-events"]


def clock_for(device: torch.device, threads: int) -> Clock:
    """Choose what is read.

    A GPU has its own clock. A single thread's processor time is what its wall-clock would be without other
    programs; several threads wait for one another, which no processor time shows.

    Parameters
    ----------
    device : torch.device
        Where is computed.
    threads : int
        Threads that PyTorch computes with on a CPU.
    """
    if device.type == "cuda":
        return "gpu-events"
    return "cpu-time" if threads == 1 else "wall-clock"


def now(device: torch.device) -> float:
    """Read the time once a device has done all that it was given [s]; only differences mean something."""
    if device.type == "cuda":
        # Everything between two such moments is done: the host's clock and the device's agree.
        torch.cuda.synchronize(device)
    elif clock_for(device, torch.get_num_threads()) == "cpu-time":
        return time.process_time()
    return time.perf_counter()
