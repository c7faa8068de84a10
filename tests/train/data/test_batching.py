from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.data.batching import Batching


def test_five_examples_in_batches_of_two():
    # 5 examples, 2 batches of 2 a round: rounds 0-4 draw 5 x 4 = 20 = 4 epochs, each example exactly 4 times,
    # and the first 5 draws (all of round 0 and one of round 1) are one epoch: every example once.
    batching = Batching(batch_size=2, steps=2, seed=1)
    draws = np.concatenate([batching.order(0, round, 5).ravel() for round in range(5)])
    assert sorted(draws[:5]) == [0, 1, 2, 3, 4]
    assert np.bincount(draws).tolist() == [4, 4, 4, 4, 4]


@given(
    batch_size=st.integers(1, 7),
    steps=st.integers(1, 5),
    examples=st.integers(1, 20),
    seed=st.integers(0, 2**32),
    client=st.integers(0, 100),
)
def test_rounds_are_consecutive_stretches_of_epochs(batch_size, steps, examples, seed, client):
    batching = Batching(batch_size, steps, seed)
    rounds = [batching.order(client, round, examples) for round in range(4)]
    assert all(order.shape == (steps, batch_size) for order in rounds)
    draws = np.concatenate([order.ravel() for order in rounds])
    for start in range(0, len(draws) - examples + 1, examples):
        assert sorted(draws[start : start + examples]) == list(range(examples))


def test_an_order_depends_on_seed_client_and_round_alone():
    fresh = Batching(8, 4, seed=3).order(2, 17, 1000)
    used = Batching(8, 4, seed=3)
    for round in (16, 3, 17, 0):
        used.order(2, round, 1000)
    assert np.array_equal(used.order(2, 17, 1000), fresh)
    others = [
        Batching(8, 4, seed=4).order(2, 17, 1000),
        Batching(8, 4, seed=3).order(1, 17, 1000),
        Batching(8, 4, seed=3).order(2, 18, 1000),
    ]
    assert not any(np.array_equal(other, fresh) for other in others)
