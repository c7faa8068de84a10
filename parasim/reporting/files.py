"""Reading what commands left in a directory."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parasim.contracts import STAMP
from parasim.reporting.page import PagePicture
from parasim.reporting.record import RECORD, Record
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.support.atomic_files import read_bytes, read_text

_LONGEST = 60
"""Characters of what is wrong that a message repeats."""
_LARGEST = 1e60
"""Beyond all times [s] and sizes [B] that can be simulated; its square can still be computed with."""
_MOST_BYTES, _MOST_PICTURE_BYTES = 2**31, 4 * 2**20


class ReportError(ParaSimError):
    """A directory holds nothing to report, or is damaged."""


def read_record(directory: Path) -> Record:
    """Read how a directory was made; an empty record if it does not say.

    Raises
    ------
    ReportError
        If the file is damaged.
    """
    if not (directory / RECORD).exists():
        return Record()
    data = read_json(directory / RECORD)
    kinds = {"kind": str, "command": str, "version": str, "scenario": dict, "files": list}
    # Earlier versions left no contract's name.
    data = {name: value for name, value in data.items() if name not in STAMP}
    if not data.keys() <= kinds.keys() or not all(isinstance(value, kinds[name]) for name, value in data.items()):
        raise ReportError(f"{directory / RECORD}: is not one of paraSim's")
    return Record(**data)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises
    ------
    ReportError
        If it cannot be read, is none, or holds what is no number or no character.
    """
    text = _text(path)
    try:
        data = json.loads(text, parse_constant=number, parse_float=number, parse_int=_whole)
        # Half a character (a lone surrogate) can be written in JSON, and nowhere else.
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        # Numbers say what is wrong with them, and characters; the parser, only that it is no JSON.
        reason = "not JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else str(error)[:_LONGEST]
        raise ReportError(f"{path}: is damaged: {reason}") from None
    if not isinstance(data, dict):
        raise ReportError(f"{path}: is damaged: not one of paraSim's")
    return data


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file's rows by the names of their columns.

    Raises
    ------
    ReportError
        If it cannot be read, or a line has too few or too many cells.
    """
    try:
        rows = list(csv.DictReader(_text(path).splitlines()))
    except csv.Error as error:
        raise ReportError(f"{path}: is damaged: {error}") from None
    if any(None in row or None in row.values() for row in rows):
        raise ReportError(f"{path}: is damaged: a line has too few or too many cells")
    return rows


def number(text: str) -> float:
    """Read a number that can be computed with.

    Raises
    ------
    ValueError
        If it is none, not finite, or larger than anything that is drawn.
    """
    value = float(text)
    if not abs(value) < _LARGEST:
        raise ValueError(f"{text[:_LONGEST]} is no time, size or share")
    return value


def _whole(text: str) -> int:
    """Read a whole number, within the same bound."""
    number(text)
    return int(text)


def left(directory: Path, record: Record, suffix: str) -> list[Path]:
    """Return the files of one kind that the last command left, in the order of their names.

    Parameters
    ----------
    directory : Path
        Where they lie.
    record : Record
        What names them: files of earlier commands are about other questions.
    suffix : str
        Such as ``.svg``.
    """
    # Only what lies in the directory, whatever the record names.
    return [path for path in sorted(directory.glob(f"*{suffix}")) if path.name in record.files]


def pictures(directory: Path, record: Record, titles: Mapping[str, str]) -> list[PagePicture]:
    """Embed the SVG pictures that the last command left.

    Parameters
    ----------
    directory : Path
        Where they lie.
    record : Record
        What names them.
    titles : mapping of str to str
        Titles by stem; others are called by their names.
    """
    found = []
    for path in left(directory, record, ".svg"):
        try:
            picture = read_bytes(path, _MOST_PICTURE_BYTES)
        except ValueError:
            # Too large for the page, or no file at all.
            continue
        title = titles.get(path.stem, path.stem.replace("_", " ").replace("-", " ").capitalize())
        # An SVG inside an `img` runs no scripts and loads nothing, whoever made it.
        address = f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
        found.append(PagePicture(title, path.name, address))
    return found


def _text(path: Path) -> str:
    try:
        return read_text(path, _MOST_BYTES)
    except ValueError as error:
        raise ReportError(f"{error}") from None
