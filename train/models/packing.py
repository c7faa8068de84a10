"""Tensors as bytes and back: safetensors for files, torch's own format between this process and its workers."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from stat import S_IMODE
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parasim_core.train.models.blocks import Values


def pack(content: object) -> NDArray[np.uint8]:
    """Turn anything that holds tensors into bytes for another process; memory that tensors share goes along once.

    Parameters
    ----------
    content : object
        Tensors in containers, modules, jobs: whatever can be pickled, functions by their names.

    Returns
    -------
    numpy.ndarray
        Shape (bytes,).
    """
    file = BytesIO()
    torch.save(content, file)
    return np.frombuffer(file.getbuffer(), np.uint8)


def unpack(packed: NDArray[np.uint8], moved: Mapping[str, str] | None = None) -> Any:
    """Turn bytes of `pack` back into what they were; only for a process's own workers.

    The tensors lie where torch itself puts tensors: the last bit of a matrix product may depend on that.

    Parameters
    ----------
    packed : numpy.ndarray
        What `pack` returned.
    moved : mapping of str to str, optional
        Devices whose tensors are put on others; all the rest are on the device that they were on.
    """
    return torch.load(BytesIO(packed.tobytes()), map_location=dict(moved) if moved else None, weights_only=False)


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, readable to whom any other new file is: safetensors writes for its owner alone.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        Contiguous, on the CPU, each with memory of its own.
    path : Path
        The file.
    metadata : mapping of str to str, optional
        Written into its header.

    Raises
    ------
    OSError or SafetensorError
        If it cannot be written.
    """
    from safetensors.torch import save_file

    path.touch()
    rights = S_IMODE(path.stat().st_mode)
    save_file(dict(tensors), path, None if metadata is None else dict(metadata))
    path.chmod(rights)


def apart(tensors: Mapping[str, Tensor]) -> tuple[Values, dict[str, str]]:
    """Tell tensors with memory of their own from other names for the same values, which are written once.

    Views of a part of something larger are copied: safetensors writes only what is whole.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        On any device.

    Returns
    -------
    tuple of dict
        Tensors on the CPU that safetensors can write; and for every name that is not among them, the one whose values
        it shares.
    """
    names: dict[tuple[int, torch.Size], str] = {}
    separate: Values = {}
    same: dict[str, str] = {}
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tensor.shape)
        whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
        if whole and key in names:
            same[name] = names[key]
            continue
        separate[name] = tensor.detach().cpu() if whole else tensor.detach().cpu().clone().contiguous()
        if whole:
            names[key] = name
    return separate, same
