"""Text as tensors: examples become rows of tokens, and rows become padded batches.

Only the answer is trained: the labels of the prompt are masked, and the token that ends the answer is the last
one with a label. Nothing is cut in silence: `Encoding.truncation` counts what a sequence length costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from parasim_core.train.data.evaluate import IGNORED
from parasim_core.train.data.formats import Example
from parasim_core.train.data.task import DataError
from parasim_core.train.data.template import Template


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row of tokens.

    Parameters
    ----------
    tokens : tuple of int
        Prompt and completion.
    prompt_length : int
        How many of them are the prompt's; their labels are masked.
    masked : tuple of (int, int)
        From where to where labels are masked behind that: between the answers of a conversation.
    """

    tokens: tuple[int, ...]
    prompt_length: int
    masked: tuple[tuple[int, int], ...] = ()

    @property
    def last_answer(self) -> int:
        """Where the last answer begins: as many tokens stand before it, if it has not been cut off."""
        return self.masked[-1][1] if self.masked else self.prompt_length


@dataclass(frozen=True)
class Truncation:
    """What a sequence length costs.

    Parameters
    ----------
    examples : int
        Examples before truncation.
    truncated : int
        Examples kept with a part of their answer.
    dropped : int
        Examples left out, because their prompt alone fills the sequence.
    answer_tokens, lost_answer_tokens : int
        Answer tokens before truncation, and those of them cut off or dropped.
    """

    examples: int
    truncated: int
    dropped: int
    answer_tokens: int
    lost_answer_tokens: int

    def __str__(self) -> str:
        return (
            f"{self.truncated} of {self.examples} examples truncated, {self.dropped} dropped; "
            f"{self.lost_answer_tokens} of {self.answer_tokens} answer tokens lost"
        )


@dataclass(frozen=True)
class Encoding:
    """Examples as tokens, with what was cut off.

    Parameters
    ----------
    examples : tuple of Example
        Those that were kept, in their order.
    rows : tuple of TokenRow
        The tokens of each.
    dropped : tuple of Example
        Those that were left out, because their prompt alone fills the sequence.
    truncation : Truncation
        What was cut off or left out.
    template : Template
        What the tokens were made with.
    """

    examples: tuple[Example, ...]
    rows: tuple[TokenRow, ...]
    dropped: tuple[Example, ...]
    truncation: Truncation
    template: Template


def encode(examples: Sequence[Example], template: Template, sequence_length: int) -> Encoding:
    """Tokenize examples and cut them to a length.

    Parameters
    ----------
    examples : sequence of Example
        Prompts and responses.
    template : Template
        The tokenizer and its frame.
    sequence_length : int
        Tokens that a row has at most; the end of the answer is what is cut.

    Returns
    -------
    Encoding
        Every example of which at least one answer token is left.

    Raises
    ------
    DataError
        If none is left.
    """
    kept: list[Example] = []
    dropped: list[Example] = []
    rows: list[TokenRow] = []
    truncated = answer_tokens = lost = shortest = 0
    marked = template.conversations([example.conversation for example in examples])
    for example, (tokens, trained) in zip(examples, marked, strict=True):
        cut = sum(trained[sequence_length:])
        answer_tokens += sum(trained)
        lost += cut
        prompt_length = trained.index(True)
        shortest = min(shortest or prompt_length, prompt_length)
        if prompt_length >= sequence_length:
            dropped.append(example)
            continue
        truncated += cut > 0
        kept.append(example)
        rows.append(TokenRow(tuple(tokens[:sequence_length]), prompt_length, _gaps(trained)))
    if not rows:
        raise DataError(
            f"no answer token is left of {len(examples)} examples at sequence length {sequence_length}; "
            f"the shortest prompt has {shortest} tokens"
        )
    truncation = Truncation(len(examples), truncated, len(dropped), answer_tokens, lost)
    return Encoding(tuple(kept), tuple(rows), tuple(dropped), truncation, template)


def _gaps(trained: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """From where to where nothing is trained, behind the first token that is."""
    ends = [place for place in range(1, len(trained)) if trained[place] != trained[place - 1]]
    # The first change begins the first answer, if that is not the row's own beginning.
    ends = ends if trained[0] else ends[1:]
    return tuple(zip(ends[::2], ends[1::2], strict=True))


def pack(texts: Sequence[str], template: Template, sequence_length: int) -> tuple[TokenRow, ...]:
    """Tokenize plain text into full rows, every token trained, as a base model is pretrained.

    Parameters
    ----------
    texts : sequence of str
        Documents; they are put one behind the other, each closed by the end token.
    template : Template
        The tokenizer.
    sequence_length : int
        Tokens per row; a rest that does not fill one is left out.

    Returns
    -------
    tuple of TokenRow
        Rows without a prompt.

    Raises
    ------
    DataError
        If the text does not fill a single row.
    """
    tokens = [token for document in template.documents(texts) for token in document]
    starts = range(0, len(tokens) - sequence_length + 1, sequence_length)
    if not starts:
        raise DataError(f"{len(tokens)} tokens of text do not fill one row of {sequence_length}")
    return tuple(TokenRow(tuple(tokens[start : start + sequence_length]), 0) for start in starts)


def collate(rows: Sequence[TokenRow], pad: int) -> dict[str, torch.Tensor]:
    """Put token rows into one batch, padded on the right to the longest.

    Parameters
    ----------
    rows : sequence of TokenRow
        The rows.
    pad : int
        Token to pad with.

    Returns
    -------
    dict of str to torch.Tensor
        ``input_ids``, ``attention_mask`` and ``labels``, each int64 of shape (rows, width); labels are
        `IGNORED` on prompts and padding. Positions count from 0 at the first token, as models do by themselves.
    """
    tokens = [torch.tensor(row.tokens) for row in rows]
    labels = list(map(_labels, rows))
    return {
        "input_ids": pad_sequence(tokens, batch_first=True, padding_value=pad),
        "attention_mask": pad_sequence([torch.ones_like(ids) for ids in tokens], batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    }


def collate_packed(packs: Sequence[Sequence[TokenRow]], pad: int) -> dict[str, torch.Tensor]:
    """Put packs of token rows into one batch, each pack as one row, padded on the right to the longest.

    Parameters
    ----------
    packs : sequence of sequence of TokenRow
        The rows of each.
    pad : int
        Token to pad with.

    Returns
    -------
    dict of str to torch.Tensor
        ``input_ids``, ``position_ids`` and ``labels``, each int64 of shape (packs, width). Positions begin at 0 with
        every row, and with the padding: by that transformers keeps rows from attending to one another. Nothing predicts
        the first token of a row, for what stands before it is another row.
    """
    tokens, positions, labels = [], [], []
    for rows in packs:
        own = list(map(_labels, rows))
        for one in own:
            one[0] = IGNORED
        tokens.append(torch.tensor([token for row in rows for token in row.tokens]))
        positions.append(torch.cat([torch.arange(len(row.tokens)) for row in rows]))
        labels.append(torch.cat(own))
    width = max(map(len, tokens))
    return {
        "input_ids": pad_sequence(tokens, batch_first=True, padding_value=pad),
        "position_ids": torch.stack([torch.cat([one, torch.arange(width - len(one))]) for one in positions]),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    }


def _labels(row: TokenRow) -> torch.Tensor:
    """Tokens of a row that are trained, `IGNORED` in the place of the others."""
    labels = torch.tensor(row.tokens)
    labels[: row.prompt_length] = IGNORED
    for start, end in row.masked:
        labels[start:end] = IGNORED
    return labels
