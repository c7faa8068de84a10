from __future__ import annotations

import numpy as np
import pytest

from parasim_core.sim.errors import ParaSimError
from parasim_demonstration.digits import read_digits


@pytest.fixture(scope="module")
def digits():
    return read_digits(seed=0)


def test_every_digit_is_on_both_sides(digits):
    (pixels, classes), (held_out_pixels, held_out) = digits
    assert len(classes) + len(held_out) == 1797
    assert len(held_out) == 360
    # Stratified: each digit is a tenth of the data, and of 360 held-out images about 36 are of each.
    assert all(34 <= count <= 38 for count in np.bincount(held_out))
    assert pixels.shape == (1437, 1, 8, 8)
    assert (pixels.min(), pixels.max()) == (-1, 1)
    assert np.array_equal(read_digits(seed=0)[1][0], held_out_pixels)
    assert not np.array_equal(read_digits(seed=1)[1][1], held_out)


def test_larger_images_repeat_their_pixels(digits):
    large, _ = read_digits(side=24, channels=3, seed=0)[0]
    assert large.shape == (1437, 3, 24, 24)
    for offset in range(3):
        assert np.array_equal(large[:, 1:2, offset::3, offset::3], digits[0][0])


@pytest.mark.parametrize("options", [{"side": 12}, {"channels": 0}, {"held_out": 0.0001}, {"held_out": 1.5}])
def test_digits_that_cannot_be(options):
    with pytest.raises(ParaSimError):
        read_digits(**options)
