"""A device with too little memory: tell it from other errors, make room, and try once more."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from sim.errors import ParaSimError

_Result = TypeVar("_Result")
_SIGNS = ("out of memory", "ALLOC_FAILED")
_OTHER = "device-side assert"
_TRIES = 2


class NoRoomError(ParaSimError):
    """A device has too little memory, as its allocator says."""


def lacks_memory(error: BaseException) -> bool:
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


def make_room() -> None:
    """Free what only its own reference cycles hold, and give a GPU's unused memory back to its driver."""
    gc.collect()
    # Does nothing where CUDA was never used.
    torch.cuda.empty_cache()


def with_room(work: Callable[[], _Result]) -> _Result:
    """Do something, and once more with room made if memory lacked: it may only have been in too small pieces.

    Parameters
    ----------
    work : callable
        What is done; nothing is left of it where it fails.

    Raises
    ------
    NoRoomError
        If memory lacked again.
    """
    reason = ""
    for _ in range(_TRIES):
        try:
            return work()
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            reason = str(error).strip().partition("\n")[0][:200]
        # Only now are the frames gone that held the tensors.
        make_room()
    raise NoRoomError(reason or "out of memory")
