"""What glibc's allocator makes of a local update: the memory that a process takes for what its tensors need.

glibc keeps freed pieces of up to 32 MiB, in holes that later tensors do not always fit, and small objects settle in the
holes. How much is lost that way follows from the order and the sizes of all allocations, which a trace knows: they are
replayed through the allocator itself, in a process of its own. Nothing is computed and no page is touched, so that the
replay of a model of any size takes a fraction of a second and hardly any memory.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from array import array
from typing import TYPE_CHECKING

from sim.errors import CostError

if TYPE_CHECKING:
    from calibration.shapes import ShapeModel, Step

SETTLED = 8
"""Steps after which the holes hardly grow any more."""


def glibc_peak(model: ShapeModel, step: Step, *, steps: int = SETTLED) -> int:
    """Predict what a process on a CPU takes at most for a local update, with the allocator that Linux programs have.

    Parameters
    ----------
    model : ShapeModel
        The model, in the precision that it is trained in.
    step : Step
        What is trained, on what.
    steps : int
        Steps of the local update.

    Returns
    -------
    int
        Bytes beyond those that the process has without a model [B].

    Raises
    ------
    CostError
        If this system's C library is not glibc 2.33 or newer, or its allocator cannot be asked.

    Notes
    -----
    What tensors lie beside in memory moves the holes about: measured peaks of the same run differ by up to 16 %.
    """
    return replayed_peak(model.trace(step, steps=steps).allocations)


def replayed_peak(allocations: array[int]) -> int:
    """Allocate and free as a trace did, in a process of its own.

    Parameters
    ----------
    allocations : array of int
        See `calibration.heap.Heap.events`.

    Returns
    -------
    int
        The most that the allocator had from the system [B].

    Raises
    ------
    CostError
        If this system's C library is not glibc 2.33 or newer, or its allocator cannot be asked.
    """
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split(".")[:2])) < (2, 33):
        raise CostError(
            f"what glibc's allocator takes can be asked with glibc 2.33 or newer, not with {library} {version}"
        )
    # The default allocator as it comes: neither another one nor other settings.
    foreign = ("LD_PRELOAD", "GLIBC_TUNABLES")
    environment = {k: v for k, v in os.environ.items() if k not in foreign and not k.startswith("MALLOC_")}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "calibration.malloc_replay"],
            input=allocations.tobytes(),
            capture_output=True,
            check=True,
            env=environment,
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise CostError(f"the allocator could not be asked: {' '.join(last)}") from None
    return int(done.stdout)
