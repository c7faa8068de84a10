"""Instruction data as people publish it, read into one shape.

Alpaca, MathInstruct, GSM8K and SVAMP are told apart by their keys; any other file names its columns. The
source is a local ``.json`` (one array) or ``.jsonl`` file, or a data set on the Hugging Face hub through
`datasets`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sim.errors import brief, nearest
from sim.support.atomic_files import read_text
from train.data.answers import final_number
from train.data.task import DataError

JsonRow: TypeAlias = "dict[str, Any]"

MAX_FILE_BYTES = 4 * 2**30


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


def _alpaca(row: JsonRow) -> Example:
    instruction, context = _text(row, "instruction"), _text(row, "input", default="")
    return Example(f"{instruction}\n\n{context}" if context.strip() else instruction, _text(row, "output"))


def _mathinstruct(row: JsonRow) -> Example:
    return Example(_text(row, "instruction"), _text(row, "output"), label=_text(row, "source"))


def _gsm8k(row: JsonRow) -> Example:
    # Calculator annotations, as in 16-3-4=<<16-3-4=9>>9, are meant for a tool and repeat what stands around.
    response = re.sub(r"<<.*?>>", "", _text(row, "answer"))
    return Example(_text(row, "question"), response, answer=_number(response, "answer"))


def _svamp(row: JsonRow) -> Example:
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


Format: TypeAlias = tuple[frozenset[str], Callable[[JsonRow], Example]]
"""Keys that a row must have, and the example that it is."""

# In the order of detection: a MathInstruct row has all keys of an Alpaca row.
_FORMATS: dict[str, Format] = {
    "mathinstruct": (frozenset({"source", "instruction", "output"}), _mathinstruct),
    "alpaca": (frozenset({"instruction", "output"}), _alpaca),
    "gsm8k": (frozenset({"question", "answer"}), _gsm8k),
    "svamp": (frozenset({"Body", "Question", "Equation", "Answer", "Type"}), _svamp),
}
_COLUMNS = ("prompt", "response", "label", "answer")
FORMATS = (*_FORMATS, "columns")
"""Names of the formats; ``columns`` is any file whose columns are named."""


def read_examples(
    source: str | Path, *, format: str | None = None, columns: Mapping[str, str] | None = None
) -> list[Example]:
    """Read a file or a hub data set of instructions.

    Parameters
    ----------
    source : str or Path
        A ``.json`` or ``.jsonl`` file, or a name on the hub, whose training split is read.
    format : str, optional
        One of `FORMATS`; detected by the first row's keys if left out.
    columns : mapping, optional
        For the format ``columns``, which it chooses: the column that is the ``prompt``, the ``response``, the
        ``label`` and the ``answer``. Each is called like its field unless named; the last two are optional.

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
    for place, row in _rows(source):
        keys, as_example = chosen = chosen or _detect(row, place)
        if missing := sorted(keys - row.keys()):
            raise DataError(f"{place}: no {missing[0]!r}; the row has {', '.join(sorted(row)) or 'no keys'}")
        try:
            example = as_example(row)
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
        if not example.prompt.strip():
            raise DataError(f"{place}: the prompt is empty")
        examples.append(example)
    if not examples:
        raise DataError(f"{source}: no rows")
    return examples


def _named_columns(columns: Mapping[str, str]) -> Format:
    for name in columns:
        if name not in _COLUMNS:
            raise DataError(f"columns: no field {name!r}: {nearest(name, _COLUMNS)}")
    where = {field: field for field in _COLUMNS} | dict(columns)

    def example(row: JsonRow) -> Example:
        prompt, response = _text(row, where["prompt"]), _text(row, where["response"])
        label = _text(row, where["label"]) if where["label"] in row else None
        answer = str(row[where["answer"]]) if where["answer"] in row else response if "####" in response else None
        return Example(prompt, response, label, None if answer is None else _number(answer, "answer"))

    # An optional column that was named on purpose must be there; by its default name it may be absent.
    return frozenset({where["prompt"], where["response"], *columns.values()}), example


def _detect(row: JsonRow, place: str) -> Format:
    for keys, as_example in _FORMATS.values():
        if keys <= row.keys():
            return keys, as_example
    if {"prompt", "response"} <= row.keys():
        return _named_columns({})
    known = "; ".join(f"{name} has {', '.join(sorted(keys))}" for name, (keys, _) in _FORMATS.items())
    raise DataError(
        f"{place}: unknown data format with the keys {', '.join(sorted(row)) or '(none)'}: {known}; "
        "for any other, name its columns (train.data.columns; --column of paraSim evaluate)"
    )


def _text(row: JsonRow, key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if not isinstance(value, str):
        raise DataError(f"{key!r} is {value!r:.60}, but must be text")
    return value


def _number(text: str, key: str) -> str:
    number = final_number(text)
    if number is None:
        raise DataError(f"{key!r} is {text!r:.60}, but must end on a number")
    return str(number.to_integral_value() if number == number.to_integral_value() else number)


def _rows(source: str | Path) -> Iterator[tuple[str, JsonRow]]:
    """Yield every row with the place that a message about it names."""
    path = Path(source).expanduser()
    hub_name = isinstance(source, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source)
    if path.exists() or not hub_name or path.suffix in (".json", ".jsonl"):
        yield from read_rows(path)
        return
    try:
        from datasets import load_dataset  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise DataError(
            f"{source}: no such file, and reading the hub needs the package datasets (pip install datasets)"
        ) from None
    try:
        rows = load_dataset(source, split="train")
    except Exception as error:  # whatever the network, the hub or the data set's own description did wrong
        raise DataError(f"{source}: cannot be read from the hub: {brief(str(error))}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{source}, row {number}", row


def read_rows(path: Path) -> Iterator[tuple[str, JsonRow]]:
    """Read the objects of a JSON array or of JSON lines, told apart by the first character.

    Parameters
    ----------
    path : Path
        The file, UTF-8, at most `MAX_FILE_BYTES`.

    Yields
    ------
    str
        The file with the row's number in an array, or with its line, from 1.
    dict
        The row.

    Raises
    ------
    DataError
        If the file is missing, not a file, too large, not UTF-8, or not JSON rows: with the line.
    """
    try:
        text = read_text(path, MAX_FILE_BYTES)
    except ValueError as error:
        raise DataError(str(error)) from None
    if text.lstrip().startswith("["):
        rows = ((f"{path}, row {number}", row) for number, row in enumerate(_decoded(path, text, 1), start=1))
    else:
        # "\n" alone ends a line, so that the counted lines are those that an editor shows.
        lines = enumerate(text.split("\n"), start=1)
        rows = ((f"{path}, line {number}", _decoded(path, line, number)) for number, line in lines if line.strip())
    for place, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{place}: a row must be an object with keys, not {row!r:.60}")
        yield place, row


def _decoded(path: Path, text: str, line: int) -> Any:
    """Decode JSON that begins on a line of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {line + error.lineno - 1}: not a JSON array or one JSON object a line: {error.msg}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {line}: not readable JSON: {error}") from None
