"""Rows of a JSON or JSONL file, each with the line that it begins on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from train.task import DataError

JsonRow: TypeAlias = "dict[str, Any]"

MAX_FILE_BYTES = 4 * 2**30
MAX_ROW_CHARACTERS = 2**20
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")


def read_rows(path: Path) -> Iterator[tuple[int, JsonRow]]:
    """Read the objects of a JSON array or of JSON lines, told apart by the first character.

    Parameters
    ----------
    path : Path
        The file, UTF-8, at most `MAX_FILE_BYTES` with rows of at most `MAX_ROW_CHARACTERS`.

    Yields
    ------
    int
        The line that the row begins on, from 1.
    dict
        The row.

    Raises
    ------
    DataError
        If the file is missing, not a file, too large, not UTF-8, or not JSON rows: with the line.
    """
    text = _text(path)
    at, line = _skip(text, 0, 1)
    first = text[at : at + 1]
    if first == "[":
        yield from _array(path, text, at + 1, line)
    elif first in ("{", ""):
        # "\n" alone ends a line, so that the counted lines are those that an editor shows.
        for number, content in enumerate(text.split("\n"), start=1):
            if content.strip():
                row, end = _row(path, content.lstrip(), 0, number)
                if rest := content.lstrip()[end:].strip():
                    raise DataError(f"{path}, line {number}: there is more on the line after the object: {rest!r:.60}")
                yield number, row
    else:
        raise DataError(
            f"{path}, line {line}: begins with {first!r}, but must be a JSON array or one JSON object a line"
        )


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DataError(f"{path}: not a file; give a .json or .jsonl file")
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path}: {size} bytes, at most {MAX_FILE_BYTES} are read")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise DataError(f"{path}: {os.strerror(error.errno) if error.errno else error}") from None


def _array(path: Path, text: str, at: int, line: int) -> Iterator[tuple[int, JsonRow]]:
    """Read what stands behind an array's ``[``."""
    at, line = _skip(text, at, line)
    more = text[at : at + 1] != "]"
    while more:
        row, end = _row(path, text, at, line)
        yield line, row
        at, line = _skip(text, end, line + text.count("\n", at, end))
        separator = text[at : at + 1]
        if separator not in ("]", ","):
            found = f"{separator!r} instead of , or ]" if separator else "the array ends without ]"
            raise DataError(f"{path}, line {line}: {found}")
        more = separator == ","
        if more:
            at, line = _skip(text, at + 1, line)
    at, line = _skip(text, at + 1, line)
    if at < len(text):
        raise DataError(f"{path}, line {line}: there is more after the array's ]")


def _row(path: Path, text: str, at: int, line: int) -> tuple[JsonRow, int]:
    """Decode the object that begins at a place; say where it ends."""
    try:
        row, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        line += text.count("\n", at, error.pos)
        raise DataError(f"{path}, line {line}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {line}: not readable JSON: {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"{path}, line {line}: a row must be an object with keys, not {text[at:end]!r:.60}")
    if end - at > MAX_ROW_CHARACTERS:
        raise DataError(f"{path}, line {line}: {end - at} characters, a row has at most {MAX_ROW_CHARACTERS}")
    return row, end


def _skip(text: str, at: int, line: int) -> tuple[int, int]:
    """Go on to the next character that is no white space: its place and its line."""
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end(), line + text.count("\n", at, found.end())
