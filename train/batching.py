"""Which examples a client sees in which round: a pure function of the seed.

Every client reads its examples as one endless stream of epochs, each epoch a fresh permutation. Round r
takes the r-th stretch of that stream. So nothing has to be remembered from round to round, an interrupted run
resumes with the same batches, and one epoch spread over many rounds really visits every example once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.streams import stream
from train.task import DataError


@dataclass(frozen=True)
class Batching:
    """How many batches of what size make one local update, and their order.

    Parameters
    ----------
    batch_size : int
        Examples per batch. A client with fewer draws some of them twice, so that every batch costs the same.
    steps : int
        Batches per local update: local steps K times gradient accumulation.
    seed : int
        Seed of the order, not negative.

    Raises
    ------
    DataError
        If a size is not positive or the seed is negative.
    """

    batch_size: int
    steps: int
    seed: int = 0

    def __post_init__(self) -> None:
        for field, least in (("batch_size", 1), ("steps", 1), ("seed", 0)):
            if getattr(self, field) < least:
                raise DataError(f"{field} is {getattr(self, field)}, but must be at least {least}")

    def order(self, client: int, round: int, examples: int) -> NDArray[np.int64]:
        """Choose the examples of one local update.

        Parameters
        ----------
        client, round : int
            Client and round, from 0.
        examples : int
            How many examples the client has, at least 1.

        Returns
        -------
        numpy.ndarray
            Positions among the client's examples, shape (steps, batch_size).

        Raises
        ------
        DataError
            If client or round is negative, or the client has no example.
        """
        if client < 0 or round < 0:
            raise DataError(f"client {client} in round {round}: both are counted from 0")
        if examples < 1:
            raise DataError(f"client {client} has no training example")
        length = self.steps * self.batch_size
        first_epoch, offset = divmod(round * length, examples)
        epochs = -(-(offset + length) // examples)
        permutations = [
            stream(self.seed, "batches", client, first_epoch + epoch).permutation(examples) for epoch in range(epochs)
        ]
        stretch = np.concatenate(permutations)[offset : offset + length]
        return stretch.reshape(self.steps, self.batch_size)
