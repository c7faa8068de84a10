"""How a prompt and a response become tokens: the tokenizer's chat template, or a plain one where it has none.

The plain template is ``Question: {prompt}`` and, on the next line, ``Answer: {response}``, opened by the
tokenizer's beginning token where it uses one and closed by its end token.

Prompt and completion are tokenized apart and put one behind the other. So no token straddles the boundary,
the tokens to train are exactly those of the completion, and a generated answer starts from the very tokens
that the masked part ends with.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from train.data.task import DataError

_PROBE_PROMPT, _PROBE_RESPONSE = "What?", "Probing."
_PLAIN = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}Question: {{ message.content | trim }}\nAnswer:"
    "{% elif message.role == 'assistant' %} {{ message.content | trim }}{{ eos_token }}"
    "{% else %}{{ raise_exception('this model knows questions and answers only') }}"
    "{% endif %}{% endfor %}"
)
_PLAIN_WITH_BEGINNING = "{{ bos_token }}" + _PLAIN


class Template:
    """The tokenizer of a run together with the frame that it puts around prompts and responses.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast or slow tokenizer; it is read, never changed.

    Raises
    ------
    DataError
        If there is no token to end an answer with.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        # The plain frame comes back as the chat template of a trained model: to the same tokens.
        self._plain = None
        if tokenizer.chat_template in (None, "", _PLAIN, _PLAIN_WITH_BEGINNING):
            # GPT-2 names a beginning token but never puts it in front of a text; Llama does.
            begins = tokenizer.bos_token and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
            self._plain = _PLAIN_WITH_BEGINNING if begins else _PLAIN
        probe = [_user(_PROBE_PROMPT), {"role": "assistant", "content": _PROBE_RESPONSE}]
        # Only what ends the turn: the line break that some templates add behind it is never generated.
        ending = self._render(probe, add_generation_prompt=False).rpartition(_PROBE_RESPONSE)[2].strip()
        self._end = ending or tokenizer.eos_token
        if not self._end:
            raise DataError("the tokenizer has neither an end token nor a chat template that ends an answer")
        end = self._tokens([self._end])[0]
        #: Tokens that end a generated answer.
        self.stops: tuple[int, ...] = tuple(sorted({end[0], tokenizer.eos_token_id or end[0]}))
        #: Token that fills up short rows of a batch; where the tokenizer has none, any will do: it is masked.
        self.pad: int = end[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id

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
        return self._tokens([self._render([_user(prompt)], add_generation_prompt=True) for prompt in prompts])

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
        separator = "" if self._plain is None else " "
        return self._tokens([f"{separator}{response.strip()}{self._end}" for response in responses])

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
        return self._tokens([f"{text.strip()}{self._end}" for text in texts])

    def chat_tokenizer(self) -> Any:
        """Give the tokenizer as it goes with a trained model.

        Returns
        -------
        transformers.PreTrainedTokenizerBase
            Its chat template puts the very frame around a question that the model was trained with.
        """
        tokenizer = copy.deepcopy(self.tokenizer)
        tokenizer.chat_template = self._plain or tokenizer.chat_template
        return tokenizer

    def _render(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, chat_template=self._plain, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:  # a template is a program of its own: jinja's errors and those it raises itself
            raise DataError(f"the tokenizer's chat template fails: {error}") from error
        return text

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        # The template has written every special token itself. Lengths are checked by who truncates.
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, verbose=False).input_ids
        return ids


def _user(prompt: str) -> dict[str, str]:
    return {"role": "user", "content": prompt}
