"""Files that are read within a bound and written whole or not at all, and directories known to be writable."""

from __future__ import annotations

import csv
import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO

from parasim_core.sim.errors import OutputError, shown_path
from parasim_core.sim.support.deleted_results import check_results, note_result, watch_folder

LARGEST_RESULT = 2**30
"""Largest file of results that is read again [B]."""


def is_file(path: Path) -> bool:
    """Tell whether a path names a file; what can be no path at all, as it is too long, names none."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def is_folder(path: Path) -> bool:
    """Tell whether a path names a folder; what can be no path at all, as it is too long, names none."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def read_text(path: Path, largest: int = LARGEST_RESULT) -> str:
    """Read a file of text, with or without a byte order mark.

    Parameters
    ----------
    path : Path
        A regular file: a pipe or a device would block or never end.
    largest : int
        Size that is still read [B].

    Raises
    ------
    ValueError
        With a message that begins with the path: if there is no such file, it cannot be read, is larger or not UTF-8.
    """
    content = read_bytes(path, largest)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{shown_path(path)}: is not UTF-8 text (line {line})") from None


def read_bytes(path: Path, largest: int) -> bytes:
    """Read a file, as `read_text` does.

    Raises
    ------
    ValueError
        With a message that begins with the path: if there is no such file, it cannot be read or is larger.
    """
    name = shown_path(path)
    if "\0" in str(path):
        raise ValueError(f"{name}: no such file")
    try:
        # Opened before it is looked at, so that it stays what it is; without waiting, as a pipe or a log of the kernel
        # without news would make us do.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ValueError(f"{name}: {'is a directory' if stat.S_ISDIR(mode) else 'is not a regular file'}")
            content = file.read(largest + 1) or b""
    except FileNotFoundError:
        raise ValueError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{name}: is a directory") from None
    except OSError as error:
        raise ValueError(f"{name}: cannot be read: {error.strerror}") from None
    if len(content) > largest:
        raise ValueError(f"{name}: larger than {largest // 2**20} MiB")
    return content


def write_atomically(path: Path, write: Callable[[IO[str]], object]) -> None:
    """Write a text file that appears whole under its name, or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    check_results()
    check_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{shown_path(path)}: cannot be written: {error.strerror}") from None
    except UnicodeEncodeError as error:
        character = ascii(error.object[error.start])
        raise OutputError(f"{shown_path(path)}: cannot be written: {character} in a name is no character") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    note_result(path)


def write_json(path: Path, data: object) -> None:
    """Write plain data as JSON, as `write_atomically` does."""
    text = json.dumps(data, indent=2)
    write_atomically(path, lambda file: file.write(text + "\n"))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV, as `write_atomically` does."""
    write_atomically(path, lambda file: csv.writer(file, lineterminator="\n").writerows(chain([columns], rows)))


def check_directory(path: Path) -> None:
    """Make sure, before a long run, that results can be written to a directory, which need not exist yet.

    Raises
    ------
    OutputError
        If a file stands in its place, it may not be written to, or its name is too long.
    """
    try:
        existing = next(place for place in (path, *path.absolute().parents) if _exists(place))
        longest = max(len(os.fsencode(part)) for part in (".", *path.parts))
        if longest > os.pathconf(existing, "PC_NAME_MAX"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except FileNotFoundError:
        raise OutputError(f"{path}: cannot hold results: the current folder was deleted") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(f"{shown_path(path)}: cannot hold results: {reason}") from None
    if not existing.is_dir():
        raise OutputError(f"{shown_path(path)}: cannot hold results: {shown_path(existing)} is not a directory")
    try:
        # Rights alone do not tell: a superuser has them all, and some file systems hold no files of anyone.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError:
        raise OutputError(f"{path}: cannot hold results: {existing} may not be written to") from None
    if existing == path:
        watch_folder(path)


def _exists(path: Path) -> bool:
    """Tell whether anything is there, a link that leads nowhere included; a name that cannot be is an error."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
