"""Tensors as bytes and back: safetensors, which hold nothing but tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from stat import S_IMODE
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.blocks import Values


class Packed(NamedTuple):
    """Tensors as bytes.

    Attributes
    ----------
    data : numpy.ndarray
        Those with memory of their own, as the bytes of a safetensors file; shape (bytes,).
    same : mapping of str to str
        Other names for them.
    order : tuple of str
        All names as they came.
    """

    data: NDArray[np.uint8]
    same: Mapping[str, str]
    order: tuple[str, ...]


def pack(tensors: Mapping[str, Tensor]) -> Packed:
    """Turn tensors on any device into bytes."""
    from safetensors.torch import save

    separate, same = apart(tensors)
    return Packed(np.frombuffer(save(separate), np.uint8), same, tuple(tensors))


def unpack(packed: Packed) -> Values:
    """Turn them back into tensors, on the CPU and in their order."""
    from safetensors.torch import load

    # Copied to where torch itself puts tensors: the last bit of a matrix product may depend on how its factors lie.
    tensors = {name: tensor.clone() for name, tensor in load(packed.data.tobytes()).items()}
    return {name: tensors[packed.same.get(name, name)] for name in packed.order}


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
