"""What a receiver reconstructs from bytes is what the trainer reckons with, to the bit."""

import pytest
import torch
from safetensors.torch import save

from parasim_core.sim.scenario.sections import Compression
from parasim_core.train.update.compression import Messages
from parasim_core.train.update.encoding import EncodedMessages, EncodingError, decode

HOWS = [
    Compression(),
    Compression(top_k=0.1),
    Compression(bits=8),
    Compression(bits=4, group_size=7, scale_bytes=2),
    Compression(bits=2),
    Compression(bits=17),
    Compression(top_k=0.05, bits=3, group_size=16),
]


def message(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator)
        for name, shape in (("w", (13, 11)), ("b", (5,)), ("a", (3, 2, 4)))
    }


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("how", HOWS, ids=str)
@pytest.mark.parametrize("memory", [False, True])
def test_bytes_hold_what_is_reconstructed(how: Compression, precision: torch.dtype, memory: bool) -> None:
    settings = {"error_feedback": memory, "stochastic": True, "seed": 3, "precision": precision}
    plain, encoded = (kind(how, how, **settings) for kind in (Messages, EncodedMessages))
    for round in range(3):
        full = message(round)
        sent = plain.send(4, 1, round, full)
        assert encoded.send(4, 1, round, full).keys() == sent.keys()
        got = decode(encoded.uploads.pop((1, round)), full, how, precision)
        assert all(torch.equal(got[name], sent[name]) for name in full)
    content = plain.broadcast(7, full)
    encoded.broadcast(7, full)
    got = decode(encoded.broadcasts.pop(7), full, how, precision)
    assert all(torch.equal(got[name], content[name]) for name in full)


def test_a_message_weighs_what_is_priced_and_a_short_header() -> None:
    big = {"w": torch.randn(200, 300)}
    # 60,000 values of 2 bytes; 4 bits each and 235 scales of 4 bytes: 30,000 + 940; 600 values of 2 and places of 4.
    for how, priced in ((Compression(), 120_000), (Compression(bits=4), 30_940), (Compression(top_k=0.01), 3_600)):
        messages = EncodedMessages(how, how, precision=torch.bfloat16)
        messages.send(0, 0, 0, big)
        assert priced <= len(messages.uploads[0, 0]) <= priced + 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no safetensors at all",
        save({"values": torch.zeros(4)}),
        save({"values": torch.full((172,), float("nan"))}),
        save({"other": torch.zeros(172)}),
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EncodingError):
        decode(data, message(0), Compression(), torch.float32)


def test_places_beyond_the_end_are_refused() -> None:
    data = save({"places": torch.tensor([172], dtype=torch.int32), "values": torch.ones(1)})
    with pytest.raises(EncodingError, match="beyond"):
        decode(data, message(0), Compression(top_k=0.1), torch.float32)
