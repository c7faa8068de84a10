"""Messages as bytes: safetensors that hold what is sent and nothing else, so that a receiver reconstructs it exactly.

One tensor of all values laid end to end, in the order of their names, whose shapes the receiver knows: of the type that
they have on the wire; or of what top-k kept, with the places of these; or whole levels of a few bits each, packed, with
the scales of their groups.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario.sections import Compression
from parasim_core.train.models.blocks import Values, flatten, unflatten
from parasim_core.train.update.compression import Messages, Quantization, levels, scale_type, top_k


class EncodingError(ParaSimError):
    """Bytes that are no message of the kind that was expected."""


def encode(sent: Values, how: Compression, precision: torch.dtype) -> bytes:
    """Turn what a receiver gets of a message that is not quantized into bytes.

    Parameters
    ----------
    sent : dict of str to torch.Tensor
        As `Messages.send` and `Messages.broadcast` return it.
    how : Compression
        Its `top_k`.
    precision : torch.dtype
        Type of its values on the wire.
    """
    flat = _flat(sent)
    if how.top_k is None:
        return _saved({"values": flat.to(precision)})
    places = flat.nonzero().view(-1)
    return _saved({"places": _narrow(places, flat.numel()), "values": flat[places].to(precision)})


def encode_quantized(kept: Values, how: Compression, quantization: Quantization) -> bytes:
    """Turn a message that is quantized into bytes.

    Parameters
    ----------
    kept : dict of str to torch.Tensor
        What is left of it after top-k.
    how : Compression
        Its `bits` and `top_k`.
    quantization : dict
        As `Messages.quantization` gives it.
    """
    assert how.bits is not None
    flat = _flat(kept)
    whole, scales = levels(flat, how.bits, **quantization)
    scales, one_each = scales.view(-1).to(quantization["scale"]), whole.view(-1)[: flat.numel()].to(torch.int64)
    if how.top_k is None:
        return _saved({"levels": _packed(one_each, how.bits), "scales": scales})
    places = one_each.nonzero().view(-1)
    used = torch.unique(places // quantization["group"])
    return _saved(
        {
            "places": _narrow(places, flat.numel()),
            "levels": _packed(one_each[places], how.bits),
            "groups": _narrow(used, len(scales)),
            "scales": scales[used],
        }
    )


def decode(data: bytes, like: Mapping[str, Tensor], how: Compression, precision: torch.dtype) -> Values:
    """Turn bytes back into what `Messages.send` or `Messages.broadcast` returned, to the bit.

    Parameters
    ----------
    data : bytes
        From `encode` or `encode_quantized`.
    like : mapping of str to torch.Tensor
        Tensors of the names and shapes that it has, on the device where it is wanted.
    how : Compression
        How it was made.
    precision : torch.dtype
        Type of values on the wire that are not quantized.

    Raises
    ------
    EncodingError
        If it is no such message.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    ordered = {name: like[name] for name in sorted(like)}
    numel = sum(tensor.numel() for tensor in ordered.values())
    try:
        held = load(data)
        flat = _decoded(held, numel, how, precision)
    except (SafetensorError, KeyError, ValueError, RuntimeError, IndexError) as error:
        raise EncodingError(f"a message that cannot be read: {' '.join(str(error).split())[:120]}") from None
    if not flat.isfinite().all():
        raise EncodingError("a message with values that are not finite")
    device = next(iter(ordered.values())).device
    return {name: value.clone() for name, value in unflatten(flat.to(device), ordered).items()}


def _decoded(held: Mapping[str, Tensor], numel: int, how: Compression, precision: torch.dtype) -> Tensor:
    places = held["places"].long() if how.top_k is not None else None
    if how.bits is None:
        values = held["values"]
        if values.dtype != precision or values.shape != (numel if places is None else len(places),):
            raise ValueError(f"values of {values.dtype} and shape {tuple(values.shape)}, not {numel} of {precision}")
        return _placed(values.float(), places, numel)
    group, scales = how.group_size, held["scales"]
    if scales.dtype != scale_type(how, precision):
        raise ValueError(f"scales of {scales.dtype}")
    count = numel if places is None else len(places)
    whole = _placed(_unpacked(held["levels"], how.bits, count).float(), places, numel)
    whole = torch.nn.functional.pad(whole, (0, -numel % group)).view(-1, group)
    used = None if places is None else held["groups"].long()
    return (whole * _placed(scales.float(), used, len(whole)).view(-1, 1)).view(-1)[:numel]


def _placed(values: Tensor, places: Tensor | None, numel: int) -> Tensor:
    """Put values at their places among zeros."""
    if places is None:
        return values
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < numel:
        raise ValueError("places beyond its end")
    flat = torch.zeros(numel)
    flat[places] = values
    return flat


def _flat(values: Values) -> Tensor:
    return flatten({name: values[name] for name in sorted(values)}).cpu()


def _narrow(places: Tensor, numel: int) -> Tensor:
    return places.to(torch.int32 if numel < 2**31 else torch.int64)


def _saved(tensors: Mapping[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _packed(whole: Tensor, bits: int) -> Tensor:
    """Pack levels into so many bits each."""
    numbers = (whole + (2 ** (bits - 1) - 1)).numpy().astype(np.uint32)
    each: NDArray[np.uint8] = ((numbers[:, None] >> np.arange(bits, dtype=np.uint32)) & 1).astype(np.uint8)
    return torch.from_numpy(np.packbits(each))


def _unpacked(packed: Tensor, bits: int, count: int) -> Tensor:
    if packed.dtype != torch.uint8 or len(packed) != -(-count * bits // 8):
        raise ValueError(f"{len(packed)} bytes for {count} levels of {bits} bits")
    each = np.unpackbits(packed.numpy(), count=count * bits).reshape(count, bits).astype(np.uint32)
    numbers = (each << np.arange(bits, dtype=np.uint32)).sum(axis=1, dtype=np.uint32)
    whole: Tensor = torch.from_numpy(numbers.astype(np.int64)) - (2 ** (bits - 1) - 1)
    return whole


class EncodedMessages(Messages):
    """Messages that are kept as bytes, too.

    Attributes
    ----------
    uploads : dict of (item, round) to bytes
        Of this client's updates, until they are taken out.
    broadcasts : dict of int to bytes
        Of aggregates, by their numbers, likewise.
    """

    uploads: dict[tuple[int, int], bytes]
    broadcasts: dict[int, bytes]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.uploads, self.broadcasts = {}, {}

    @classmethod
    def of(cls, messages: Messages) -> EncodedMessages:
        """Copy messages of which nothing has been sent yet."""
        of = {name: getattr(messages, name) for name in messages.__dataclass_fields__}
        return cls(**of)

    def send(self, client: int, item: int, round: int, message: Values) -> Values:
        """Return what the server receives, and keep its bytes."""
        if self.upload.bits is not None and self.error_feedback and (owed := self.residuals.get((client, item))):
            full = {name: value + owed[name] for name, value in message.items()}
        else:
            full = message
        sent = super().send(client, item, round, message)
        self.uploads[item, round] = self._bytes(full, sent, self.upload, client + 1, round)
        return sent

    def broadcast(self, round: int, content: Values) -> Values:
        """Return what clients get, and keep its bytes."""
        sent = super().broadcast(round, content)
        self.broadcasts[round] = self._bytes(content, sent, self.download, 0, round)
        return sent

    def _bytes(self, full: Values, sent: Values, how: Compression, *keys: int) -> bytes:
        if how.bits is None:
            return encode(sent, how, self.precision)
        kept = {name: full[name] for name in sorted(full)}
        if how.top_k is not None:
            kept = top_k(kept, how.top_k, by_tensor=self.values)
        return encode_quantized(kept, how, self.quantization(how, *keys))
