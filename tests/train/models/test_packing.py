"""Tensors as bytes: what comes back is what went in, names in order, shared memory written once."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.models.packing import pack, unpack

DTYPES = [torch.float32, torch.bfloat16, torch.int64, torch.bool]


@given(
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=4),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 9),
)
def test_what_goes_in_comes_back(shapes: list[list[int]], dtype: torch.dtype, seed: int):
    generator = torch.Generator().manual_seed(seed)
    # Names against the alphabet: the order in which they came is kept, not theirs.
    tensors = {f"{9 - n}": torch.randn(shape, generator=generator).to(dtype) for n, shape in enumerate(shapes)}
    back = unpack(pack(tensors))
    assert list(back) == list(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == dtype
        assert back[name].shape == tensor.shape
        assert torch.equal(back[name], tensor)


def test_one_tensor_under_two_names_is_sent_once():
    # Labels that are the tokens themselves: 10,000 numbers of 8 bytes, and a little around them.
    tokens = torch.arange(10_000)
    packed = pack({"input_ids": tokens, "labels": tokens})
    assert 80_000 <= packed.nbytes < 100_000
    back = unpack(packed)
    assert torch.equal(back["labels"], tokens)


def test_views_are_what_they_were():
    whole = torch.arange(6.0).view(2, 3)
    back = unpack(pack({"row": whole[0], "column": whole[:, 1], "turned": whole.T}))
    assert back["row"].tolist() == [0, 1, 2]
    assert back["column"].tolist() == [1, 4]
    assert back["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_what_is_unpacked_lies_where_torch_puts_tensors():
    # 64 bytes, in which matrix products depend on it: odd sizes before it move the second one off in the file.
    tensors = {"a": torch.ones(3, dtype=torch.int8), "b": torch.ones(5)}
    assert [tensor.data_ptr() % 64 for tensor in unpack(pack(tensors)).values()] == [0, 0]
