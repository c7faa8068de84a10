"""A device with too little memory: tell it from other errors, free what is unused, and do it once more."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from parasim_core.sim.errors import ParaSimError

_Result = TypeVar("_Result")
_SIGNS = ("out of memory", "ALLOC_FAILED")
_OTHER = "device-side assert"


class DeviceMemoryError(ParaSimError):
    """A device has too little memory, as its allocator says."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device had too little memory.

    PyTorch's own allocator raises `torch.OutOfMemoryError`. The driver and the libraries beside it (cuBLAS, cuDNN),
    which allocate for themselves, fail with other runtime errors that only their text tells apart.

    Parameters
    ----------
    error : BaseException
        What was raised.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    # After a failed assertion every later call fails, and each may call it what it likes.
    return isinstance(error, RuntimeError) and _OTHER not in text and any(sign in text for sign in _SIGNS)


def free_memory() -> None:
    """Free what only its own reference cycles hold, and give a GPU's unused memory back to its driver."""
    gc.collect()
    # Does nothing where CUDA was never used.
    torch.cuda.empty_cache()


def retry_with_free_memory(work: Callable[[], _Result]) -> _Result:
    """Do something, and once more with memory freed if it lacked: it may only have been in too small pieces.

    Parameters
    ----------
    work : callable
        What is done; nothing is left of it where it fails.

    Raises
    ------
    DeviceMemoryError
        If memory lacked again.
    """
    reason = ""
    for _ in range(2):
        try:
            return work()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).strip().partition("\n")[0][:200]
        # Only now are the frames gone that held the tensors.
        free_memory()
    raise DeviceMemoryError(reason or "out of memory")
