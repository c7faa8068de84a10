"""What messages weigh, compressed or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.scenario.sections import Compression
from parasim_core.sim.workload.payload import message_bytes
from tests.sim.runs import of, simulated


def test_uncompressed_values_weigh_their_width():
    assert message_bytes(1000, 2, Compression()) == 2000


def test_top_k_pays_for_values_and_indices():
    # 200 of 1,000 values of 2 B and an index of 4 B each.
    assert message_bytes(1000, 2, Compression(top_k=0.2)) == 200 * (2 + 4)
    assert message_bytes(1000, 2, Compression(top_k=0.2, index_bytes=0)) == 400


def test_top_k_keeps_at_least_one_value():
    assert message_bytes(3, 4, Compression(top_k=0.01)) == 4 + 4


def test_quantization_pays_for_bits_and_scales():
    # 1,000 values of 4 bits = 500 B, and 4 groups of 256 with a scale of 4 B each.
    assert message_bytes(1000, 2, Compression(bits=4)) == 500 + 16


def test_both_together():
    # 100 values of 8 bits, their indices, and one scale.
    assert message_bytes(1000, 2, Compression(top_k=0.1, bits=8)) == 100 + 400 + 4


def test_directions_are_priced_apart():
    result = simulated(method="fedbcd", rounds=2, wire={"upload": {"top_k": 0.2}, "download": {"bits": 8}})
    # 100 MB are 50 M values: up 10 M x 6 B, down 50 MB and 195,313 scales.
    assert of(result, Kind.UPLOAD)[0].size == 60e6
    assert of(result, Kind.DOWNLOAD)[0].size == 50e6 + 195_313 * 4


@given(parameters=st.integers(1, 10**10), top_k=st.floats(0.001, 1), bits=st.integers(1, 16))
def test_more_compression_never_weighs_more(parameters: int, top_k: float, bits: int):
    whole = message_bytes(parameters, 2, Compression(top_k=1.0))
    assert message_bytes(parameters, 2, Compression(top_k=top_k)) <= whole
    finer, coarser = Compression(bits=bits + 1), Compression(bits=bits)
    assert message_bytes(parameters, 2, coarser) <= message_bytes(parameters, 2, finer)


def test_given_sizes_are_used_as_they_are():
    result = simulated(method="fedbcd", rounds=2, payload={"upload": "12345679B", "download": "7B"})
    assert of(result, Kind.UPLOAD)[0].size == pytest.approx(12345679, abs=0)
    assert of(result, Kind.DOWNLOAD)[0].size == 7
