"""The formats of instruction data that people publish, told apart by the keys of their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from parasim_core.sim.errors import nearest
from parasim_core.train.data.answers import marked_number
from parasim_core.train.data.conversations import as_example
from parasim_core.train.data.examples import (
    Example,
    JsonRow,
    checkable_number,
    ending_number,
    keys_of,
    label_of,
    number_of,
    optional_text_of,
    response_of,
    text_of,
)
from parasim_core.train.data.task import DataError

Format: TypeAlias = tuple[frozenset[str], Callable[[JsonRow], Example]]
"""Keys that a row must have, and the example that it is."""


def _instruction(row: JsonRow, context: str) -> str:
    instruction, given = text_of(row, "instruction"), optional_text_of(row, context) or ""
    return f"{instruction}\n\n{given}" if given.strip() else instruction


def _alpaca(row: JsonRow) -> Example:
    return Example(_instruction(row, "input"), text_of(row, "output"))


def _mathinstruct(row: JsonRow) -> Example:
    return Example(text_of(row, "instruction"), text_of(row, "output"), label=label_of(row, "source"))


def _dolly(row: JsonRow) -> Example:
    return Example(_instruction(row, "context"), text_of(row, "response"), label=label_of(row, "category"))


def _gsm8k(row: JsonRow, *, marked: bool = False) -> Example:
    # Calculator annotations, as in 16-3-4=<<16-3-4=9>>9, are meant for a tool and repeat what stands around.
    response = re.sub(r"<<.*?>>", "", text_of(row, "answer"))
    return Example(text_of(row, "question"), response, answer=ending_number(response, "answer", marked=marked))


def _svamp(row: JsonRow) -> Example:
    # "( 76.0 - 25.0 )" and 51.0 become the line that GSM8K would write: "76 - 25 = 51", then "#### 51".
    equation = re.sub(r"\.0\b", "", text_of(row, "Equation")).strip()
    equation = equation.removeprefix("(").removesuffix(")").strip()
    answer = number_of(row, "Answer")
    return Example(
        f"{text_of(row, 'Body').strip()} {text_of(row, 'Question').strip()}",
        f"{equation} = {answer}\n#### {answer}",
        # The published file spells one of its four types in two ways.
        label=text_of(row, "Type").replace("Divison", "Division"),
        answer=answer,
    )


def _completion(row: JsonRow) -> Example:
    if isinstance(row["prompt"], list):
        return as_example(row, "prompt", "completion")
    return named_columns({"response": "completion"})[1](row)


# In the order of detection: a MathInstruct row has all keys of an Alpaca row.
_FORMATS: dict[str, Format] = {
    "mathinstruct": (frozenset({"source", "instruction", "output"}), _mathinstruct),
    "alpaca": (frozenset({"instruction", "output"}), _alpaca),
    "dolly": (frozenset({"instruction", "response"}), _dolly),
    "gsm8k": (frozenset({"question", "answer"}), _gsm8k),
    "svamp": (frozenset({"Body", "Question", "Equation", "Answer", "Type"}), _svamp),
    "messages": (frozenset({"messages"}), lambda row: as_example(row, "messages")),
    "sharegpt": (frozenset({"conversations"}), lambda row: as_example(row, "conversations")),
    "completion": (frozenset({"prompt", "completion"}), _completion),
}
_COLUMNS = ("prompt", "response", "label", "answer")
FORMATS = (*_FORMATS, "columns")
"""Names of the formats; ``columns`` is any file whose columns are named."""


def named_format(name: str) -> Format:
    """Look a format up by its name.

    Raises
    ------
    DataError
        If there is none of that name.
    """
    if name not in FORMATS:
        raise DataError(f"no data format {name!r}: {nearest(name, FORMATS)}")
    return named_columns({}) if name == "columns" else _FORMATS[name]


def named_columns(columns: Mapping[str, str]) -> Format:
    """Make a format of named columns.

    Parameters
    ----------
    columns : mapping
        The column that is the ``prompt``, the ``response``, the ``label`` and the ``answer``; each is called like its
        field unless named. The last two need not be there unless they are named; a column that is called ``answer``
        without being named counts where it is a number.

    Raises
    ------
    DataError
        If another field is named.
    """
    for name in columns:
        if name not in _COLUMNS:
            raise DataError(f"columns: no field {name!r}: {nearest(name, _COLUMNS)}")
    where = {field: field for field in _COLUMNS} | dict(columns)

    def example(row: JsonRow) -> Example:
        response = response_of(row, where["response"])
        named = number_of(row, where["answer"]) if "answer" in columns else checkable_number(row, response)
        return Example(text_of(row, where["prompt"]), response, label_of(row, where["label"]), named)

    # An optional column that was named on purpose must be there; by its default name it may be absent.
    return frozenset({where["prompt"], where["response"], *columns.values()}), example


def detected(row: JsonRow) -> Format:
    """Tell a format by a row's keys; GSM8K from other questions and answers by the number that its answers end on.

    Raises
    ------
    DataError
        If no format has such keys.
    """
    name = next((name for name, (keys, _) in _FORMATS.items() if keys <= row.keys()), None)
    if name == "gsm8k":
        answer = row["answer"]
        if isinstance(answer, str) and marked_number(answer) is not None:
            return _FORMATS[name][0], partial(_gsm8k, marked=True)
        return named_columns({"prompt": "question", "response": "answer"})
    if name is not None:
        return _FORMATS[name]
    if {"prompt", "response"} <= row.keys():
        return named_columns({})
    known = "; ".join(f"{name} has {', '.join(sorted(keys))}" for name, (keys, _) in _FORMATS.items())
    raise DataError(
        f"unknown data format with the keys {keys_of(row)}: {known}; "
        "for any other, name its columns (train.data.columns; --column of paraSim evaluate)"
    )
