"""What a file holds, as text and as JSON, read within bounds."""

from __future__ import annotations

import codecs
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from parasim_core.sim.errors import shown_path
from parasim_core.sim.scenario.safe_parsing import parse_json
from parasim_core.sim.support.atomic_files import read_bytes

LARGEST_FILE = 16 * 2**20
"""Largest file that is read [B]: an hour of iperf3 with 5 streams, a trace of 2 million packets."""
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Content:
    """Text of a file.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        All of it.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def documents(self) -> tuple[Any, ...]:
        """JSON values in it: one, or one a line; none if it is no JSON.

        Raises
        ------
        ValueError
            If it begins like JSON and is none, or is out of bounds.
        """
        if not self.text.lstrip().startswith(("{", "[")):
            return ()
        try:
            return (parse_json(self.text),)
        except ValueError as error:
            try:
                return tuple(parse_json(line) for line in self.text.splitlines() if line.strip())
            except ValueError:
                raise ValueError(f"not well-formed JSON: {error}") from None


def read_content(path: Path) -> Content:
    """Read a file.

    Raises
    ------
    ValueError
        If there is none, it cannot be read, is too large, empty or no text; the message begins with the path.
    """
    content = read_bytes(path, LARGEST_FILE)
    # PowerShell writes what it redirects as UTF-16; the command line of Windows in a code page of the country.
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    if _NO_TEXT.search(text):
        raise ValueError(f"{shown_path(path)}: is no text")
    if not text.strip():
        raise ValueError(f"{shown_path(path)}: is empty")
    return Content(path, text.replace("\r\n", "\n").replace("\r", "\n"))
