"""scikit-learn's 8 x 8 handwritten digits, split into images to train on and images to test on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parasim_core.sim.errors import ParaSimError

Digits = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Pixels from -1 to 1, shape (images, channels, side, side); and the digits that they show, shape (images,)."""

_SIDE = 8


def read_digits(*, held_out: float = 0.2, side: int = _SIDE, channels: int = 1, seed: int = 0) -> tuple[Digits, Digits]:
    """Load scikit-learn's 1,797 digits.

    Parameters
    ----------
    held_out : float
        Fraction of the images to test on, with the same share of every digit.
    side : int
        Width and height [pixels] that a model expects, a multiple of 8; every pixel is repeated.
    channels : int
        Colour channels that a model expects, all alike.
    seed : int
        Seed of the choice of the held-out images.

    Returns
    -------
    tuple of Digits
        Training and held-out images.

    Raises
    ------
    ParaSimError
        If the size cannot be made, or the fraction leaves one of the two sides without every digit.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    if side < _SIDE or side % _SIDE or channels < 1:
        raise ParaSimError(f"digits of {channels} x {side} x {side}: the side must be a multiple of {_SIDE}")
    gray, classes = load_digits(return_X_y=True)
    pixels = (gray / 8.0 - 1.0).astype(np.float32).reshape(-1, 1, _SIDE, _SIDE)
    for axis in (2, 3):
        pixels = pixels.repeat(side // _SIDE, axis=axis)
    pixels = pixels.repeat(channels, axis=1)
    try:
        parts = train_test_split(
            pixels, classes.astype(np.int64), test_size=held_out, stratify=classes, random_state=seed
        )
    except ValueError:
        raise ParaSimError(f"held_out is {held_out}, but must leave every digit on both sides, as 0.2 does") from None
    training_pixels, test_pixels, training_classes, test_classes = parts
    return (training_pixels, training_classes), (test_pixels, test_classes)
