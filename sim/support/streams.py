"""Named random streams: one seed, and no feature shifts the draws of another.

Each stream is the child of the scenario's seed with a number of its own: its place in `Stream`. A new one goes to
the end, so that the draws of the old ones stay as they are.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Stream = Literal[
    "schedule",
    "participation",
    "cyclic-download",
    "partition",
    "batches",
    "initialisation",
    "quantization",
    "jitter",
    "trace",
    "session-begins",
    "session-ends",
    "outages",
    "failures",
    "dropout",
    "over-selection",
    "block-choice",
]


def stream(seed: int, name: Stream, *keys: int) -> np.random.Generator:
    """Return the random generator of one purpose.

    Parameters
    ----------
    seed : int
        The scenario's seed.
    name : str
        The purpose.
    *keys : int
        Further numbers that tell streams of one purpose apart, such as client and round.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(get_args(Stream).index(name), *keys)))


class KeyedStream:
    """Numbers of one purpose that are found by keys, in any order and at once, without a generator for each key.

    A counter-based generator (Philox: Salmon et al., SC 2011) computes what stands at any place of its sequence; keys
    are places that lie too far apart to meet. It takes a fifth of the time that a generator by `stream` takes to make.

    Parameters
    ----------
    seed : int
        The scenario's seed.
    name : str
        The purpose.
    """

    def __init__(self, seed: int, name: Stream) -> None:
        place = np.random.SeedSequence(seed, spawn_key=(get_args(Stream).index(name),))
        self._bits = np.random.Philox(key=place.generate_state(2, np.uint64))
        self._draws = np.random.Generator(self._bits)
        self._start = self._bits.state

    def uniform(self, size: int, *keys: int) -> list[float]:
        """Return the first `size` numbers of some keys, each uniform in [0, 1); more of them begin with the same.

        Parameters
        ----------
        size : int
            How many numbers.
        *keys : int
            At most three, not negative and below 2^64, such as client and round.
        """
        counter = self._start["state"]["counter"]
        for place in range(3):
            counter[place + 1] = keys[place] if place < len(keys) else 0
        self._bits.state = self._start
        numbers: list[float] = self._draws.random(size).tolist()
        return numbers
