"""Rows of a JSON or JSONL file, each with the place that a message about it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from sim.support.atomic_files import read_text
from train.data.task import DataError

JsonRow: TypeAlias = "dict[str, Any]"

MAX_FILE_BYTES = 4 * 2**30


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
