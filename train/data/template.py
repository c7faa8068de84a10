"""How conversations become tokens: by the tokenizer's chat template, or by a plain one where it has none.

The plain template is ``Question: {prompt}`` and, on the next line, ``Answer: {response}``, opened by the
tokenizer's beginning token where it uses one and closed by its end token.

A conversation is rendered and tokenized as a whole, as the tokenizer's own `apply_chat_template` does it, and what is
trained is what the template writes for the assistant (`train.data.frame`). A generated answer starts from the very
tokens that the masked part ends with.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from parasim_core.train.data.frame import ASSISTANT, PROBE, USER, Conversation, Frame, shared_length
from parasim_core.train.data.task import DataError

Marked: TypeAlias = "tuple[list[int], list[bool]]"
"""Token ids, and which of them are trained: as many, the last one among them."""

Spans: TypeAlias = "Sequence[tuple[int, int]]"
"""From where to where the assistant speaks [characters]."""

Placed: TypeAlias = "tuple[list[int], Sequence[tuple[int, int]]]"
"""Token ids, and from where to where each goes in the text [characters]."""

_MARKS_ANSWERS = re.compile(r"\{%-?\s*generation\s*-?%\}")


class Template:
    """The tokenizer of a run together with the frame that it puts around what is said.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast or slow tokenizer; it is read, never changed.
    embeddings : int, optional
        How many tokens the model has embeddings for; any number if left out.

    Raises
    ------
    DataError
        If there is no token to end an answer with, or the chat template fails or leaves out what it is given.
    """

    def __init__(self, tokenizer: Any, embeddings: int | None = None) -> None:
        self.tokenizer = tokenizer
        self._embeddings = embeddings
        self._frame = frame = Frame(tokenizer)
        if not (frame.end or tokenizer.eos_token):
            raise DataError("the tokenizer has neither an end token nor a chat template that ends an answer")
        ends = {frame.end_token, tokenizer.eos_token_id}
        #: Tokens that end a generated answer.
        self.stops: tuple[int, ...] = tuple(sorted(token for token in ends if token is not None))
        #: Token that fills up short rows of a batch; any will do, it is masked, but the model must have it.
        self.pad: int = next(
            token
            for token in (tokenizer.pad_token_id, frame.end_token, *self.stops, 0)
            if token is not None and (embeddings is None or token < embeddings)
        )
        marks = bool(_MARKS_ANSWERS.search(frame.source)) and bool(tokenizer.is_fast)
        self._marks_answers = marks and any(self._marked_by_template(PROBE)[1])

    def conversations(self, conversations: Sequence[Conversation]) -> list[Marked]:
        """Tokenize conversations, and tell what the assistant says in them.

        Parameters
        ----------
        conversations : sequence of Conversation
            Who says what. White space around the assistant's answers is left out.

        Returns
        -------
        list of Marked
            Of each the tokens as the template writes them, up to the last that is trained, and which of them are
            trained. Where a template marks answers itself (``{% generation %}``), its mask is taken as it is; else
            each answer is trained from where a model that is asked begins to the end of its turn.

        Raises
        ------
        DataError
            If the template fails, or leaves out a part of what is said; if the model has no embedding for a token.
        """
        prepared = [self._frame.prepared(conversation) for conversation in conversations]
        if self._marks_answers:
            rows = [self._marked_by_template(conversation) for conversation in prepared]
        else:
            rows = self._marked([self._frame.spans(conversation) for conversation in prepared])
        return [self._checked(row) for row in rows]

    def prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        """Tokenize prompts up to where the answer begins.

        Parameters
        ----------
        prompts : sequence of str
            What users say.

        Returns
        -------
        list of list of int
            Token ids of each, with everything that the template puts in front of an answer.
        """
        rows = self.conversations([[(USER, prompt), PROBE[1]] for prompt in prompts])
        return [tokens[: trained.index(True)] for tokens, trained in rows]

    def completions(self, responses: Sequence[str]) -> list[list[int]]:
        """Tokenize responses with the end of the turn.

        Parameters
        ----------
        responses : sequence of str
            What the model should say.

        Returns
        -------
        list of list of int
            Token ids of each; the last is the end-of-turn (or end-of-text) token.
        """
        rows = self.conversations([[PROBE[0], (ASSISTANT, response)] for response in responses])
        return [tokens[trained.index(True) :] for tokens, trained in rows]

    def documents(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize plain text, as a base model is pretrained on: no frame but the end token.

        Parameters
        ----------
        texts : sequence of str
            Documents.

        Returns
        -------
        list of list of int
            Token ids of each.
        """
        end = self._frame.end or self.tokenizer.eos_token
        ids: list[list[int]] = self._encoded([f"{text.strip()}{end}" for text in texts]).input_ids if texts else []
        return ids

    def answers(self, generated: Any) -> list[str]:
        """Read generated tokens, each up to the end of its turn.

        Parameters
        ----------
        generated : torch.Tensor
            Token ids behind the prompts, shape (answers, tokens).

        Returns
        -------
        list of str
            The texts, without special tokens.
        """
        texts: list[str] = self.tokenizer.batch_decode(generated, skip_special_tokens=True)
        # An end that is no token of its own does not stop the generation.
        end = self._frame.end.strip()
        return [text.partition(end)[0] if end else text for text in texts]

    def chat_tokenizer(self) -> Any:
        """Give the tokenizer as it goes with a trained model.

        Returns
        -------
        transformers.PreTrainedTokenizerBase
            Its chat template puts the very frame around a question that the model was trained with.
        """
        tokenizer = copy.deepcopy(self.tokenizer)
        tokenizer.chat_template = self._frame.plain or tokenizer.chat_template
        return tokenizer

    def _encoded(self, texts: Sequence[str], **options: Any) -> Any:
        # The template has written every special token itself. Lengths are checked by who truncates.
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False, **options)

    def _marked(self, texts: Sequence[tuple[str, Spans]]) -> list[Marked]:
        """Tokenize texts; trained is every token that holds a character of a span."""
        placed = self._placed([text for text, _ in texts], [spans for _, spans in texts])
        rows = []
        for (text, spans), (ids, places) in zip(texts, placed, strict=True):
            # What a model is asked ends with a token's end. Where a token of the whole text goes on into the answer,
            # no model that is asked ever sees it: both sides are tokenized apart.
            cuts = [start for start, _ in spans if any(left < start < right for left, right in places)]
            if cuts:
                ids, places = self._placed_apart(text, spans, cuts)
            # A token of no width is where it stands.
            wide = [(left, max(right, left + 1)) for left, right in places]
            trained = [any(left < end and right > start for start, end in spans) for left, right in wide]
            rows.append((ids, trained))
        return rows

    def _placed(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[Placed]:
        """Tokenize texts, and tell from which to which character each token goes."""
        if not texts:
            return []
        if self.tokenizer.is_fast:
            encoded = self._encoded(texts, return_offsets_mapping=True)
            return list(zip(encoded.input_ids, encoded.offset_mapping, strict=True))
        return [self._placed_slowly(text, own) for text, own in zip(texts, spans, strict=True)]

    def _placed_apart(self, text: str, spans: Spans, cuts: Sequence[int]) -> Placed:
        """The same of one text, cut into pieces that are tokenized by themselves."""
        ids: list[int] = []
        places: list[tuple[int, int]] = []
        for start, end in pairwise([0, *cuts, len(text)]):
            own = [(max(0, left - start), max(0, right - start)) for left, right in spans]
            ((more, where),) = self._placed([text[start:end]], [own])
            ids += more
            places += [(start + left, start + right) for left, right in where]
        return ids, places

    def _placed_slowly(self, text: str, spans: Spans) -> Placed:
        """The same with a tokenizer that does not tell: between which edges of spans each token lies.

        The tokens of what stands before an edge are those of the whole text, up to one that goes on behind the edge.
        """
        edges = sorted({edge for span in spans for edge in span if 0 < edge < len(text)})
        ids, *parts = self._encoded([text, *(text[:edge] for edge in edges)]).input_ids
        before = [shared_length(ids, part) for part in parts]
        crossing = [count < len(part) for count, part in zip(before, parts, strict=True)]
        places = []
        for index in range(len(ids)):
            left = [edge for edge, count, over in zip(edges, before, crossing, strict=True) if index >= count + over]
            right = [edge for edge, count in zip(edges, before, strict=True) if index < count]
            places.append((max(left, default=0), min(right, default=len(text))))
        return ids, places

    def _marked_by_template(self, conversation: Conversation) -> Marked:
        self._frame.check(conversation)
        encoded = self.tokenizer.apply_chat_template(
            self._frame.contents(conversation),
            chat_template=self._frame.source,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        return encoded["input_ids"], [bool(one) for one in encoded["assistant_masks"]]

    def _checked(self, row: Marked) -> Marked:
        """Leave out what follows the last trained token; make sure that the model has an embedding for every token."""
        tokens, trained = row
        if not any(trained):
            raise DataError("the tokenizer has no token for an answer")
        if self._embeddings is not None and (highest := max(tokens)) >= self._embeddings:
            token = self.tokenizer.convert_ids_to_tokens(highest)
            raise DataError(
                f"the tokenizer writes token {highest} ({token!r:.60}), but the model has embeddings for 0 to "
                f"{self._embeddings - 1} only: they do not belong together"
            )
        length = len(trained) - trained[::-1].index(True)
        return tokens[:length], trained[:length]
