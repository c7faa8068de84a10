"""Regular files alone are read, whole and within a bound: a device or a pipe would keep a command waiting for ever."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from parasim_core.sim.support.atomic_files import read_bytes, read_text


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def to_itself(path: Path) -> None:
    path.symlink_to(path)


def to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


def to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, listening, to_itself, to_a_pipe, to_a_device, Path.mkdir, lambda path: None])
def test_what_is_no_regular_file(tmp_path: Path, make: Callable[[Path], object]):
    path = tmp_path / "a"
    make(path)
    for read in (read_bytes, read_text):
        with pytest.raises(ValueError, match=re.escape(f"{path}: ")):
            read(path, 1000)


def test_a_file_as_large_as_the_bound(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1000)
    assert read_bytes(path, 1000) == b"x" * 1000
    with pytest.raises(ValueError, match="larger than"):
        read_text(path, 999)


def test_a_path_is_named_on_one_line(tmp_path: Path):
    for name in ("a\nb", "\x1b[31m", "x" * 5000, "\0"):
        with pytest.raises(ValueError, match=r"^/") as caught:
            read_text(tmp_path / name, 10)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300
