"""Instruction data as people publish it, read into one shape.

Alpaca, MathInstruct, GSM8K and SVAMP are told apart by their keys; any other file names its columns. The
source is a local ``.json`` (one array) or ``.jsonl`` file, or a data set on the Hugging Face hub through
`datasets`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import nearest
from train.answers import final_number
from train.rows import Row, read_rows
from train.task import DataError


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
    """

    prompt: str
    response: str
    label: str | None = None
    answer: str | None = None


def _alpaca(row: Row) -> Example:
    instruction, context = _text(row, "instruction"), _text(row, "input", default="")
    return Example(f"{instruction}\n\n{context}" if context.strip() else instruction, _text(row, "output"))


def _mathinstruct(row: Row) -> Example:
    return Example(_text(row, "instruction"), _text(row, "output"), label=_text(row, "source"))


def _gsm8k(row: Row) -> Example:
    # Calculator annotations, as in 16-3-4=<<16-3-4=9>>9, are meant for a tool and repeat what stands around.
    response = re.sub(r"<<.*?>>", "", _text(row, "answer"))
    return Example(_text(row, "question"), response, answer=_number(response, "answer"))


def _svamp(row: Row) -> Example:
    # "( 76.0 - 25.0 )" and 51.0 become the line that GSM8K would write: "76 - 25 = 51", then "#### 51".
    equation = re.sub(r"\.0\b", "", _text(row, "Equation")).strip()
    equation = equation.removeprefix("(").removesuffix(")").strip()
    answer = _number(str(row["Answer"]), "Answer")
    return Example(
        f"{_text(row, 'Body').strip()} {_text(row, 'Question').strip()}",
        f"{equation} = {answer}\n#### {answer}",
        # The published file spells one of its four types in two ways.
        label=_text(row, "Type").replace("Divison", "Division"),
        answer=answer,
    )


@dataclass(frozen=True)
class _Format:
    keys: frozenset[str]
    example: Callable[[Row], Example]


# In the order of detection: a MathInstruct row has all keys of an Alpaca row.
_FORMATS = {
    "mathinstruct": _Format(frozenset({"source", "instruction", "output"}), _mathinstruct),
    "alpaca": _Format(frozenset({"instruction", "output"}), _alpaca),
    "gsm8k": _Format(frozenset({"question", "answer"}), _gsm8k),
    "svamp": _Format(frozenset({"Body", "Question", "Equation", "Answer", "Type"}), _svamp),
}
_COLUMNS = ("prompt", "response", "label", "answer")
FORMATS = (*_FORMATS, "columns")
"""Names of the formats; ``columns`` is any file whose columns are named."""


def read_examples(
    source: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = "train",
    configuration: str | None = None,
) -> list[Example]:
    """Read a file or a hub data set of instructions.

    Parameters
    ----------
    source : str or Path
        A ``.json`` or ``.jsonl`` file, or a name on the hub such as ``openai/gsm8k``.
    format : str, optional
        One of `FORMATS`; detected by the first row's keys if left out.
    columns : mapping, optional
        For the format ``columns``, which it chooses: the column that is the ``prompt``, the ``response``, the
        ``label`` and the ``answer``. Each is called like its field unless named; the last two are optional.
    split, configuration : str, optional
        Which part of a hub data set; GSM8K's configuration, for example, is ``main``.

    Returns
    -------
    list of Example
        In the order of the source, at least one.

    Raises
    ------
    DataError
        If the source is missing, malformed or empty, or a row does not have the format: the message names the
        file and the line.
    """
    if columns is not None and format not in (None, "columns"):
        raise DataError(f"columns are named, but the format is {format!r}: it has its own")
    if format is not None and format not in FORMATS:
        raise DataError(f"no data format {format!r}: {nearest(format, FORMATS)}")
    named = columns is not None or format == "columns"
    chosen = _named_columns(columns or {}) if named else _FORMATS.get(format or "")
    examples = []
    for place, row in _rows(source, split, configuration):
        if chosen is None:
            chosen = _detect(row, place)
        missing = sorted(chosen.keys - row.keys())
        if missing:
            raise DataError(f"{place}: no {missing[0]!r}; the row has {', '.join(sorted(row)) or 'no keys'}")
        try:
            example = chosen.example(row)
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
        if not example.prompt.strip():
            raise DataError(f"{place}: the prompt is empty")
        examples.append(example)
    if not examples:
        raise DataError(f"{source}: no rows")
    return examples


def _named_columns(columns: Mapping[str, str]) -> _Format:
    for name in columns:
        if name not in _COLUMNS:
            raise DataError(f"columns: no field {name!r}: {nearest(name, _COLUMNS)}")
    where = {field: field for field in _COLUMNS} | dict(columns)

    def example(row: Row) -> Example:
        prompt, response = _text(row, where["prompt"]), _text(row, where["response"])
        label = _text(row, where["label"]) if where["label"] in row else None
        answer = str(row[where["answer"]]) if where["answer"] in row else response if "####" in response else None
        return Example(prompt, response, label, None if answer is None else _number(answer, "answer"))

    # An optional column that was named on purpose must be there; by its default name it may be absent.
    return _Format(frozenset({where["prompt"], where["response"], *columns.values()}), example)


def _detect(row: Row, place: str) -> _Format:
    for candidate in _FORMATS.values():
        if candidate.keys <= row.keys():
            return candidate
    if {"prompt", "response"} <= row.keys():
        return _named_columns({})
    known = "; ".join(f"{name} has {', '.join(sorted(form.keys))}" for name, form in _FORMATS.items())
    raise DataError(
        f"{place}: unknown data format with the keys {', '.join(sorted(row)) or '(none)'}: {known}; "
        "for any other, name its columns (train.data.columns; --column of paraSim evaluate)"
    )


def _text(row: Row, key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if not isinstance(value, str):
        raise DataError(f"{key!r} is {value!r:.60}, but must be text")
    return value


def _number(text: str, key: str) -> str:
    number = final_number(text)
    if number is None:
        raise DataError(f"{key!r} is {text!r:.60}, but must end on a number")
    return str(number.to_integral_value() if number == number.to_integral_value() else number)


def _rows(source: str | Path, split: str, configuration: str | None) -> Iterator[tuple[str, Row]]:
    """Yield every row with the place that a message about it names."""
    path = Path(source).expanduser()
    hub_name = isinstance(source, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source)
    if path.exists() or not hub_name or path.suffix in (".json", ".jsonl"):
        for line, row in read_rows(path):
            yield f"{path}, line {line}", row
        return
    for number, row in enumerate(_hub(str(source), split, configuration), start=1):
        yield f"{source} ({split}), row {number}", row


def _hub(name: str, split: str, configuration: str | None) -> Iterable[dict[str, Any]]:
    try:
        from datasets import load_dataset  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise DataError(
            f"{name}: no such file, and reading the hub needs the package datasets (pip install datasets)"
        ) from None
    try:
        rows: Iterable[dict[str, Any]] = load_dataset(name, configuration, split=split)
    except Exception as error:  # whatever the network, the hub or the data set's own description did wrong
        raise DataError(f"{name}: cannot be read from the hub: {error}") from error
    return rows
