"""Whether a link is ever asked for more than it has."""

from __future__ import annotations

import numpy as np
import pytest

from parasim_core.sim.replay.occupancy import never_exceeds


def crossing(begin: float, end: float, rate: float):
    return np.array([begin]), np.array([end]), np.array([rate])


@pytest.mark.parametrize(
    ("crossings", "capacity", "fits"),
    [
        ([], 1.0, True),
        # Two at once, of 10 B/s each.
        ([(0, 2, 10), (1, 3, 10)], 20.0, True),
        ([(0, 2, 10), (1, 3, 10)], 20.0 * (1 - 1e-12), True),
        ([(0, 2, 10), (1, 3, 10)], 19.99, False),
        # One begins when the other ends.
        ([(0, 2, 10), (2, 3, 10)], 10.0, True),
        ([(0, 2, 10), (1.9, 3, 10)], 10.0, False),
    ],
)
def test_the_peak_of_what_is_asked_for(crossings: list[tuple[float, float, float]], capacity: float, fits: bool):
    asked = [crossing(*each) for each in crossings]
    assert never_exceeds(np.array([capacity, 2 * capacity]), asked, 2).tolist() == [fits, True]
