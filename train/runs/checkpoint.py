"""Checkpoints: what a run needs to go on, in one folder that is there whole or not at all.

A protocol's processes cannot be saved, but they need not be: what they do follows from the seconds of the updates.
A resumed run simulates from the start, takes updates that were already trained from the checkpoint's log instead of
training them again, and trains on where the log ends. So it ends with the same bits.

A folder is sealed by the digests of all its files, in the format of ``sha256sum``: nothing in it is believed unless all
of it is what was written, and nothing else is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from parasim_core.sim.errors import ParaSimError, shown
from parasim_core.sim.support.atomic_files import read_text
from parasim_core.sim.support.deleted_results import check_results, watch_folder
from parasim_core.train.models.packing import apart, save_tensors
from parasim_core.train.runs.metrics import MetricsRow

FORMAT = 7
_PREFIX = "round-"
_TENSORS = "tensors.safetensors"
_RECORD = "record.json"
_SEAL = "SHA256SUMS"
_LARGEST = 2**31
"""Size of a record that is still read [B]."""


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


def save(folder: Path, checkpoint: Checkpoint, fingerprint: str, *, kept: Collection[int] = ()) -> None:
    """Write a checkpoint and forget the others, except for some.

    Parameters
    ----------
    folder : Path
        Where checkpoints of this run go.
    checkpoint : Checkpoint
        What to keep.
    fingerprint : str
        Digest of everything that determines the run.
    kept : collection of int
        Rounds whose checkpoints stay beside this one.

    Raises
    ------
    CheckpointError
        If it cannot be written; the last good one is untouched then.
    """
    final = folder / _name(checkpoint.round)
    with whole_folder(final, f"{folder}: the checkpoint of round {checkpoint.round}") as temporary:
        tensors, same = apart(checkpoint.tensors)
        save_tensors(tensors, temporary / _TENSORS)
        record = {"round": checkpoint.round, "same": same, **checkpoint.record}
        vouch(temporary / _RECORD, fingerprint, record)
    names = {final.name, *map(_name, kept)}
    # Later ones first, which belong to a run that was to be shorter: until they are gone, it is gone on from.
    for other in sorted(folder.iterdir(), reverse=True):
        if other.name not in names and (other.name.startswith(_PREFIX) or other.name.startswith(f".{_PREFIX}")):
            shutil.rmtree(other, ignore_errors=True)


def saved_rounds(folder: Path) -> list[int]:
    """Rounds of which there are checkpoints, in ascending order."""
    return sorted(int(path.name.removeprefix(_PREFIX)) for path in folder.glob(f"{_PREFIX}*"))


def load(folder: Path, fingerprint: str, round: int | None = None) -> Checkpoint | None:
    """Read a checkpoint of a run.

    Parameters
    ----------
    folder : Path
        Where checkpoints of this run go.
    fingerprint : str
        Digest of everything that determines the run.
    round : int, optional
        Of which there is one; the last one if left out.

    Returns
    -------
    Checkpoint or None
        None if there is none yet.

    Raises
    ------
    CheckpointError
        If it is damaged, of another format, or of another run.
    """
    from safetensors.torch import load_file

    last = _last(folder) if round is None else folder / _name(round)
    if last is None:
        return None
    another = "belongs to another run (other scenario, data, model or settings)"
    with vouched(last / _RECORD, fingerprint, another) as record:
        tensors = load_file(last / _TENSORS)
        tensors |= {name: tensors[first] for name, first in record["same"].items()}
        if last.name != _name(record["round"]):
            raise ValueError(f"its folder's name is not that of round {record['round']}")
    return Checkpoint(record["round"], record, tensors)


def metrics_until(folder: Path, method: str) -> list[MetricsRow]:
    """Read the metrics of a run up to its last checkpoint, whatever its settings.

    Parameters
    ----------
    folder : Path
        Where checkpoints of this run go.
    method : str
        Its method.

    Raises
    ------
    CheckpointError
        If the last checkpoint is damaged, of another format, or of another method.
    """
    last = _last(folder)
    if last is None:
        return []
    with vouched(last / _RECORD) as record:
        rows: list[MetricsRow] = record["metrics"]
        if any(row["method"] != method for row in rows):
            raise ValueError(f"it is not of {method}")
    return rows


def _last(folder: Path) -> Path | None:
    return max(folder.glob(f"{_PREFIX}*"), default=None)


def _name(round: int) -> str:
    return f"{_PREFIX}{round:06d}"


def vouch(path: Path, fingerprint: str, record: Mapping[str, object]) -> None:
    """Write a record beside weights, which says whose they are, and seal the folder with the digests of all its files.

    Parameters
    ----------
    path : Path
        The record's file, in the folder of the weights.
    fingerprint : str
        Digest of everything that determines the weights.
    record : mapping
        What else it says, plain values.
    """
    whole = {"format": FORMAT, "fingerprint": fingerprint, **record}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    (path.parent / _SEAL).write_text(_sealed(_digests(path.parent)), encoding="utf-8")


@contextmanager
def vouched(path: Path, fingerprint: str | None = None, another: str = "") -> Iterator[dict[str, Any]]:
    """Read a record that `vouch` wrote, and then, within the context, the weights beside it.

    Parameters
    ----------
    path : Path
        The record's file.
    fingerprint : str or None
        What the weights must belong to; None if they are not used.
    another : str
        What a message says of weights that do not.

    Yields
    ------
    dict
        The record.

    Raises
    ------
    CheckpointError
        If anything in the folder is damaged, missing or too much, or it is of another format or of another run.
    """
    from safetensors import SafetensorError

    folder = path.parent
    try:
        record = json.loads(read_text(path, _LARGEST))
        if record["format"] != FORMAT:
            raise CheckpointError(
                f"{folder}: is of format {shown(record['format'])}, this paraSim reads {FORMAT}; "
                "choose another --out or delete it"
            )
        if broken := _broken(folder):
            raise ValueError(broken)
        if fingerprint is not None and record["fingerprint"] != fingerprint:
            raise CheckpointError(f"{folder}: {another}; choose another --out or delete it")
        yield record
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        if isinstance(error, OSError) and error.filename:
            reason = f"{Path(str(error.filename)).name}: {error.strerror}"
        raise CheckpointError(f"{folder}: is damaged ({reason}); delete it to start from the beginning") from None


def _broken(folder: Path) -> str:
    """Say what in a folder is not what was sealed; nothing if all is."""
    seal = read_text(folder / _SEAL, _LARGEST)
    found = _digests(folder)
    if seal == _sealed(found):
        return ""
    written = {name: digest for digest, _, name in (line.partition("  ") for line in seal.splitlines())}
    for name in sorted({*written, *found}):
        if name not in written:
            return f"{name}: is not part of it"
        if written[name] != found.get(name):
            return f"{name}: was altered" if name in found else f"{name}: is missing"
    return f"{_SEAL}: was altered"


def _sealed(digests: Mapping[str, str]) -> str:
    """Write digests as ``sha256sum`` does."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder but the seal, by name."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == _SEAL:
            continue
        digests[name] = "not a file"
        # Reading a pipe would never end.
        if path.is_file():
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
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
    check_results()
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
    watch_folder(final.parent)


def _to_disk(path: Path) -> None:
    """Have a file or a folder on the disk, not only on its way there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
