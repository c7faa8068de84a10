from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.sections import Compression, Wire
from parasim_core.sim.workload.payload import kept_values
from parasim_core.train.data.task import Evaluation
from parasim_core.train.models.blocks import flatten
from parasim_core.train.update.compression import Messages, quantize, top_k
from parasim_core.train.update.local import TrainingError
from parasim_core.train.update.priced_only import catches_up, priced_only
from tests.sim.runs import prepared
from tests.train.small_runs import bench, train
from tests.train.tiny import RandomTokens, tiny_model, weights

SINGLE_EPSILON = 2.0**-23
entries = st.floats(-1e6, 1e6, width=32).map(lambda value: value if abs(value) > 1e-6 else 0.0)
messages = st.lists(st.lists(entries, min_size=1, max_size=40), min_size=1, max_size=4).map(
    lambda tensors: {f"tensor {index}": torch.tensor(values) for index, values in enumerate(tensors)}
)


def test_top_k_counts_over_the_whole_message():
    # 6 entries, fraction 1/3: k = 2, and both of the largest lie in b.
    delta = {"a": torch.tensor([1.0, -2.0, 0.5]), "b": torch.tensor([[-7.0], [3.0], [0.0]])}
    sent = top_k(delta, 1 / 3)
    assert sent["a"].tolist() == [0.0, 0.0, 0.0]
    assert sent["b"].tolist() == [[-7.0], [3.0], [0.0]]


@given(messages, st.floats(0.001, 1))
def test_top_k_keeps_the_k_largest(delta, fraction):
    flat, sent = flatten(delta), flatten(top_k(delta, fraction))
    k = max(1, round(fraction * flat.numel()))
    # The multiset of kept magnitudes is that of the k largest; every entry is either as it was or zero.
    largest = sorted(flat.abs().tolist(), reverse=True)[:k]
    assert sorted(sent[sent != 0].abs().tolist(), reverse=True) == [value for value in largest if value > 0]
    assert bool(((sent == flat) | (sent == 0)).all())


@given(st.integers(1, 50), st.floats(0.001, 1))
def test_top_k_keeps_exactly_k_of_equal_entries(size, fraction):
    sent = top_k({"a": torch.ones(size)}, fraction)["a"]
    assert int(sent.sum()) == max(1, round(fraction * size))


def test_top_k_of_each_tensor_by_itself():
    # 8 entries, fraction 1/2: k = 4 in the proportion 2 : 6, one of a and three of b, though all of a are larger.
    values = {"a": torch.tensor([9.0, 8.0]), "b": torch.tensor([1.0, -2.0, 3.0, 0.5, -4.0, 0.1])}
    sent = top_k(values, 1 / 2, by_tensor=True)
    assert sent["a"].tolist() == [9.0, 0.0]
    assert sent["b"].tolist() == [0.0, -2.0, 3.0, 0.0, -4.0, 0.0]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.floats(0.001, 1))
def test_shares_of_tensors_weigh_what_the_simulator_prices(sizes: list[int], fraction: float):
    # As many values in all as `sim.workload.payload` counts, and of each tensor its proportion, rounded up or down.
    total = sum(sizes)
    sent = top_k({str(n): torch.arange(1.0, size + 1) for n, size in enumerate(sizes)}, fraction, by_tensor=True)
    kept = [int((tensor != 0).sum()) for tensor in sent.values()]
    k = sum(kept)
    assert k == kept_values(fraction, total)
    for count, size, tensor in zip(kept, sizes, sent.values(), strict=True):
        assert math.floor(k * size / total) <= count <= math.ceil(k * size / total)
        # The largest of 1, 2, ... are the last.
        assert tensor.tolist() == [0.0] * (size - count) + [float(n) for n in range(size - count + 1, size + 1)]


def test_quantization_by_hand():
    # 3 bits: levels -3 ... 3. Group 1: max 6, s = 2: 6 -> 3s, 2.5 -> 1s, -0.9 -> 0. Group 2: s = 1/3 exactly
    # at its maximum. The last, incomplete group has a scale of its own.
    delta = {"a": torch.tensor([6.0, 2.5]), "b": torch.tensor([-0.9, 0.0, 0.0, 0.0, -9.0])}
    sent = quantize(delta, 3, group=3)
    assert sent["a"].tolist() == [6.0, 2.0]
    assert sent["b"].tolist() == [0.0, 0.0, 0.0, 0.0, -9.0]


@given(messages, st.integers(2, 16), st.integers(1, 64), st.none() | st.integers(0, 9))
def test_quantization_error_is_bounded_by_the_scale(delta, bits, group, seed):
    # |error| <= s/2 to the nearest, <= s at random; division, product and noise round in float32, each by at
    # most one unit in the last place of the largest entry, which all three together is 3 epsilon max|x|.
    flat, sent = flatten(delta), flatten(quantize(delta, bits, group=group, seed=seed))
    top = 2 ** (bits - 1) - 1
    for start in range(0, flat.numel(), group):
        mine, theirs = flat[start : start + group].double(), sent[start : start + group].double()
        largest = mine.abs().max().item()
        bound = largest / top * (0.5 if seed is None else 1.0) + 3 * SINGLE_EPSILON * largest
        assert (mine - theirs).abs().max().item() <= bound


@given(messages, st.integers(2, 8))
def test_quantized_groups_hold_no_more_levels_than_their_bits(delta, bits):
    sent = flatten(quantize(delta, bits, group=16))
    for start in range(0, sent.numel(), 16):
        assert len(set(sent[start : start + 16].tolist())) <= 2**bits - 1


def test_random_rounding_is_right_on_average_and_seeded():
    # x = 0.3 between levels 0 and 1 (max 1, 2 bits: s = 1): up with probability 0.3. Over n = 40,000 draws the
    # mean's standard deviation is sqrt(0.3*0.7/n) = 0.0023; 5 of them are 0.0115.
    delta = {"a": torch.cat([torch.full((40_000,), 0.3), torch.ones(1)])}
    sent = quantize(delta, 2, group=40_001, seed=0)["a"]
    assert set(sent.tolist()) == {0.0, 1.0}
    assert sent[:-1].mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 40_000))
    assert torch.equal(sent, quantize(delta, 2, group=40_001, seed=0)["a"])
    assert not torch.equal(sent, quantize(delta, 2, group=40_001, seed=1)["a"])
    # To the nearest, 0.3 is always lost.
    assert not quantize(delta, 2, group=40_001)["a"][:-1].any()


def test_values_are_rounded_to_the_type_they_have_on_the_wire():
    # bfloat16 has 8 bits: between 1 and 2 its values are 2^-7 apart, and 1 + 2^-8 halfway goes to the even one, 1;
    # 1 + 3 2^-9 is above the middle. float16 has 11 bits there, and 2^-24 is its smallest value.
    message = {"a": torch.tensor([1 + 2**-8, 1 + 3 * 2**-9, 2.0**-26, 1e38])}
    nothing = Compression()
    for precision, expected in (
        (torch.bfloat16, [1.0, 1 + 2**-7, 2.0**-26, 0x96 * 2.0**119]),
        (torch.float32, message["a"].tolist()),
    ):
        wire = Messages(nothing, nothing, precision=precision)
        assert wire.send(0, 0, 0, message)["a"].tolist() == expected
        assert wire.broadcast(0, message)["a"].tolist() == expected
    small = {"a": message["a"][:3]}
    assert Messages(nothing, nothing, precision=torch.float16).send(0, 0, 0, small)["a"].tolist() == [
        1 + 2**-8,
        1 + 3 * 2**-9,
        0.0,
    ]


def test_what_float16_cannot_hold_is_an_error():
    wire = Messages(Compression(), Compression(), precision=torch.float16)
    for way in (lambda message: wire.send(0, 0, 0, message), lambda message: wire.broadcast(0, message)):
        with pytest.raises(TrainingError, match="does not fit into float16, whose largest is 65504"):
            way({"a": torch.tensor([1.0, 7e4])})


def test_kept_values_are_rounded_and_what_they_lose_is_owed():
    # k = 1 of (1 + 2^-8, 0.5): 1 arrives, and 2^-8 and 0.5 are owed.
    wire = Messages(Compression(top_k=0.5), Compression(), error_feedback=True, precision=torch.bfloat16)
    assert wire.send(0, 0, 0, {"a": torch.tensor([1 + 2**-8, 0.5])})["a"].tolist() == [1.0, 0.0]
    assert wire.residuals[0, 0]["a"].tolist() == [2.0**-8, 0.5]


@given(messages, st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_rounding_alone_loses_nothing_with_error_feedback(delta, precision):
    # What was sent and what is owed are the message: their sum is exact, as the difference of a value and what it is
    # rounded to has no more bits than the value.
    delta = {name: value / 32 for name, value in delta.items()}
    wire = Messages(Compression(), Compression(), error_feedback=True, precision=precision)
    sent = wire.send(0, 0, 0, delta)
    owed = wire.residuals.get((0, 0), {name: torch.zeros_like(value) for name, value in delta.items()})
    for name, value in delta.items():
        assert torch.equal(sent[name] + owed[name], value)
        assert torch.equal(sent[name], sent[name].to(precision).float())


@pytest.mark.parametrize(
    ("scale_bytes", "precision", "scale"),
    [
        (4, torch.bfloat16, torch.float32),
        (2, torch.float32, torch.bfloat16),
        (2, torch.bfloat16, torch.bfloat16),
        (2, torch.float16, torch.float16),
    ],
)
def test_scales_of_two_bytes_are_rounded(scale_bytes: float, precision: torch.dtype, scale: torch.dtype):
    # 3 bits: s = max / 3, and every entry is a whole number of rounded scales, no more than three of them.
    delta = {"a": torch.tensor([1.0, -0.4, 0.02, 0.7])}
    how = Compression(bits=3, scale_bytes=scale_bytes, group_size=2)
    sent = Messages(how, how, precision=precision).send(0, 0, 0, delta)["a"].tolist()
    first, second = (torch.tensor(value / 3).to(scale).item() for value in (1.0, torch.tensor(0.7).item()))
    assert sent == [torch.tensor(n * s).item() for n, s in ((3, first), (-1, first), (0, second), (3, second))]


@given(messages, st.integers(2, 16), st.booleans())
def test_a_rounded_scale_calls_for_no_level_that_its_bits_do_not_have(delta, bits, at_random):
    sent = quantize(delta, bits, group=8, seed=1 if at_random else None, scale=torch.bfloat16)
    flat, received = flatten(delta), flatten(sent)
    for start in range(0, flat.numel(), 8):
        largest = flat[start : start + 8].abs().max() / (2 ** (bits - 1) - 1)
        most = largest.bfloat16().double() * (2 ** (bits - 1) - 1)
        # The product is rounded to float32.
        assert received[start : start + 8].abs().max().double() <= most * (1 + SINGLE_EPSILON)


def test_one_bit_has_no_levels():
    with pytest.raises(ScenarioError, match=r"wire\.download\.bits: training quantizes to 2 to 32 bits"):
        Messages(Compression(), Compression(bits=1))


@pytest.mark.parametrize(
    ("wire", "named"),
    [
        ({}, []),
        ({"bytes_per_parameter": 4}, []),
        ({"precision": "float16"}, []),
        ({"bytes_per_parameter": 16}, []),
        ({"bytes_per_parameter": 1}, ["wire.bytes_per_parameter=1"]),
        ({"bytes_per_parameter": 0.5, "upload": {"bits": 4}}, ["wire.bytes_per_parameter=0.5"]),
        ({"bytes_per_parameter": 3, "upload": {"bits": 4}, "download": {"bits": 8}}, []),
        ({"upload": {"bits": 4, "scale_bytes": 2}}, []),
        ({"upload": {"bits": 4, "scale_bytes": 1}}, ["wire.upload.scale_bytes=1"]),
        ({"download": {"bits": 4, "scale_bytes": 0}}, ["wire.download.scale_bytes=0"]),
        # Not quantized: there are no scales. Half of the values take a bit each, kept or not: two for each kept one.
        ({"upload": {"top_k": 0.5, "scale_bytes": 0, "index_bytes": 0.25}}, []),
        ({"upload": {"top_k": 0.5, "index_bytes": 0.2}}, ["wire.upload.index_bytes=0.2"]),
        ({"download": {"top_k": 1.0, "index_bytes": 0}}, []),
        ({"bytes_per_parameter": 1, "upload": {"top_k": 0.01, "index_bytes": 0}},
         ["wire.bytes_per_parameter=1", "wire.upload.index_bytes=0"]),
    ],
)  # fmt: skip
def test_what_is_priced_and_not_applied_is_said(wire: dict[str, object], named: list[str]):
    notes = priced_only(Wire.model_validate(wire))
    assert [note.partition(" ")[0] for note in notes] == named
    assert all("priced and not applied" in note for note in notes)


@pytest.mark.parametrize(
    ("method", "fields", "several"),
    [
        # One block, and client 1 comes back after rounds 0 to 2.
        ("fedbcd", {"blocks": {"count": 1}, "participation": {"rounds": [[0], [0], [0], [0, 1]]}}, True),
        ("fedbcd", {"blocks": {"schedule": "sequential"}, "participation": {"rounds": [[0], [0], [0], [0, 1]]}}, False),
        ("fedit", {"participation": {"rounds": [[0], [1], [0], [1]]}}, True),
        ("fedit", {"participation": {"rounds": [[0, 1], [1], [0, 1], [1]]}}, True),
        ("fedit", {"participation": {"rounds": [[0, 1], [0, 1], [1], [1]]}}, False),
        # Each stack is a message of its own.
        ("flora", {"participation": {"rounds": [[0], [0], [0], [0, 1]]}}, False),
        ("parablock", {"blocks": {"count": 1}}, False),
        ("parablock", {"blocks": {"count": 1}, "participation": {"rounds": [[0], [0], [0], [0, 1]]}}, True),
        # Between two turns of a client every other block changes once, unless clients share blocks.
        ("fedcybgd", {}, False),
        ("fedcybgd", {"blocks": {"count": 2}}, True),
        ({"name": "fedcybgd", "download_fraction": 0.5}, {}, True),
        ("fedbuff", {}, True),
    ],
)
def test_who_may_miss_several_changes_of_the_same_values(method: Any, fields: dict[str, Any], several: bool):
    setup, _ = prepared(method=method, rounds=4, **fields)
    assert catches_up(setup) == several


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ({}, True),
        ({"precision": "float16", "download": {"bits": 4}}, True),
        ({"bytes_per_parameter": 1, "upload": {"bits": 8}, "download": {"bits": 8}}, True),
        ({"bytes_per_parameter": 4}, False),
    ],
)
def test_what_is_more_exact_than_its_bytes_is_said(wire: dict[str, Any], said: bool):
    notes = priced_only(Wire.model_validate(wire), catching_up=True)
    assert [("priced and not applied where" in note) for note in notes] == [True] * said


whole_messages = st.lists(st.integers(-1000, 1000), min_size=7, max_size=7).map(
    lambda values: {"a": torch.tensor(values[:3]).float(), "b": torch.tensor(values[3:]).float().view(2, 2)}
)


class TheSameTokens(RandomTokens):
    """One batch for everyone, always, that is measured on too: it can be learned by heart."""

    def batches(self, client: int, round: int):
        """That batch."""
        return super().batches(0, 0)

    def evaluate(self, model, *, accuracy=True, progress=None):
        """Loss on it."""
        with torch.no_grad():
            return Evaluation(self.loss(model, next(self.batches(0, 0))).item(), None, 2)


def test_flora_learns_with_top_k(tmp_path: Path):
    # Over the whole message, three in ten of the values are all A's: B, which grows from zero, would stay zero at the
    # server, and with it every product B A.
    task = TheSameTokens(3, steps=8)
    options = {"method": "flora", "rounds": 4, "local": {"steps": 8}, "wire": {"upload": {"top_k": 0.3}}}
    trained = train(tmp_path, {"learning_rate": 2e-3}, on=replace(bench(), task=task), **options)
    before = task.evaluate(tiny_model()).loss
    losses = [float(str(row["eval_loss"])) for row in trained.metrics]
    assert before > losses[0] > losses[-1]
    trained.learner.trained.adapter.remove()
    changed = {
        name for name, value in weights(trained.learner.model).items() if not value.equal(weights(tiny_model())[name])
    }
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


def test_values_owe_nothing():
    # A and B of the next round start elsewhere: what was left out of these says nothing about those.
    values = {"a": torch.tensor([1.0, 2.0])}
    for are_values, second in ((False, [2.5, 0.0]), (True, [0.0, 2.0])):
        messages = Messages(Compression(top_k=0.5), Compression(), error_feedback=True, values=are_values)
        assert messages.send(0, 0, 0, values)["a"].tolist() == [0.0, 2.0]
        # With the 1 that is owed, 1.5 is 2.5.
        assert messages.send(0, 0, 1, {"a": torch.tensor([1.5, 2.0])})["a"].tolist() == second


@given(st.lists(whole_messages, min_size=1, max_size=6), st.floats(0.01, 1))
def test_error_feedback_loses_nothing(deltas, fraction):
    # sum of sent + residual = sum of deltas; whole numbers below 2^24 add up exactly in float32.
    messages = Messages(Compression(top_k=fraction), Compression(), error_feedback=True)
    total = sum(flatten(messages.send(0, 0, round, delta)) for round, delta in enumerate(deltas))
    assert torch.equal(total + flatten(messages.residuals[0, 0]), sum(flatten(delta) for delta in deltas))


def test_error_feedback_sends_at_last_what_top_k_always_drops():
    # k = 1 of (3, 2) every round. Without feedback the second entry never arrives. With it: round 1 sends 3 and
    # owes 2; round 2 has (3, 4), sends 4 and owes 3.
    messages = Messages(Compression(top_k=0.5), Compression(), error_feedback=True)
    sent = [messages.send(0, 0, round, {"a": torch.tensor([3.0, 2.0])})["a"].tolist() for round in range(2)]
    assert sent == [[3.0, 0.0], [0.0, 4.0]]
    assert messages.residuals[0, 0]["a"].tolist() == [3.0, 0.0]


def test_what_was_dropped_is_sent_with_the_next_message():
    # The 3 that was sent is dropped: (3, 2) is owed, and with (1, 3) that is (4, 5). Without memory it is lost.
    for remembers, second in ((True, [0.0, 5.0]), (False, [0.0, 3.0])):
        messages = Messages(Compression(top_k=0.5), Compression(), error_feedback=remembers)
        messages.take_back(0, 0, messages.send(0, 0, 0, {"a": torch.tensor([3.0, 2.0])}))
        assert messages.send(0, 0, 1, {"a": torch.tensor([1.0, 3.0])})["a"].tolist() == second
