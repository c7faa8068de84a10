"""Reading what commands left in a directory."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parasim.report.page import PagePicture
from parasim.report.record import RECORD, Record
from sim.errors import ParaSimError
from sim.support.atomic_files import read_bytes, read_text

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
    try:
        return Record(**data)
    except TypeError:
        raise ReportError(f"{directory / RECORD}: is not one of paraSim's") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises
    ------
    ReportError
        If it cannot be read, or is none.
    """
    try:
        data = json.loads(_text(path))
    except ValueError:
        raise ReportError(f"{path}: is damaged: not JSON") from None
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
    rows = list(csv.DictReader(_text(path).splitlines()))
    if any(None in row or None in row.values() for row in rows):
        raise ReportError(f"{path}: is damaged: a line has too few or too many cells")
    return rows


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
