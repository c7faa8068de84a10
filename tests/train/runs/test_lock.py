"""One process at a time in a directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parasim_core.sim.errors import OutputError
from parasim_core.train.runs.lock import locked

HOLD = """
import sys
from pathlib import Path
from parasim_core.train.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

COUNT = """
import sys
from pathlib import Path
from parasim_core.sim.errors import OutputError
from parasim_core.train.runs.lock import locked
done = 0
while done < 20:
    try:
        with locked(Path(sys.argv[1]), "number"):
            number = Path(sys.argv[1], "number")
            number.write_text(str(int(number.read_text()) + 1))
            done += 1
    except OutputError:
        pass
"""


@contextmanager
def held(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the directory, until its input ends."""
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_second_process_is_told_who_has_it(tmp_path: Path):
    with (
        held(tmp_path) as other,
        pytest.raises(OutputError, match=rf"another paraSim \(process {other.pid}\)"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        assert int((tmp_path / ".lock").read_text()) == os.getpid()
    assert not any(tmp_path.iterdir())


def test_a_file_alone_is_kept_and_its_neighbours_are_free(tmp_path: Path):
    with locked(tmp_path, "mine.json"), locked(tmp_path, "other.json"), locked(tmp_path):
        with (
            pytest.raises(OutputError, match=r"mine\.json: another paraSim .* give another file"),
            locked(tmp_path, "mine.json"),
        ):
            pass
        assert not (tmp_path / "mine.json").exists()


def test_many_who_come_and_go_never_have_it_together(tmp_path: Path):
    # Each adds one to a number in two steps, which would lose some of them if two were within at the same time.
    number = tmp_path / "number"
    number.write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert number.read_text() == "60"


def test_the_lock_of_a_process_that_was_killed_is_gone(tmp_path: Path):
    with held(tmp_path) as other:
        other.kill()
        other.wait()
        assert (tmp_path / ".lock").exists()
        with locked(tmp_path):
            pass


def test_it_is_given_back_whatever_happens(tmp_path: Path):
    def fail() -> None:
        with locked(tmp_path):
            raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011 - its own
            fail()


def test_directories_are_made_and_files_are_not_directories(tmp_path: Path):
    with locked(tmp_path / "new" / "folder"):
        assert (tmp_path / "new" / "folder").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be used for results"), locked(tmp_path / "file"):
        pass


def test_a_file_system_without_locks_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import fcntl

    def no_locks(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locked(tmp_path), locked(tmp_path):
        assert (tmp_path / ".lock").exists()
