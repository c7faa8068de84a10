"""What a message holds when it arrives, in both directions, as the scenario's `wire` says.

Top-k leaves values out, quantization makes a few bits of each, and what is not quantized is rounded to the type that
values have on the wire. `Messages`, and each function, returns what the receiver reconstructs. What a message weighs is
the affair of `sim.workload.payload`; what is priced there and not done here, `train.update.priced_only` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import torch
from torch import Tensor

from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.sections import Compression
from parasim_core.sim.support.streams import stream
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.blocks import Values, flatten, unflatten
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.update.local import TrainingError


class Quantization(TypedDict):
    """Parameters of `quantize` beside the bits."""

    group: int
    seed: int | None
    scale: torch.dtype


@dataclass
class Messages:
    """Sender and receiver of updates.

    Parameters
    ----------
    upload, download : Compression
        What is left out in each direction.
    error_feedback : bool
        Whether a client adds what its last message about an item left out or rounded away to its next one.
    stochastic : bool
        Whether quantization rounds at random, without bias, instead of to the nearest level.
    seed : int
        Seed of that rounding.
    precision : torch.dtype
        Type of values on the wire that are not quantized.
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
    precision: torch.dtype = torch.float32
    values: bool = False
    residuals: dict[tuple[int, int], Values] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for direction, how in (("upload", self.upload), ("download", self.download)):
            if how.bits == 1:
                raise ScenarioError(
                    f"wire.{direction}.bits: training quantizes to 2 to 32 bits, sign included, not to 1"
                )

    def send(self, client: int, item: int, round: int, message: Values) -> Values:
        """Return what the server receives of a client's message of a round about an item.

        Raises
        ------
        TrainingError
            If a value does not fit into the type that it has on the wire.
        """
        if self._exact(self.upload):
            return message
        owes = self.error_feedback and not self.values
        if owes and (owed := self.residuals.get((client, item))):
            message = {name: value + owed[name] for name, value in message.items()}
        sent = self._received(message, self.upload, client + 1, round)
        if owes:
            # All that was ever sent and what is still owed add up to all that was ever to be sent.
            self.residuals[client, item] = {name: value - sent[name] for name, value in message.items()}
        return sent

    def take_back(self, client: int, item: int, sent: Values) -> None:
        """Let a client owe again what it sent about an item and the server dropped; without memory, it is lost."""
        if owed := self.residuals.get((client, item)):
            self.residuals[client, item] = {name: value + sent[name] for name, value in owed.items()}

    def restore(self, client: int, item: int, owed: Values | None) -> None:
        """Let a client owe again what it did before it sent a message."""
        if owed is not None:
            self.residuals[client, item] = owed
        else:
            self.residuals.pop((client, item), None)

    def broadcast(self, round: int, content: Values) -> Values:
        """Return what clients, and so the server's model too, get of a round's aggregate or stack.

        Raises
        ------
        TrainingError
            If a value does not fit into the type that it has on the wire.
        """
        return content if self._exact(self.download) else self._received(content, self.download, 0, round)

    def _exact(self, how: Compression) -> bool:
        return how.top_k is None and how.bits is None and self.precision == torch.float32

    def _received(self, message: Mapping[str, Tensor], how: Compression, *keys: int) -> Values:
        # By name: what is drawn, and which of equal values is kept, must not depend on how a message was built.
        kept = {name: message[name] for name in sorted(message)}
        if how.top_k is not None:
            kept = top_k(kept, how.top_k, by_tensor=self.values)
        if how.bits is None:
            return {name: rounded(value, self.precision) for name, value in kept.items()}
        return quantize(kept, how.bits, **self.quantization(how, *keys))

    def quantization(self, how: Compression, *keys: int) -> Quantization:
        """How values are quantized: group, seed and type of scales."""
        seed = int(stream(self.seed, "quantization", *keys).integers(2**31)) if self.stochastic else None
        return {"group": how.group_size, "seed": seed, "scale": scale_type(how, self.precision)}


def messages(setup: Setup, settings: TrainSettings) -> Messages:
    """Put together what messages of a run hold, from its `wire` and the settings of its training.

    Raises
    ------
    ScenarioError
        If they ask for what training does not do.
    """
    wire = setup.scenario.wire
    return Messages(
        wire.upload,
        wire.download,
        error_feedback=settings.error_feedback,
        stochastic=settings.stochastic_rounding,
        seed=setup.scenario.seed,
        precision=getattr(torch, wire.carried or "float32"),
        values=setup.method.trains is Trains.STACKED_LORA,
    )


def scale_type(how: Compression, precision: torch.dtype) -> torch.dtype:
    """Type of the scales of quantized groups: of two bytes, that of other values or bfloat16; float32 otherwise."""
    if how.scale_bytes != 2:
        return torch.float32
    return precision if precision.itemsize == 2 else torch.bfloat16


def rounded(values: Tensor, precision: torch.dtype) -> Tensor:
    """Round to the nearest value of a type, ties to even, and back to float32.

    Raises
    ------
    TrainingError
        If one is larger than the type's largest: the receiver would find it infinite.
    """
    if precision == torch.float32:
        return values
    narrow = values.to(precision)
    # bfloat16 has the range of float32.
    if precision == torch.float16 and not narrow.isfinite().all():
        raise TrainingError(
            f"a value of a message does not fit into float16, whose largest is {torch.finfo(precision).max:g}; "
            "wire.precision=bfloat16 has the range of float32"
        )
    return narrow.to(torch.float32)


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


def quantize(
    delta: Mapping[str, Tensor],
    bits: int,
    *,
    group: int = 256,
    seed: int | None = None,
    scale: torch.dtype = torch.float32,
) -> Values:
    """Round to the levels of signed b-bit integers, with one scale per group of consecutive entries.

    Parameters
    ----------
    delta : mapping of str to torch.Tensor
        The message, of one precision on one device, laid end to end before it is cut into groups.
    bits : int
        Bits per entry b, 2 to 32.
    group : int
        Entries that share a scale; the last group may be smaller.
    seed : int, optional
        Round up or down at random, so that the expected value is exact; by default to the nearest level.
    scale : torch.dtype
        Type of the scales on the wire.

    Returns
    -------
    dict of str to torch.Tensor
        The same shapes: entries q s, with s = max |x| / (2^(b-1) - 1) over the group and q a whole number.

    Notes
    -----
    No entry moves by more than s / 2 (nearest) or by s (random), up to the precision of the arithmetic. A scale of
    narrower type is rounded, which moves a group's largest entries by as much of themselves at most.
    """
    flat = flatten(delta)
    whole, scales = levels(flat, bits, group=group, seed=seed, scale=scale)
    return unflatten((whole * scales).view(-1)[: flat.numel()], delta)


def levels(
    flat: Tensor, bits: int, *, group: int, seed: int | None, scale: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Round to whole levels; the parameters are those of `quantize`.

    Parameters
    ----------
    flat : torch.Tensor
        Shape (n,).

    Returns
    -------
    levels : torch.Tensor
        Shape (groups, group), whole numbers q; zeros beyond the n-th.
    scales : torch.Tensor
        Shape (groups, 1), s.
    """
    groups = torch.nn.functional.pad(flat, (0, -flat.numel() % group)).view(-1, group)
    top = 2 ** (bits - 1) - 1
    scales = rounded(groups.abs().amax(dim=1, keepdim=True) / top, scale)
    # A group of zeros has scale zero; dividing it by one keeps it zero.
    whole = groups / torch.where(scales == 0, 1.0, scales)
    if seed is None:
        whole = whole.round()
    else:
        generator = torch.Generator(device=flat.device).manual_seed(seed)
        noise = torch.rand(whole.shape, generator=generator, device=flat.device, dtype=flat.dtype)
        whole = (whole + noise).floor()
    # A scale that was rounded down would call for a level more than there are.
    return whole.clamp(-top, top), scales
