"""Rows of a JSON or JSONL file, one at a time, each with its line: bounded whatever the file holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from train.task import DataError

Row: TypeAlias = "dict[str, Any]"

MAX_FILE_BYTES = 4 * 2**30
MAX_ROW_CHARACTERS = 2**20
_CHUNK_CHARACTERS = 2**14


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
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
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DataError(f"{path}: not a file; give a .json or .jsonl file")
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path}: {size} bytes, at most {MAX_FILE_BYTES} are read")
        # "\n" alone ends a line, so that the counted lines are those that an editor shows.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            yield from _Reader(path, file).rows()
    except OSError as error:
        raise DataError(f"{path}: {os.strerror(error.errno) if error.errno else error}") from None


class _Reader:
    """A window that slides over the file: never much more than one row of it is held."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._window = ""
        self._line = 1
        self._decode = json.JSONDecoder().raw_decode

    def rows(self) -> Iterator[tuple[int, Row]]:
        first = self._next_character()
        if first == "[":
            self._advance(1)
            return self._array()
        if first in ("{", ""):
            return self._lines()
        raise self._error(f"begins with {first!r}, but must be a JSON array or one JSON object a line")

    def _array(self) -> Iterator[tuple[int, Row]]:
        if self._next_character() == "]":
            self._advance(1)
        else:
            separator = ","
            while separator == ",":
                self._next_character()
                yield self._line, self._row(self._array_row())
                separator = self._next_character()
                if separator not in (",", "]"):
                    raise self._error(
                        "the array ends without ]" if not separator else f"{separator!r} instead of , or ]"
                    )
                self._advance(1)
        if self._next_character():
            raise self._error("there is more after the array's ]")

    def _lines(self) -> Iterator[tuple[int, Row]]:
        while self._next_character():
            while "\n" not in self._window and self._grow():
                pass
            text = self._window.partition("\n")[0]
            yield self._line, self._row(text)

    def _array_row(self) -> str:
        # A row may straddle the window's end: only with the whole row in view does an error mean anything.
        while True:
            try:
                _, end = self._decode(self._window)
                return self._window[:end]
            except (ValueError, RecursionError):
                if not self._grow():
                    return self._window

    def _row(self, text: str) -> Row:
        """Decode one row and move past it; what stands behind it is the caller's to judge."""
        try:
            row, end = self._decode(text)
        except json.JSONDecodeError as error:
            self._advance(error.pos)
            bound = f" (a row has at most {MAX_ROW_CHARACTERS} characters)" if len(text) > MAX_ROW_CHARACTERS else ""
            raise self._error(f"not JSON: {error.msg}{bound}") from None
        except (ValueError, RecursionError) as error:
            raise self._error(f"not readable JSON: {error}") from None
        if not isinstance(row, dict):
            raise self._error(f"a row must be an object with keys, not {text[:end]!r:.60}")
        if text[end:].strip():
            raise self._error(f"there is more on the line after the object: {text[end:].strip()!r:.60}")
        self._advance(len(text))
        return row

    def _next_character(self) -> str:
        """Skip white space; the next character stays in the window, none means the end of the file."""
        while True:
            stripped = self._window.lstrip()
            self._advance(len(self._window) - len(stripped))
            if stripped or not self._grow():
                return self._window[:1]

    def _advance(self, characters: int) -> None:
        self._line += self._window.count("\n", 0, characters)
        self._window = self._window[characters:]

    def _grow(self) -> bool:
        if len(self._window) > MAX_ROW_CHARACTERS:
            return False
        try:
            chunk = self._file.read(_CHUNK_CHARACTERS)
        except UnicodeDecodeError as error:
            raise self._error(f"not UTF-8 text, here or soon after ({error.reason})") from None
        self._window += chunk
        return bool(chunk)

    def _error(self, reason: str) -> DataError:
        return DataError(f"{self._path}, line {self._line}: {reason}")
