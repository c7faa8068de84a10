"""What compression leaves of a message, in both directions, as the scenario's `wire` says: top-k and quantization.

`Messages`, and each function, returns what the receiver reconstructs. What a compressed message weighs is the affair
of `sim.workload.payload`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sim.scenario.sections import Compression
from sim.support.streams import stream
from train.models.blocks import Values, flatten, unflatten


@dataclass
class Messages:
    """Sender and receiver of compressed updates.

    Parameters
    ----------
    upload, download : Compression
        What is left out in each direction.
    error_feedback : bool
        Whether a client adds what it left out of its last message about an item to its next one.
    stochastic : bool
        Whether quantization rounds at random, without bias, instead of to the nearest level.
    seed : int
        Seed of that rounding.
    values : bool
        Whether messages hold values that begin afresh in every round, as FLoRA's A and B do, instead of changes. Top-k
        then takes its share of each tensor by itself: A, drawn at random, would leave nothing of B, which grows from
        zero. And nothing is owed from one message to the next, whatever `error_feedback` says.
    residuals : dict of (client, item) to values
        What clients left out of their messages so far.
    """

    upload: Compression
    download: Compression
    error_feedback: bool = False
    stochastic: bool = False
    seed: int = 0
    values: bool = False
    residuals: dict[tuple[int, int], Values] = field(default_factory=dict)

    def send(self, client: int, item: int, round: int, message: Values) -> Values:
        """Return what the server receives of a client's message of a round about an item."""
        if self.upload.top_k is None and self.upload.bits is None:
            return message
        owes = self.error_feedback and not self.values
        if owes and (owed := self.residuals.get((client, item))):
            message = {name: value + owed[name] for name, value in message.items()}
        sent = self._compressed(message, self.upload, client + 1, round)
        if owes:
            # All that was ever sent and what is still owed add up to all that was ever to be sent.
            self.residuals[client, item] = {name: value - sent[name] for name, value in message.items()}
        return sent

    def take_back(self, client: int, item: int, sent: Values) -> None:
        """Let a client owe again what it sent about an item and the server dropped; without memory, it is lost."""
        if owed := self.residuals.get((client, item)):
            self.residuals[client, item] = {name: value + sent[name] for name, value in owed.items()}

    def broadcast(self, round: int, change: Values) -> Values:
        """Return what clients, and so the server's model too, get of a round's aggregate."""
        return self._compressed(change, self.download, 0, round)

    def _compressed(self, message: Mapping[str, Tensor], how: Compression, *keys: int) -> Values:
        # By name: what is drawn, and which of equal values is kept, must not depend on how a message was built.
        kept = {name: message[name] for name in sorted(message)}
        if how.top_k is not None:
            kept = top_k(kept, how.top_k, by_tensor=self.values)
        if how.bits is not None:
            seed = int(stream(self.seed, "quantization", *keys).integers(2**31)) if self.stochastic else None
            kept = quantize(kept, how.bits, group=how.group_size, seed=seed)
        return kept


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
