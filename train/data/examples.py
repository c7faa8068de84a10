"""One example, and the fields of a row that it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias, TypeGuard

from parasim_core.train.data.answers import final_number, marked_number, whole_number
from parasim_core.train.data.frame import ASSISTANT, USER, Conversation, Message
from parasim_core.train.data.task import DataError

JsonRow: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to learn: what is asked and what should be answered.

    Parameters
    ----------
    prompt : str
        What the user says; not empty.
    response : str
        What the model should say.
    label : str or None
        Where the example comes from or what kind it is: what a Dirichlet split is drawn over.
    answer : str or None
        The final number, where the answer can be checked.
    history : tuple of (str, str)
        Who said what before the prompt: a system message, earlier questions and answers. These answers are learned too.
    """

    prompt: str
    response: str
    label: str | None = None
    answer: str | None = None
    history: tuple[Message, ...] = ()

    @property
    def conversation(self) -> Conversation:
        """All of it, from the first message to the response."""
        return (*self.history, (USER, self.prompt), (ASSISTANT, self.response))

    def as_row(self) -> JsonRow:
        """Give the row of a file that reads as this example; what is not there is left out."""
        row: JsonRow = {"prompt": self.prompt, "response": self.response}
        if self.history:
            row = {"messages": [{"role": role, "content": text} for role, text in self.conversation]}
        named = {"label": self.label, "answer": self.answer}
        return row | {name: value for name, value in named.items() if value is not None}


def keys_of(row: JsonRow) -> str:
    """Name the keys of a row in a message, briefly, whatever they are."""
    named = ", ".join(" ".join(key.split()) for key in sorted(row)) or "no keys"
    brief = named if len(named) <= 200 else f"{named[:197]}..."
    return brief.encode(errors="backslashreplace").decode()


def text_of(row: JsonRow, key: str) -> str:
    """Read a field that must be text.

    Raises
    ------
    DataError
        If it is something else, or holds half of a pair of UTF-16 surrogates: no character, and no file takes it.
    """
    value = row.get(key)
    if not isinstance(value, str):
        raise DataError(f"{key!r} is {value!r:.60}, but must be text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise DataError(f"{key!r} holds {half}, half of a surrogate pair, which is no character") from None
    return value


def optional_text_of(row: JsonRow, key: str) -> str | None:
    """Read a field that is text, null or missing."""
    return None if row.get(key) is None else text_of(row, key)


def label_of(row: JsonRow, key: str) -> str | None:
    """Read a label: text or a number; None if it is null or missing."""
    value = row.get(key)
    if isinstance(value, int | float):
        return str(value)
    return optional_text_of(row, key)


def response_of(row: JsonRow, key: str) -> str:
    """Read what is answered: text or a number."""
    return _digits(row[key]) if _is_number(row[key]) else text_of(row, key)


def number_of(row: JsonRow, key: str) -> str | None:
    """Read the number that a field is or ends on; None if it is null.

    Raises
    ------
    DataError
        If it ends on none.
    """
    value = row[key]
    return None if value is None else ending_number(_digits(value) if _is_number(value) else str(value), key)


def ending_number(text: str, key: str, *, marked: bool = False) -> str:
    """Read the number that an answer ends on.

    Parameters
    ----------
    text : str
        The answer.
    key : str
        What a message calls it.
    marked : bool
        Only a number behind ``####`` on the last line, or one that is the whole answer.

    Raises
    ------
    DataError
        If there is none.
    """
    number = (marked_number(text) or whole_number(text)) if marked else final_number(text)
    if number is None:
        raise DataError(f"{key!r} is {text!r:.60}, but must end on a number" + " behind ####" * marked)
    return _written(number)


def checkable_number(row: JsonRow, response: str, key: str = "answer") -> str | None:
    """Find the number that generated answers can be held against, in data that need not have one.

    Parameters
    ----------
    row : dict
        The row; its `key` counts if it is a number, or ends as GSM8K's answers do.
    response : str
        What the model should say; counts if it ends as GSM8K's answers do.

    Returns
    -------
    str or None
        The number; None of free text, even if it mentions numbers.
    """
    value = row.get(key)
    named = _digits(value) if _is_number(value) else text_of(row, key) if isinstance(value, str) else ""
    for read, text in ((whole_number, named), (marked_number, named), (marked_number, response)):
        if (number := read(text)) is not None:
            return _written(number)
    return None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _digits(number: float) -> str:
    """Write a number without an exponent, which would read as another number."""
    return format(Decimal(str(number)), "f")


def _written(number: Decimal) -> str:
    return str(number.to_integral_value() if number == number.to_integral_value() else number)
