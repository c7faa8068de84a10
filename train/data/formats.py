"""Instruction data as people publish it, read into one shape.

`train.data.published` tells the formats apart by their keys; any other file names its columns. The source is a local
``.json`` (one array) or ``.jsonl`` file, compressed or not, or a data set on the Hugging Face hub through `datasets`.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from parasim_core.sim.errors import brief
from parasim_core.sim.support.atomic_files import is_file, is_folder, read_text
from parasim_core.train.data.examples import Example as Example
from parasim_core.train.data.examples import JsonRow, keys_of
from parasim_core.train.data.published import FORMATS as FORMATS
from parasim_core.train.data.published import detected, named_columns, named_format
from parasim_core.train.data.task import DataError

MAX_FILE_BYTES = 4 * 2**30
_COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
"""How files begin that were compressed, and what opens them."""
_SUFFIX = re.compile(r"\.jsonl?(\.\w+)?$")


def read_examples(
    source: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    only_if_there: bool = False,
) -> list[Example]:
    """Read a file or a hub data set of instructions.

    Parameters
    ----------
    source : str or Path
        A ``.json`` or ``.jsonl`` file, or a name on the hub, whose training split is read.
    format : str, optional
        One of `train.data.published.FORMATS`; detected by the first row's keys if left out.
    columns : mapping, optional
        For the format ``columns``, which it chooses: the column that is the ``prompt``, the ``response``, the
        ``label`` and the ``answer``. Each is called like its field unless named; the last two are optional.
    only_if_there : bool
        Whether the format is detected all the same if the first row does not have the keys of what is named.

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
    chosen = named_columns(columns) if columns is not None else named_format(format) if format else None
    examples: list[Example] = []
    for place, row in _rows(source):
        try:
            if only_if_there and chosen and not examples and chosen[0] - row.keys():
                chosen = None
            keys, as_example = chosen = chosen or detected(row)
            if missing := sorted(keys - row.keys()):
                raise DataError(f"no {missing[0]!r}; the row has {keys_of(row)}")
            example = as_example(row)
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
        if not example.prompt.strip():
            raise DataError(f"{place}: the prompt is empty")
        examples.append(example)
    if not examples:
        raise DataError(f"{source}: no rows")
    return examples


def _rows(source: str | Path) -> Iterator[tuple[str, JsonRow]]:
    """Yield every row with the place that a message about it names."""
    path = Path(source).expanduser()
    hub_name = isinstance(source, str) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source)
    if is_file(path) or is_folder(path) or not hub_name or _SUFFIX.search(path.name):
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
        The file, UTF-8, at most `MAX_FILE_BYTES`; it may be compressed with gzip, bzip2 or xz.

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
    text = _content(path)
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


def _content(path: Path) -> str:
    """Read a file of text, compressed or not."""
    try:
        if not path.is_file():
            return read_text(path, MAX_FILE_BYTES)  # says what it is instead
        with path.open("rb") as file:
            beginning = file.read(max(map(len, _COMPRESSED)))
        opener = next((opens for magic, opens in _COMPRESSED.items() if beginning.startswith(magic)), None)
        if opener is None:
            return read_text(path, MAX_FILE_BYTES)
        with opener(path, "rb") as packed:
            content: bytes = packed.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise DataError(f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB when it is unpacked")
        return content.decode("utf-8-sig")
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: compressed, but damaged: {error}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: is not UTF-8 text when it is unpacked (line {line})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(str(error)) from None


def _decoded(path: Path, text: str, line: int) -> Any:
    """Decode JSON that begins on a line of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        row = _row_at(text, error.pos) if text.lstrip().startswith("[") else None
        where = "" if row is None else f" (row {row}, column {error.colno})"
        raise DataError(
            f"{path}, line {line + error.lineno - 1}: not a JSON array or one JSON object a line: {error.msg}{where}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {line}: not readable JSON: {error}") from None


def _row_at(text: str, position: int) -> int | None:
    """Number of the row of a JSON array, from 1, in which a mistake stands; None if it is behind the array."""
    decoder, place, row = json.JSONDecoder(), text.index("[") + 1, 0
    while True:
        row += 1
        try:
            _, end = decoder.raw_decode(text, _behind_blanks(text, place))
        except ValueError:
            return row
        place = _behind_blanks(text, end)
        if place >= position:
            # A row that no comma parts from the one before it is the next one.
            return row + (place < len(text))
        if text[place] == "]":
            return None
        place += 1


def _behind_blanks(text: str, place: int) -> int:
    while text[place : place + 1] in (" ", "\t", "\r", "\n"):
        place += 1
    return place
