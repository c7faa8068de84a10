"""One process at a time in a directory of results, or at one file: two would overwrite what the other writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from parasim_core.sim.errors import OutputError
from parasim_core.sim.support.deleted_results import watch_folder

_NAME = ".lock"


@contextmanager
def locked(directory: Path, file: str = "") -> Iterator[None]:
    """Keep a directory for this process, making it if it is missing.

    Parameters
    ----------
    directory : Path
        Where results go.
    file : str
        Name of a file in it, to keep no more than that.

    Raises
    ------
    OutputError
        If it cannot be used, or another process, which still lives, has it.

    Notes
    -----
    The operating system gives the lock back when its process ends, however it ends: a file that a killed process left
    behind locks nothing. On a file system that knows no locks nothing is refused.
    """
    path = directory / (f".{file}{_NAME}" if file else _NAME)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise OutputError(f"{directory}: cannot be used for results: {error.strerror}") from None
    watch_folder(directory)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        holder = _holder(path)
        raise OutputError(
            f"--out {directory / file}: another paraSim (process {holder}) is writing there; wait for its end, or "
            f"give another {'file' if file else 'directory'}"
        ) from None
    except OSError:
        # This file system knows no locks.
        yield
        return
    try:
        path.write_text(f"{os.getpid()}\n")
        yield
    finally:
        # While it is held: whoever has opened the file meanwhile sees that it has no name any more, and begins anew.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _holder(path: Path) -> str:
    """Process that a lock's file names."""
    with suppress(OSError):
        return path.read_text(errors="replace").strip() or "unknown"
    return "unknown"
