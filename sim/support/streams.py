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
