"""Results that are deleted while they are being written are missed, in time and at the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from parasim_core.sim.errors import OutputError
from parasim_core.sim.support.atomic_files import check_directory, write_atomically, write_json
from parasim_core.sim.support.deleted_results import noticing_deletions


def remade(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def command(*steps: Callable[[], object]) -> None:
    """Do something step by step, as a command whose results are watched."""
    with noticing_deletions():
        for step in steps:
            step()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("lose", [shutil.rmtree, remade, moved])
def test_a_folder_that_is_gone_is_not_made_again(lose: Callable[[Path], object], out: Path):
    with pytest.raises(OutputError, match=r"out: was deleted or replaced"):
        command(
            lambda: write_json(out / "one.json", 1),
            lambda: lose(out),
            lambda: write_json(out / "method" / "two.json", 2),
        )
    assert not (out / "method").exists()


@pytest.mark.parametrize("lost", [".", "deep", "one.json", "deep/two.json"])
def test_what_is_gone_at_the_end_is_named(lost: str, out: Path):
    path = out / lost
    with pytest.raises(OutputError) as error:
        command(
            lambda: write_json(out / "one.json", 1),
            lambda: write_json(out / "deep" / "two.json", 2),
            lambda: path.unlink() if path.is_file() else shutil.rmtree(path),
        )
    assert str(error.value).startswith(f"{path}: was deleted")


def test_a_folder_that_was_there_before_counts_from_the_start(tmp_path: Path):
    with pytest.raises(OutputError, match="was deleted"):
        command(lambda: check_directory(tmp_path), lambda: shutil.rmtree(tmp_path))


def test_what_stays_is_not_missed(out: Path):
    def inner() -> None:
        command(lambda: write_json(out / "other.json", 0))

    command(lambda: write_json(out / "same.json", 0), inner, lambda: write_json(out / "same.json", 1))
    # What happens between two commands is nobody's business.
    shutil.rmtree(out)
    command(lambda: write_json(out / "same.json", 0))


def test_another_error_is_not_hidden(out: Path):
    with pytest.raises(ZeroDivisionError):
        command(lambda: write_json(out / "one.json", 1), lambda: shutil.rmtree(out), lambda: 1 / 0)


def test_half_a_character_is_one_line(tmp_path: Path):
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written: '\\udcff'"):
        write_atomically(tmp_path / "a.txt", lambda file: file.write("a\udcffb"))
    assert list(tmp_path.iterdir()) == []
