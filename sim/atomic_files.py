"""Files that appear whole under their name or not at all, and directories that are known to be writable."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sim.errors import OutputError


def write_atomically(path: Path, write: Callable[[IO[str]], object]) -> None:
    """Write a text file that appears whole under its name, or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    check_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def check_directory(path: Path) -> None:
    """Make sure, before a long run, that results can be written to a directory, which need not exist yet.

    Raises
    ------
    OutputError
        If a file stands in its place, or it may not be written to.
    """
    existing = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not existing.is_dir():
        raise OutputError(f"{path}: cannot hold results: {existing} is not a directory")
    try:
        # Rights alone do not tell: a superuser has them all, and some file systems hold no files of anyone.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError:
        raise OutputError(f"{path}: cannot hold results: {existing} may not be written to") from None
