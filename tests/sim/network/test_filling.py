from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.network.filling import max_min_rates
from tests.oracles.progressive_filling import max_min_rates as slow_rates


def rates(weights, capacities):
    """Turn rows of weights, one column per link, into the hops that the solver takes."""
    weights = np.array(weights, float)
    links = np.tile(np.arange(weights.shape[1]), (len(weights), 1))
    return max_min_rates(links, weights, np.array(capacities, float))


def test_two_bottlenecks():
    # Link 0 (10) carries A, B, C; link 1 (2) carries C: C gets 2, A and B (10 - 2) / 2 = 4.
    assert rates([[1, 0], [1, 0], [1, 1]], [10, 2]) == pytest.approx([4, 4, 2], rel=1e-15)


def test_weights():
    # 3 r + 1 r = 8 with equal rates: 2 each.
    assert rates([[3], [1]], [8]) == pytest.approx([2, 2], rel=1e-15)


def test_no_transfers():
    assert rates(np.empty((0, 2)), [1, 1]).shape == (0,)


def test_nothing_limits():
    assert rates([[1, 0], [0, 1]], [np.inf, 3]).tolist() == [np.inf, 3]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_transfer_has_a_bottleneck(data):
    # Max-min fair, if and only if no link is over its capacity and every transfer crosses a full link on which no
    # other has a higher rate (Bertsekas and Gallager, 6.5.2).
    links = data.draw(st.integers(1, 6))
    weight = st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.5])
    rows = st.lists(weight, min_size=links, max_size=links).filter(any)
    weights = np.array(data.draw(st.lists(rows, min_size=1, max_size=12)))
    capacity = st.sampled_from([1.0, 2.0, 3.0]) | st.floats(0.01, 100.0)
    capacities = np.array(data.draw(st.lists(capacity, min_size=links, max_size=links)))
    result = rates(weights, capacities)
    used = result @ weights
    assert (used <= capacities * (1 + 1e-12)).all()
    full = used >= capacities * (1 - 1e-12)
    for transfer, rate in enumerate(result):
        crossed = np.flatnonzero(weights[transfer])
        assert any(full[link] and rate >= result[weights[:, link] > 0].max() * (1 - 1e-9) for link in crossed)
    by_name = [{str(link): w for link, w in enumerate(row) if w} for row in weights]
    assert result == pytest.approx(slow_rates(by_name, {str(i): c for i, c in enumerate(capacities)}), rel=1e-9)


def test_limits_of_single_transfers():
    # 12 for three, of which one gets 1 at most: (12 - 1) / 2 = 5.5 for the others. What crosses nothing gets its own.
    links, weights = np.array([[0], [0], [0], [0]]), np.array([[1.0], [1.0], [1.0], [0.0]])
    limits = np.array([1.0, np.inf, 8.0, 3.0])
    assert max_min_rates(links, weights, np.array([12.0]), limits) == pytest.approx([1, 5.5, 5.5, 3], rel=1e-15)
