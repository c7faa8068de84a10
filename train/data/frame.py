"""What a chat template writes around what is said: the text of a conversation, and where in it the assistant speaks.

A template is a program that came with a tokenizer. It may want text or a list of parts, write or leave out the opening
of a turn, put thoughts or spaces before an answer, end a turn with a token, with words or not at all, and ask what day
it is. Nothing of this can be read off it, but all of it shows when it is tried out: with words that occur nowhere else
in the place of an answer, what stands before them and behind them is the template's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias

from parasim_core.sim.errors import shown
from parasim_core.train.data.task import DataError

Message: TypeAlias = "tuple[str, str]"
"""Who speaks (`SYSTEM`, `USER` or `ASSISTANT`), and what is said."""

Conversation: TypeAlias = "Sequence[Message]"
"""Messages in their order, of which the last is the assistant's."""

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"

CLOCK = datetime(2024, 7, 26)
"""What templates are told when they ask for the time, so that data are the same tokens on every day."""

_PLAIN = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}Question: {{ message.content | trim }}\nAnswer:"
    "{% elif message.role == 'assistant' %} {{ message.content | trim }}{{ eos_token }}"
    "{% else %}{{ raise_exception('this model knows questions and answers only') }}"
    "{% endif %}{% endfor %}"
)
_PLAIN_WITH_BEGINNING = "{{ bos_token }}" + _PLAIN

_SAID = {role: f"q7c1f0{role}e9a4" for role in (SYSTEM, USER, ASSISTANT)}
PROBE: Sequence[Message] = ((USER, _SAID[USER]), (ASSISTANT, _SAID[ASSISTANT]))
"""What a template is tried out with: words that no template and no data contain."""
_FORMS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({USER, ASSISTANT}),
    frozenset({USER}),
    frozenset({ASSISTANT}),
)
"""Whose content is a list of parts, ``{"type": "text", "text": ...}``, instead of text; in the order of trial."""
_LIST_WRITTEN = re.compile(r"""["']type["']:""")
_THOUGHT = "</think>"


class Frame:
    """A tokenizer's chat template, or the plain one, tried out.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        Read, never changed.

    Attributes
    ----------
    plain : str or None
        The plain template, where the tokenizer has none of its own.
    source : str
        The template that is rendered, with a clock that stands still.
    end : str
        What ends the assistant's turn; empty if the template ends none.
    end_token : int or None
        The token at the end of that, if the end is a token.

    Raises
    ------
    DataError
        If the template fails, or leaves out what it is given.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # The plain frame comes back as the chat template of a trained model: to the same tokens.
        self.plain = None
        if tokenizer.chat_template in (None, "", _PLAIN, _PLAIN_WITH_BEGINNING):
            # GPT-2 names a beginning token but never puts it in front of a text; Llama does.
            begins = tokenizer.bos_token and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
            self.plain = _PLAIN_WITH_BEGINNING if begins else _PLAIN
        try:
            self.source = _with_clock(self.plain or tokenizer.get_chat_template())
        except ValueError as error:  # several templates, none of which is the default
            raise DataError(f"the tokenizer's chat template cannot be chosen: {_brief(error)}") from None
        self._form = self._form_that_comes_out()
        self._knows_systems: bool | None = None
        # A template that knows no generation prompt writes the opening of a turn with the turn itself.
        self._opens_turns = self._render(PROBE[:1], ask=True) != self._render(PROBE[:1])
        self.end, self.end_token = self._ending(self._around(PROBE, 1)[1])
        self._between = self._end_between()

    def prepared(self, conversation: Conversation) -> list[Message]:
        """Bring a conversation into the shape that the template knows.

        White space around answers is left out. Where the template knows no system message, it stands in front of what
        the user says first.
        """
        messages = [(role, text.strip() if role == ASSISTANT else text) for role, text in conversation]
        if [role for role, _ in messages[:2]] != [SYSTEM, USER] or self._system_comes_out():
            return messages
        return [(USER, f"{messages[0][1].strip()}\n\n{messages[1][1]}"), *messages[2:]]

    def contents(self, conversation: Conversation) -> list[dict[str, Any]]:
        """What `apply_chat_template` takes: each message with its content in the form that the template wants."""
        return [
            {"role": role, "content": [{"type": "text", "text": text}] if role in self._form else text}
            for role, text in conversation
        ]

    def check(self, conversation: Conversation) -> str:
        """Render a conversation, and make sure that all that is said comes out.

        Returns
        -------
        str
            The text as the template writes it.

        Raises
        ------
        DataError
            Showing what is left out.
        """
        whole = self._render(conversation)
        if (lost := _missing(whole, conversation)) is not None:
            raise DataError(f"the tokenizer's chat template leaves out a part of what is said: {shown(lost)}")
        return whole

    def spans(self, conversation: Conversation) -> tuple[str, list[tuple[int, int]]]:
        """Render a conversation, and find where the assistant speaks.

        Parameters
        ----------
        conversation : Conversation
            As `prepared`.

        Returns
        -------
        tuple of str and list of (int, int)
            The text, and from where to where [characters] each answer goes: from where a model that is asked begins,
            to the end of the turn. If the template ends no turn, the last ends with the tokenizer's end token.

        Raises
        ------
        DataError
            If something is left out, or what stands around an answer depends on what the answer is.
        """
        whole, spans, end = self.check(conversation), [], 0
        for index, (role, text) in enumerate(conversation):
            if role != ASSISTANT:
                continue
            before, behind = self._around(conversation, index)
            start, end = self._start(conversation[:index], before), len(whole) - len(behind)
            if not (whole.startswith(before[:start]) and whole.endswith(behind) and start <= end):
                raise DataError(f"the tokenizer's chat template writes other questions for this answer: {shown(text)}")
            ends = (self.end, self._between) if index + 1 < len(conversation) else (self.end,)
            spans.append((start, end + len(next((one for one in ends if behind.startswith(one)), ""))))
        if not self.end:
            whole = whole[:end] + self._tokenizer.eos_token
            spans[-1] = spans[-1][0], len(whole)
        return whole, spans

    def _render(self, conversation: Conversation, *, ask: bool = False) -> str:
        """Let the template write a conversation and, where asked for, the opening of the assistant's turn."""
        try:
            text: str = self._tokenizer.apply_chat_template(
                self.contents(conversation), chat_template=self.source, tokenize=False, add_generation_prompt=ask
            )
        except Exception as error:  # a template is a program of its own: jinja's errors and those it raises itself
            raise DataError(f"the tokenizer's chat template fails: {_brief(error)}") from error
        return text

    def _form_that_comes_out(self) -> frozenset[str]:
        """Find whose content the template wants in parts: the first form in which it writes what it is given."""
        failure = None
        for self._form in _FORMS:
            try:
                if self._comes_out(PROBE):
                    return self._form
            except DataError as error:
                failure = failure or error
        raise failure or DataError(
            "the tokenizer's chat template leaves out the question or the answer, whether it is given text or a list "
            "of text parts"
        )

    def _system_comes_out(self) -> bool:
        """Whether the template writes system messages; the form in which it does is kept."""
        if self._knows_systems is None:
            probe, without = ((SYSTEM, _SAID[SYSTEM]), *PROBE), self._form
            for self._form in (without | {SYSTEM}, without) if USER in without else (without, without | {SYSTEM}):
                with suppress(DataError):
                    self._knows_systems = self._comes_out(probe)
                if self._knows_systems:
                    break
        return bool(self._knows_systems)

    def _comes_out(self, probe: Conversation) -> bool:
        text = self._render(probe)
        # A list that is written as one is not what is said, though that stands in it.
        return _missing(text, probe) is None and not _LIST_WRITTEN.search(text)

    def _around(self, conversation: Conversation, index: int) -> tuple[str, str]:
        """What the template writes before and behind the text of one answer, whatever the answer is."""
        said = _SAID[ASSISTANT]
        tried = [*conversation[:index], (ASSISTANT, said), *conversation[index + 1 :]]
        before, _, behind = self._render(tried).rpartition(said)
        return before, behind

    def _start(self, asked: Conversation, before: str) -> int:
        """Where the assistant begins in what stands before an answer [characters]: where a model is left to answer."""
        common = shared_length(self._render(asked, ask=True), before)
        # Where asking writes no opening, that is not the assistant's; a space or a line break may be.
        return common if self._opens_turns or not before[common:].strip() else len(before)

    def _end_between(self) -> str:
        """The token that ends an answer before the last, where it is another one than ends the last: else the same.

        It ends questions too; what stands behind an answer alone is the opening of another turn.
        """
        try:
            text = self._render([*PROBE, *PROBE])
        except DataError:  # a template of one question only
            return self.end
        ends = []
        for said in (_SAID[USER], _SAID[ASSISTANT]):
            behind = text.partition(said)[2]
            end, token = self._ending(behind)
            ends.append(end if token is not None and behind.startswith(end) else "")
        return ends[1] if ends[0] == ends[1] else self.end

    def _ending(self, behind: str) -> tuple[str, int | None]:
        """What ends a turn, of what the template writes behind an answer, and the token that it ends with.

        White space behind the end, or the opening of another turn, is nobody's answer.
        """
        added = self._tokenizer.get_added_vocab()
        # Some tokenizers have tokens for runs of spaces or line breaks too; those end nothing.
        written = (token for token in added if token.strip() and token in behind)
        found = sorted(written, key=lambda token: (behind.index(token), -len(token)))
        if found:
            first = found[0]
            return behind[: behind.index(first) + len(first)], added[first]
        end = behind.rstrip()
        tokens = self._tokenizer(end.strip(), add_special_tokens=False).input_ids if end else []
        return end, tokens[0] if len(tokens) == 1 else None


def shared_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Count the elements that two sequences begin with alike."""
    shortest = min(len(first), len(second))
    if first[:shortest] == second[:shortest]:
        return shortest
    return next(index for index in range(shortest) if first[index] != second[index])


def _with_clock(source: str) -> str:
    """Let a template's clock stand still at `CLOCK`: a macro takes the place of transformers' `strftime_now`."""
    if "strftime_now" not in source:
        return source
    directives = [f"%{letter}" for letter in "aAbBcdDeFGgHIjklmMnpPrRSstTuUVwWxXyYzZ"]
    directives += [f"%-{letter}" for letter in "deHIjklmMSUVWy"]
    # "%%" is hidden meanwhile: it may stand before a letter.
    steps = [("%%", "\0"), *((each, CLOCK.strftime(each)) for each in directives), ("\0", "%")]
    replaced = "".join(f" | replace({old!r}, {new!r})" for old, new in steps)
    # Of line breaks behind a block transformers takes away one: what follows begins as it would by itself.
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{replaced} }}}}{{%- endmacro %}}\n{source}"


def _missing(text: str, conversation: Conversation) -> str | None:
    """The first message that does not come out, in its order and white space apart; None if all do."""
    squeezed, place = "".join(text.split()), 0
    last = len(conversation) - 1
    for index, (role, said) in enumerate(conversation):
        # What was thought before earlier answers is left out on purpose by templates of models that think.
        own = said.rpartition(_THOUGHT)[2] if role == ASSISTANT and index < last else said
        wanted = "".join(own.split())
        found = squeezed.find(wanted, place)
        if found < 0:
            return said
        place = found + len(wanted)
    return None


def _brief(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
