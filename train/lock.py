"""One process at a time in a directory of results, or at one file: two would overwrite what the other writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.errors import OutputError

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
    The operating system gives the lock back when its process ends, however it ends: the file that stays behind locks
    nothing. Where there are no such locks (Windows, some network file systems), nothing is refused.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / (f".{file}{_NAME}" if file else _NAME), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"{directory}: cannot be used for results: {error.strerror}") from None
    try:
        if not _lock(lock):
            holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
            raise OutputError(
                f"--out {directory / file}: another paraSim (process {holder}) is writing there; wait for its end, or "
                f"give another {'file' if file else 'directory'}"
            )
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        try:
            yield
        finally:
            # What a run leaves must not depend on which process it was.
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def _lock(file: int) -> bool:
    """Take the lock of an open file; False if another process has it."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # This file system knows no locks.
        return True
    return True
