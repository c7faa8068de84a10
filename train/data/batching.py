"""Which examples a client sees in which round: a pure function of the seed; and what all tasks on split data share.

Every client reads its examples as one endless stream of epochs, each epoch a fresh permutation. Round r
takes the r-th stretch of that stream. So nothing has to be remembered from round to round, an interrupted run
resumes with the same batches, and one epoch spread over many rounds really visits every example once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from parasim_core.sim.support.streams import stream
from parasim_core.train.data.evaluate import model_loss
from parasim_core.train.data.partition import Partition
from parasim_core.train.data.task import Batch, DataError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class Batching:
    """How many batches of what size make one local update, and their order.

    Parameters
    ----------
    batch_size : int
        Examples per batch, from 1 on. A client with fewer draws some of them twice, so that every batch costs the same.
    steps : int
        Batches per local update, from 1 on: local steps K times gradient accumulation.
    seed : int
        Seed of the order, not negative.
    """

    batch_size: int
    steps: int
    seed: int = 0

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
        """
        length = self.steps * self.batch_size
        first_epoch, offset = divmod(round * length, examples)
        epochs = -(-(offset + length) // examples)
        permutations = [
            stream(self.seed, "batches", client, first_epoch + epoch).permutation(examples) for epoch in range(epochs)
        ]
        stretch = np.concatenate(permutations)[offset : offset + length]
        return stretch.reshape(self.steps, self.batch_size)


class PartitionedTask(ABC):
    """The part of a `train.data.task.Task` that has to do with who has which examples and draws them when.

    Parameters
    ----------
    partition : Partition
        Which training example belongs to which client.
    batching : Batching
        Batch size, batches per local update, and the seed of their order.
    count : int
        Number of training examples.
    loss : callable
        Mean loss of a model on a batch (`Task.loss`); the model's own by default.

    Raises
    ------
    DataError
        If the partition was made for another number of examples.
    """

    def __init__(
        self,
        partition: Partition,
        batching: Batching,
        count: int,
        loss: Callable[[Module, Batch], Tensor] = model_loss,
    ) -> None:
        if len(partition.labels) != count:
            raise DataError(
                f"the partition is one of {len(partition.labels)} examples, but there are {count} to train on; "
                "partition those that are left after truncation"
            )
        self.partition = partition
        self._batching = batching
        self.loss = loss

    @property
    def examples(self) -> Sequence[int]:
        """Training examples n_i of every client."""
        return self.partition.sizes

    def batches(self, client: int, round: int) -> Iterator[Batch]:
        """Draw the batches of one client's local update (`Task.batches`)."""
        own = self.drawn(client)
        for positions in self._batching.order(client, round, len(own)):
            yield self.batch([own[position] for position in positions])

    def drawn(self, client: int) -> Sequence[tuple[int, ...]]:
        """What a client draws one by one: the numbers of the training examples of each row of a batch."""
        return [(example,) for example in self.partition.clients[client]]

    @abstractmethod
    def batch(self, chosen: Sequence[tuple[int, ...]]) -> Batch:
        """Put rows of training examples, given by their numbers, into one batch."""
