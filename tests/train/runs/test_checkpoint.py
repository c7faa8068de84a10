"""A checkpoint is there whole or not at all, and only its own run goes on from it."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.runs.checkpoint import Checkpoint, CheckpointError, load, save


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


def damage(folder: Path, how: str) -> None:
    tensors, record = folder / "tensors.safetensors", folder / "record.json"
    if how == "tensors cut short":
        tensors.write_bytes(tensors.read_bytes()[:-5])
    elif how == "no tensors":
        tensors.unlink()
    elif how == "tensors altered":
        tensors.write_bytes(tensors.read_bytes()[:-4] + b"\0\0\0\1")
    elif how == "tensors of another run":
        save(folder.parent / "other", Checkpoint(7, {}, {"others": torch.zeros(3)}), "other")
        shutil.copy(folder.parent / "other" / folder.name / tensors.name, tensors)
    elif how == "record cut short":
        record.write_text(record.read_text()[:20])
    elif how == "record of something else":
        record.write_text("[1, 2]")
    else:
        record.write_text("{}")


@pytest.mark.parametrize(
    "how",
    [
        "tensors cut short",
        "tensors altered",
        "tensors of another run",
        "no tensors",
        "record cut short",
        "record of something else",
        "empty record",
    ],
)
def test_a_damaged_one_is_named(how: str, tmp_path: Path):
    save(tmp_path, checkpoint(7), "run")
    damage(tmp_path / "round-000007", how)
    with pytest.raises(CheckpointError, match=r"round-000007: is damaged .*delete it"):
        load(tmp_path, "run")


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
