"""Checkpoints: what a run needs to go on, in one folder that is there whole or not at all.

A protocol's processes cannot be saved, but they need not be: what they do follows from the seconds of the updates.
A resumed run simulates from the start, takes updates that were already trained from the checkpoint's log instead of
training them again, and trains on where the log ends. So it ends with the same bits.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sim.errors import ParaSimError
from train.models.packing import apart, save_tensors

FORMAT = 4
_PREFIX = "round-"
_TENSORS = "tensors.safetensors"
_RECORD = "record.json"


class CheckpointError(ParaSimError):
    """A checkpoint cannot be written, or is damaged, or belongs to another run."""


@dataclass(frozen=True)
class Checkpoint:
    """One saved state.

    Attributes
    ----------
    round : int
        Round that had just been aggregated.
    record : dict
        What is no tensor: the log of updates and merges, metrics, the survey.
    tensors : dict of str to torch.Tensor
        Versions, pending updates, messages, residuals.
    """

    round: int
    record: dict[str, Any]
    tensors: dict[str, Tensor]


def save(folder: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Write a checkpoint and forget the one before it.

    Parameters
    ----------
    folder : Path
        Where checkpoints of this run go.
    checkpoint : Checkpoint
        What to keep.
    fingerprint : str
        Digest of everything that determines the run.

    Raises
    ------
    CheckpointError
        If it cannot be written; the last good one is untouched then.
    """
    final = folder / f"{_PREFIX}{checkpoint.round:06d}"
    with whole_folder(final, f"{folder}: the checkpoint of round {checkpoint.round}") as temporary:
        tensors, same = apart(checkpoint.tensors)
        save_tensors(tensors, temporary / _TENSORS)
        record = {"format": FORMAT, "round": checkpoint.round, "same": same, **checkpoint.record}
        vouch(temporary / _RECORD, fingerprint, record)
    for other in folder.iterdir():
        if other != final and (other.name.startswith(_PREFIX) or other.name.startswith(f".{_PREFIX}")):
            shutil.rmtree(other, ignore_errors=True)


def load(folder: Path, fingerprint: str) -> Checkpoint | None:
    """Read the last checkpoint of a run.

    Parameters
    ----------
    folder : Path
        Where checkpoints of this run go.
    fingerprint : str
        Digest of everything that determines the run.

    Returns
    -------
    Checkpoint or None
        None if there is none yet.

    Raises
    ------
    CheckpointError
        If the last one is damaged, of another format, or of another run.
    """
    from safetensors.torch import load_file

    found = sorted(folder.glob(f"{_PREFIX}*"))
    if not found:
        return None
    another = "belongs to another run (other scenario, data, model or settings)"
    with vouched(found[-1] / _RECORD, fingerprint, another) as record:
        tensors = load_file(found[-1] / _TENSORS)
        tensors |= {name: tensors[first] for name, first in record["same"].items()}
    return Checkpoint(record["round"], record, tensors)


def vouch(path: Path, fingerprint: str, record: Mapping[str, object]) -> None:
    """Write a record beside weights: whose they are, and the digests of their bytes.

    Parameters
    ----------
    path : Path
        The record's file, in the folder of the weights.
    fingerprint : str
        Digest of everything that determines the weights.
    record : mapping
        What else it says, plain values.
    """
    whole = {"fingerprint": fingerprint, "sha256": _digests(path.parent), **record}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


@contextmanager
def vouched(path: Path, fingerprint: str, another: str) -> Iterator[dict[str, Any]]:
    """Read a record that `vouch` wrote, and then, within the context, the weights beside it.

    Parameters
    ----------
    path : Path
        The record's file.
    fingerprint : str
        What the weights must belong to.
    another : str
        What a message says of weights that do not.

    Yields
    ------
    dict
        The record.

    Raises
    ------
    CheckpointError
        If record or weights are damaged, of another format, or of another run.
    """
    from safetensors import SafetensorError

    folder = path.parent
    try:
        record = {"format": FORMAT, **json.loads(path.read_text(encoding="utf-8"))}
        if record["format"] != FORMAT:
            raise CheckpointError(f"{folder}: is of format {record['format']}, this paraSim reads {FORMAT}")
        if record["fingerprint"] != fingerprint:
            raise CheckpointError(f"{folder}: {another}; choose another --out or delete it")
        if record["sha256"] != _digests(folder):
            raise ValueError("the weights are not what was written")
        yield record
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: is damaged ({error}); delete it to start from the beginning") from None


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of weights, hexadecimal: altered ones must not pass for trained weights."""
    digests = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


@contextmanager
def whole_folder(final: Path, what: str) -> Iterator[Path]:
    """Write a folder of files that appears whole under its name and on the disk, or not at all.

    Parameters
    ----------
    final : Path
        Where it goes; what is there is replaced.
    what : str
        What a message calls it.

    Yields
    ------
    Path
        The folder to write the files to.

    Raises
    ------
    CheckpointError
        If it cannot be written; what was there is untouched then.
    """
    temporary = final.with_name(f".{final.name}.part")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.iterdir():
            _to_disk(file)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        _to_disk(final.parent)
    except Exception as error:
        # safetensors reports a full disk in an error class of its own.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CheckpointError(f"{what} cannot be written: {reason}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Have a file or a folder on the disk, not only on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
