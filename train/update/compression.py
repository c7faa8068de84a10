"""What is lost when a delta is sent compressed: top-k and quantization.

Each function returns what the receiver reconstructs. What a compressed message weighs is the affair of
`sim.workload.payload`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from train.models.blocks import Values, flatten, unflatten


def top_k(delta: Mapping[str, Tensor], fraction: float, *, by_tensor: bool = False) -> Values:
    """Keep the entries of largest magnitude.

    Parameters
    ----------
    delta : mapping of str to torch.Tensor
        The message, n entries in all, of one precision on one device.
    fraction : float
        Fraction of the entries to keep, in (0, 1]; k = max(1, round(fraction n)).
    by_tensor : bool
        Give each tensor its share of k, by its size, instead of looking for the largest over the whole message.

    Returns
    -------
    dict of str to torch.Tensor
        The same shapes: k entries as they were, zero elsewhere.
    """
    flat = flatten(delta)
    k = max(1, round(fraction * flat.numel()))
    if not by_tensor:
        return unflatten(_largest(flat, k), delta)
    shares = _shares([tensor.numel() for tensor in delta.values()], k)
    return {
        name: _largest(tensor.flatten(), share).view_as(tensor)
        for (name, tensor), share in zip(delta.items(), shares, strict=True)
    }


def _largest(flat: Tensor, k: int) -> Tensor:
    kept = flat.abs().topk(k, sorted=False).indices
    sparse = torch.zeros_like(flat)
    sparse[kept] = flat[kept]
    return sparse


def _shares(sizes: Sequence[int], k: int) -> list[int]:
    """Divide k by size, to whole numbers: what is left over goes to the largest remainders (Hamilton's method)."""
    total = sum(sizes)
    shares = [k * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda index: -(k * sizes[index] % total))
    for index in by_remainder[: k - sum(shares)]:
        shares[index] += 1
    return shares


def quantize(delta: Mapping[str, Tensor], bits: int, *, group: int = 256, seed: int | None = None) -> Values:
    """Round to the levels of signed b-bit integers, with one scale per group of consecutive entries.

    Parameters
    ----------
    delta : mapping of str to torch.Tensor
        The message, of one precision on one device, laid end to end before it is cut into groups.
    bits : int
        Bits per entry b, 2 to 16.
    group : int
        Entries that share a scale; the last group may be smaller.
    seed : int, optional
        Round up or down at random, so that the expected value is exact; by default to the nearest level.

    Returns
    -------
    dict of str to torch.Tensor
        The same shapes: entries q s, with s = max |x| / (2^(b-1) - 1) over the group and q a whole number.

    Notes
    -----
    No entry moves by more than s / 2 (nearest) or by s (random), up to the precision of the arithmetic.
    """
    flat = flatten(delta)
    groups = torch.nn.functional.pad(flat, (0, -flat.numel() % group)).view(-1, group)
    scales = groups.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
    # A group of zeros has scale zero; dividing it by one keeps it zero.
    levels = groups / torch.where(scales == 0, 1.0, scales)
    if seed is None:
        levels = levels.round()
    else:
        generator = torch.Generator(device=flat.device).manual_seed(seed)
        noise = torch.rand(levels.shape, generator=generator, device=flat.device, dtype=flat.dtype)
        levels = (levels + noise).floor()
    return unflatten((levels * scales).view(-1)[: flat.numel()], delta)
