"""Noticing that results are deleted while a command still writes to them: half of them must not pass for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from parasim_core.sim.errors import OutputError


class _Results:
    """What has been written so far, and the folders that it is in, each kept open: its number is not given away."""

    def __init__(self) -> None:
        self.files: set[Path] = set()
        self.folders: dict[Path, int] = {}


_results: ContextVar[_Results | None] = ContextVar("results", default=None)


@contextmanager
def noticing_deletions() -> Iterator[None]:
    """Notice, inside a ``with`` block and at its end, that results which were written in it are gone.

    Raises
    ------
    OutputError
        Before anything else is written, and at the end: if a folder of results was deleted or replaced, or a file.
    """
    if _results.get() is not None:
        # Part of something larger, which looks again at its own end.
        yield
        check_results()
        return
    results = _Results()
    token = _results.set(results)
    try:
        yield
        check_results()
    finally:
        _results.reset(token)
        for descriptor in results.folders.values():
            os.close(descriptor)


def watch_folder(folder: Path) -> None:
    """Note that results go to a folder that exists; nothing happens outside `noticing_deletions`."""
    results = _results.get()
    if results is not None and folder not in results.folders:
        # Who may write to a folder need not be allowed to open it.
        with suppress(OSError):
            results.folders[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def note_result(path: Path) -> None:
    """Note that a result was written to a file; nothing happens outside `noticing_deletions`."""
    results = _results.get()
    if results is not None:
        results.files.add(path)
        watch_folder(path.parent)


def check_results() -> None:
    """Make sure that all results are still there, before anything is written that would make their folders again.

    Raises
    ------
    OutputError
        If something was deleted, or a folder replaced by another.
    """
    results = _results.get()
    if results is None:
        return
    # The outermost is what was deleted.
    for folder, descriptor in sorted(results.folders.items()):
        try:
            same = os.path.samestat(folder.stat(), os.fstat(descriptor))
        except OSError:
            same = False
        if not same:
            raise _gone(folder)
    for path in sorted(results.files):
        if not os.path.lexists(path):
            raise _gone(path)


def _gone(path: Path) -> OutputError:
    return OutputError(
        f"{path}: was deleted or replaced while paraSim was running, so that results are missing; "
        "run the same command again"
    )
