"""Fine-tuning a causal language model on answers, as a task: `train.data.vision` is the same for images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from parasim_core.train.data.batching import Batching, PartitionedTask
from parasim_core.train.data.encoding import Encoding, collate, collate_packed
from parasim_core.train.data.evaluate import held_out_loss, model_loss, readable_tokens, right_answers
from parasim_core.train.data.packing import packed
from parasim_core.train.data.partition import Partition
from parasim_core.train.data.task import Batch, DataError, Evaluation, Progress, silent

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

T = TypeVar("T")
USUAL_SEQUENCE_LENGTH = 512
"""Where examples are cut unless somebody says otherwise [tokens]."""


class TextTask(PartitionedTask):
    """The `train.data.task.Task` of text.

    Parameters
    ----------
    training, held_out : Encoding
        What is trained on and what is measured on, made with one template.
    partition : Partition
        Which training row belongs to which client.
    batching : Batching
        Batch size, batches per local update, and the seed of their order.
    evaluation_batch_size : int
        Held-out examples evaluated at a time.
    answer_tokens : int, optional
        Tokens that a generated answer may take; if left out, those of the longest held-out answer.
    packed_length : int, optional
        Put several examples of a client into each row, up to so many tokens; one into each if left out.
    loss : callable
        Mean loss of a model on a batch.

    Raises
    ------
    DataError
        If the partition was made for another number of examples.
    """

    def __init__(
        self,
        training: Encoding,
        held_out: Encoding,
        partition: Partition,
        batching: Batching,
        *,
        evaluation_batch_size: int = 32,
        answer_tokens: int | None = None,
        packed_length: int | None = None,
        loss: Callable[[Module, Batch], Tensor] = model_loss,
    ) -> None:
        super().__init__(partition, batching, len(training.rows), loss)
        self.training, self.held_out = training, held_out
        lengths = [len(row.tokens) for row in training.rows]
        self.packs = packed_length and [packed(own, lengths, packed_length) for own in partition.clients]
        self._evaluate = partial(evaluate_text, batch_size=evaluation_batch_size, answer_tokens=answer_tokens)

    def drawn(self, client: int) -> Sequence[tuple[int, ...]]:
        """Examples of each of a client's rows: one, unless they are packed."""
        return self.packs[client] if self.packs else super().drawn(client)

    def batch(self, chosen: Sequence[tuple[int, ...]]) -> Batch:
        """Put training rows into one batch, padded to the longest."""
        rows, pad = [[self.training.rows[index] for index in row] for row in chosen], self.training.template.pad
        return collate_packed(rows, pad) if self.packs else collate([row for (row,) in rows], pad)

    def evaluate(self, model: Module, *, accuracy: bool = True, progress: Progress = silent) -> Evaluation:
        """Measure held-out loss and, on those examples whose answer can be checked, exact match."""
        return self._evaluate(model, self.held_out, accuracy=accuracy, progress=progress)


def evaluate_text(
    model: Module,
    held_out: Encoding,
    *,
    batch_size: int,
    answer_tokens: int | None = None,
    accuracy: bool = True,
    progress: Progress = silent,
) -> Evaluation:
    """Measure held-out loss and, on those examples whose answer can be checked, exact match.

    Examples that were dropped, because their prompt alone fills the sequence, have no part in the loss; in exact
    match they count as wrong, as do conversations that were cut before their last answer.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model of transformers.
    held_out : Encoding
        What is measured on.
    batch_size : int
        Examples at a time.
    answer_tokens : int, optional
        Tokens that a generated answer may take; if left out, those of the longest held-out answer.
    accuracy : bool
        Whether to generate answers at all.
    progress : Progress
        Called after each batch.
    """
    rows = _batches(held_out.rows, batch_size, lambda row: len(row.tokens))
    asked = [
        (row.tokens[: row.last_answer], example.answer)
        for row, example in zip(held_out.rows, held_out.examples, strict=True)
        if accuracy and example.answer is not None and row.last_answer < len(row.tokens)
    ]
    questions = _batches(asked, batch_size, lambda question: len(question[0]))
    every = (*held_out.examples, *held_out.dropped)
    unasked = sum(accuracy and example.answer is not None for example in every) - len(asked)
    done = itertools.count(1)

    def reported(batches: Iterable[Sequence[T]]) -> Iterator[Sequence[T]]:
        for batch in batches:
            yield batch
            progress(next(done), len(rows) + len(questions))

    loss = held_out_loss(model, (collate(batch, held_out.template.pad) for batch in reported(rows)))
    matched = None
    if asked or unasked:
        longest = answer_tokens or max(len(row.tokens) - row.last_answer for row in held_out.rows)
        right = right_answers(model, held_out.template, reported(questions), longest)
        matched = right / (len(asked) + unasked)
    return Evaluation(loss, matched, len(held_out.rows))


def _batches(items: Iterable[T], size: int, length: Callable[[T], int]) -> list[list[T]]:
    """Cut items into batches, those of like length together, so that little of a batch is padding."""
    ordered = sorted(items, key=length)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def embeddings_of(model: Module) -> int:
    """How many tokens a language model of transformers has embeddings for."""
    model_of_language: Any = model
    return int(model_of_language.get_input_embeddings().weight.shape[0])


def check_sequence_length(model: Module, name: str, sequence_length: int | None, field: str) -> int:
    """Make sure that a model can read sequences as long as is asked for.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model of transformers.
    name : str
        What a message calls it.
    sequence_length : int, optional
        The length [tokens]; `USUAL_SEQUENCE_LENGTH`, or as much of it as the model can read, if left out.
    field : str
        What a message calls the length.

    Returns
    -------
    int
        The length [tokens].

    Raises
    ------
    DataError
        If the model was made for shorter sequences.
    """
    readable = readable_tokens(model)
    if sequence_length is None:
        return min(USUAL_SEQUENCE_LENGTH, readable or USUAL_SEQUENCE_LENGTH)
    if readable and sequence_length > readable:
        raise DataError(f"{field} is {sequence_length} tokens, but {name} can read {readable} at most")
    return sequence_length
