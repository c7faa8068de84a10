"""What the trainer trains on: the one interface between a learning task and everything federated.

The local update, the protocols and the checkpoints see a task only through `Task`. They never ask whether
it is text or images, how it was split, or where it came from. A task holds three things:

* the training examples of N clients, already split, with a batch order that depends on nothing but the seed,
  the client and the round: a resumed run draws exactly the batches that the interrupted one would have drawn;
* the loss of one batch: the model's own mean loss, and nothing added to it;
* the held-out examples, and what it means to be good at them.

A task never holds a model, an optimizer or a clock, and drawing batches leaves no trace in it, so that one
task serves all methods of a comparison, one after the other or side by side.

The trainer's loop over one client's round is therefore no more than::

    for batch in task.batches(client, round):
        task.loss(model, batch).backward()
        optimizer.step()

`train.data.text.TextTask` and `train.data.vision.ImageTask` are the two tasks that paraSim brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from parasim_core.sim.errors import ParaSimError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Batch: TypeAlias = "Mapping[str, Tensor]"
"""Keyword arguments of one forward pass, labels included; every tensor's first dimension is the example."""


Progress: TypeAlias = "Callable[[int, int], None]"
"""Told how far a long evaluation has come: the equal steps that are done, and those in total."""


def silent(done: int, total: int) -> None:
    """Progress that nobody wants to see."""


class DataError(ParaSimError):
    """Training data is missing, malformed, too little, or does not fit what was asked of it."""


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on the held-out examples.

    Parameters
    ----------
    loss : float
        Mean loss [nats] per predicted token (text) or per image (vision).
    accuracy : float or None
        Fraction of examples answered right; None where it was not asked for or no answer can be checked.
    examples : int
        Held-out examples behind the loss.
    """

    loss: float
    accuracy: float | None
    examples: int

    @property
    def perplexity(self) -> float:
        """exp(loss), infinite where that does not fit a float."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf


class Task(Protocol):
    """The data of N clients, the loss of a batch, and the held-out quality of a model."""

    @property
    def examples(self) -> Sequence[int]:
        """Training examples n_i of every client, all positive: its length is the number of clients N.

        These are the weights of an n_i-weighted mean.
        """

    def batches(self, client: int, round: int) -> Iterator[Batch]:
        """Draw the batches of one client's local update.

        Parameters
        ----------
        client : int
            Client, from 0.
        round : int
            Round, from 0. Each round goes on in the client's data where the one before it stopped; every
            example is drawn once before any is drawn again.

        Yields
        ------
        Batch
            As many as the task was built for (local steps x gradient accumulation), all of the same number of
            examples, on the CPU. The same (client, round) always yields the same batches.
        """

    def loss(self, model: Module, batch: Batch) -> Tensor:
        """Compute the model's own mean loss on a batch.

        Parameters
        ----------
        model : torch.nn.Module
            The model; it stays in the mode (train or eval) that it is in.
        batch : Batch
            What `batches` yields. Tensors that are not yet on the model's device are moved there.

        Returns
        -------
        torch.Tensor
            A scalar on the model's device, ready for `backward`: the mean over trained tokens (those of the
            answers, where there are answers) or over images.
        """

    def evaluate(self, model: Module, *, accuracy: bool = True, progress: Progress = silent) -> Evaluation:
        """Measure the model on the held-out examples, without gradients.

        Parameters
        ----------
        model : torch.nn.Module
            The model; evaluated in eval mode and left in the mode it was in.
        accuracy : bool
            Whether to measure accuracy too. For text this generates answers, many times the cost of the loss.
        progress : Progress, optional
            Called after each batch.

        Returns
        -------
        Evaluation
            Loss and, if asked for and checkable, accuracy.
        """
