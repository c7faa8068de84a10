"""Conversations as people publish them: ``messages`` with role and content, or ShareGPT's with from and value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from parasim_core.sim.errors import nearest, shown
from parasim_core.train.data.examples import Example, JsonRow, checkable_number, label_of, text_of
from parasim_core.train.data.frame import ASSISTANT, SYSTEM, USER, Message
from parasim_core.train.data.task import DataError

_ROLES = {
    **dict.fromkeys(("system", "developer"), SYSTEM),
    **dict.fromkeys(("user", "human"), USER),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "bing", "bard"), ASSISTANT),
}


def as_example(row: JsonRow, *keys: str) -> Example:
    """Read a conversation.

    Parameters
    ----------
    row : dict
        Its optional ``system``, ``label`` and ``answer`` are read too.
    *keys : str
        Where its messages are, one list behind the other.

    Returns
    -------
    Example
        The last question that is answered, and all that was said before it. What one side says in several messages is
        one turn. An answer before the first question, or a question behind the last answer, is left out.

    Raises
    ------
    DataError
        If it is no list of messages, holds something else than text, somebody else speaks than system, user and
        assistant, or no question is answered.
    """
    said = [(SYSTEM, text_of(row, SYSTEM))] if row.get(SYSTEM) else []
    for key in keys:
        said += _messages(row[key], key)
    turns = [(role, "\n\n".join(text for _, text in same)) for role, same in groupby(said, key=lambda one: one[0])]
    roles = [role for role, _ in turns]
    first = roles.index(USER) if USER in roles else len(roles)
    turns = [turn for turn in turns[:first] if turn[0] == SYSTEM] + turns[first:]
    while turns and turns[-1][0] != ASSISTANT:
        turns.pop()
    if len(turns) < 2 or turns[-2][0] != USER:
        raise DataError(f"{keys[-1]!r} ends on no question of a user that an assistant answers")
    (_, prompt), (_, response) = turns[-2:]
    answer = checkable_number(row, response)
    return Example(prompt, response, label_of(row, "label"), answer, tuple(turns[:-2]))


def _messages(value: Any, key: str) -> Iterator[Message]:
    if not isinstance(value, list):
        raise DataError(f"{key!r} is {shown(value)}, but must be a list of messages")
    for number, message in enumerate(value, start=1):
        place = f"message {number} of {key!r}"
        if not isinstance(message, dict):
            raise DataError(f"{place} is {shown(message)}, but must have role and content, or from and value")
        who, what = ("from", "value") if "from" in message else ("role", "content")
        name = message.get(who)
        role = _ROLES.get(name.lower()) if isinstance(name, str) else None
        if role is None:
            raise DataError(f"{place}: {who} is {shown(name)}: {nearest(str(name)[:60], _ROLES)}")
        try:
            yield role, text_of({what: _joined(message.get(what))}, what)
        except DataError as error:
            raise DataError(f"{place}: {error}") from None


def _joined(content: Any) -> Any:
    """Put the parts of a text together; what is no list of texts stays as it is."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts and len(texts) == len(parts) else content
