"""What a run stands on, as `paraSim simulate` says it."""

from __future__ import annotations

from typing import Any

import pytest

from parasim.api import load, set_up
from parasim.assumptions import assumptions


def said(**fields: Any) -> list[str]:
    return assumptions(*set_up(load({"model": "llama-3-8b", "rounds": 2} | fields)))


def test_an_update_is_described_and_what_is_assumed_of_it_named():
    # Two layers of Llama 3-8B have 2 x 218,112,000 weights, 2 bytes each: 872.448 MB. The paper's blocks take 39.375 s.
    assert said(local={"steps": 40}, blocks={"layers": 2}) == [
        "An update is 40 steps of 4 x 512 tokens on one of 16 blocks: 39.4 s of computing, 872.4 MB to send.",
        "Of that, given: steps 40, layers 2 a block; assumed: batch_size 4, sequence_length 512.",
    ]


def test_where_updates_differ_the_least_and_the_largest_are_said():
    # Half the speed takes twice the time; blocks of 0.5 layers are an attention's or an MLP's weights.
    slow = said(compute={"seconds": 30}, fleet=[{"count": 2}, {"count": 1, "speed": 0.5}], blocks={"layers": 0.5})[0]
    assert "one of 64 blocks: 30 s to 60 s of computing" in slow
    # Attention: 4096 x 4096 x 2 + 4096 x 1024 x 2 and a norm of 4096; MLP: 3 x 4096 x 14336 and a norm; 2 bytes each.
    assert "83.89 MB to 352.3 MB to send" in slow
    assert "30 s to 60 s" in said(compute={"seconds": [[30, 40], [50, 60]]}, fleet=[{"count": 2}])[0]


@pytest.mark.parametrize(
    ("method", "trained"),
    [("fedit", "an adapter of rank 32"), ("ffa-lora", "matrix B of an adapter of rank 32"), ("full-ft", "all weights")],
)
def test_what_is_trained_is_named(method: str, trained: str):
    update, fields = said(method=method)
    assert f" tokens on {trained}: " in update
    assert ("rank 32" in fields) == ("rank" in trained)
