"""The number that an answer ends on, as GSM8K is scored: what follows ``####``, or else the last number."""

from __future__ import annotations

import re
from decimal import Decimal

# A thousands separator counts only in front of three digits, so that "1, 2" stays two numbers; a sign counts
# only where no operand stands before it, so that "9-4" ends on 4.
_NUMBER = re.compile(r"(?<![\w)])-?\$?\s?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_MARK = "####"


def final_number(text: str) -> Decimal | None:
    """Read the final number of an answer.

    Parameters
    ----------
    text : str
        An answer such as ``He pays 3 * $400. #### $1,200.00``.

    Returns
    -------
    decimal.Decimal or None
        The first number after the first ``####`` (whatever follows is a model that did not stop); where there
        is none, the last number of the text; None without any. It compares by value: 5.00 equals 5.
    """
    _, mark, tail = text.partition(_MARK)
    marked = _NUMBER.search(tail) if mark else None
    if marked:
        return _value(marked.group())
    numbers = _NUMBER.findall(text)
    return _value(numbers[-1]) if numbers else None


def _value(number: str) -> Decimal:
    return Decimal(re.sub(r"[$,\s]", "", number))
