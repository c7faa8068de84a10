"""The number that an answer ends on, as GSM8K is scored: what follows ``####``, or else the last number.

A model's answers end on whatever number comes last. Whether data have a number to hold them against is asked more
strictly: text in which a number happens to stand cannot be scored.
"""

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


def whole_number(text: str) -> Decimal | None:
    """Read a text that is a number and nothing else, such as ``7``, ``$1,200.00`` or ``50%``; None of any other."""
    number = text.strip().rstrip("%.").rstrip()
    return _value(number) if _NUMBER.fullmatch(number) else None


def marked_number(text: str) -> Decimal | None:
    """Read the number of an answer whose last line is ``#### 7``, as GSM8K's are; None of any other.

    A heading of Markdown may begin with the same signs.
    """
    last = text.rstrip().rpartition("\n")[2]
    _, mark, number = last.rpartition(_MARK)
    return whole_number(number) if mark else None


def _value(number: str) -> Decimal:
    return Decimal(re.sub(r"[$,\s]", "", number))
