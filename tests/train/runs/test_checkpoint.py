"""A checkpoint is there whole or not at all, and only its own run goes on from it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.runs.checkpoint import Checkpoint, CheckpointError, load, save


def checkpoint(round: int) -> Checkpoint:
    return Checkpoint(round, {"note": round}, {"values": torch.full((3,), float(round))})


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_last_one_is_read_and_the_one_before_is_gone(tmp_path: Path):
    for round in (0, 1):
        save(tmp_path, checkpoint(round), "run")
    found = load(tmp_path, "run")
    assert found is not None
    assert (found.round, found.record["note"], found.tensors["values"].tolist()) == (1, 1, [1.0] * 3)
    assert len(list(tmp_path.iterdir())) == 1


def test_its_files_are_readable_to_the_same_people(tmp_path: Path):
    save(tmp_path, checkpoint(0), "run")
    (tmp_path / "any").touch()
    files = [tmp_path / "any", *(tmp_path / "round-000000").iterdir()]
    assert len({path.stat().st_mode for path in files}) == 1


def test_none_yet(tmp_path: Path):
    assert load(tmp_path / "nowhere", "run") is None


@given(seconds=st.floats(allow_nan=False, allow_infinity=False))
def test_seconds_survive_to_the_bit(seconds: float):
    assert json.loads(json.dumps(seconds)) == seconds


def test_tensors_that_share_memory_are_kept(tmp_path: Path):
    whole = torch.arange(6.0)
    save(tmp_path, Checkpoint(0, {}, {"whole": whole, "view": whole[::2]}), "run")
    found = load(tmp_path, "run")
    assert found is not None
    assert found.tensors["view"].tolist() == [0, 2, 4]


@pytest.mark.parametrize("where", ["tensors", "record", "rename"])
def test_a_full_disk_leaves_the_last_good_one(where: str, tmp_path: Path, monkeypatch):
    save(tmp_path, checkpoint(0), "run")
    with monkeypatch.context() as patch:
        if where == "tensors":
            patch.setattr(safetensors.torch, "save_file", full_disk)
        else:
            patch.setattr(Path, "write_text" if where == "record" else "rename", full_disk)
        with pytest.raises(CheckpointError, match="round 1 cannot be written: No space left on device"):
            save(tmp_path, checkpoint(1), "run")
    found = load(tmp_path, "run")
    assert found is not None
    assert found.round == 0
    assert len(list(tmp_path.iterdir())) == 1


def other_bit(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def refused(folder: Path) -> str:
    """The one line that says that a checkpoint cannot be gone on from."""
    with pytest.raises(CheckpointError) as error:
        load(folder, "run")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200 + len(str(folder))
    return str(error.value)


NAMES = ("SHA256SUMS", "record.json", "tensors.safetensors")
EDITS = {
    "a digit": lambda content: content.replace(b"7", b"8", 1),
    "a space": lambda content: content + b" ",
    "the last byte": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "all": lambda content: b"",
    "not UTF-8": lambda content: b"\xff" + content,
    "other JSON": lambda content: b"[1, 2]",
    "no fields": lambda content: b"{}",
    "nested without end": lambda content: b"[" * 100_000,
    "gone": None,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", EDITS)
def test_a_damaged_one_is_named(how: str, name: str, tmp_path: Path):
    save(tmp_path, checkpoint(7), "run")
    path, edit = tmp_path / "round-000007" / name, EDITS[how]
    before = path.read_bytes()
    if edit is None:
        path.unlink()
    elif edit(before) == before:
        pytest.skip("there is no such digit in it")
    else:
        path.write_bytes(edit(before))
    assert "round-000007: is" in refused(tmp_path)


@given(position=st.floats(0, 1, exclude_max=True), name=st.sampled_from(NAMES))
def test_no_bit_may_change(position: float, name: str, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder, checkpoint(7), "run")
    path = folder / "round-000007" / name
    content = path.read_bytes()
    path.write_bytes(other_bit(content, int(position * len(content))))
    assert "round-000007: is" in refused(folder)


@pytest.mark.parametrize("add", [Path.touch, Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_nothing_may_be_added(add: Callable[[Path], object], tmp_path: Path):
    save(tmp_path, checkpoint(7), "run")
    add(tmp_path / "round-000007" / "model.bin")
    assert "round-000007: is damaged (model.bin: is not part of it); delete it" in refused(tmp_path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("of", ["another round", "another run"])
def test_files_of_another_one_are_not_taken_for_its_own(name: str, of: str, tmp_path: Path):
    save(tmp_path, checkpoint(7), "run")
    save(tmp_path / "other", checkpoint(3), "run" if of == "another round" else "other")
    shutil.copy(tmp_path / "other" / "round-000003" / name, tmp_path / "round-000007" / name)
    assert "round-000007: is damaged" in refused(tmp_path)


def test_one_under_another_rounds_name_is_refused(tmp_path: Path):
    save(tmp_path, checkpoint(3), "run")
    (tmp_path / "round-000003").rename(tmp_path / "round-000007")
    assert "round-000007: is damaged (its folder's name is not that of round 3)" in refused(tmp_path)


def test_its_seal_is_what_sha256sum_writes(tmp_path: Path):
    save(tmp_path, checkpoint(0), "run")
    folder = tmp_path / "round-000000"
    expected = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in NAMES[1:]]
    assert (folder / "SHA256SUMS").read_text().splitlines() == expected


def test_another_runs_is_refused(tmp_path: Path):
    save(tmp_path, checkpoint(0), "run")
    with pytest.raises(CheckpointError, match="belongs to another run"):
        load(tmp_path, "other")


def test_another_formats_is_refused(tmp_path: Path):
    save(tmp_path, checkpoint(0), "run")
    record = tmp_path / "round-000000" / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointError, match="of format 99"):
        load(tmp_path, "run")


def test_what_a_killed_process_left_half_written_is_cleared(tmp_path: Path):
    (tmp_path / ".round-000003.123.part").mkdir()
    assert load(tmp_path, "run") is None
    save(tmp_path, checkpoint(4), "run")
    assert [path.name for path in tmp_path.iterdir()] == ["round-000004"]
