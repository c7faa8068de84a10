"""The figures by commit: `history.csv`, one row for every figure that is new or differs from its last row."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from parasim_core.sim.errors import OutputError
from validation.reference import Figure

ROOT = Path(__file__).parents[1]
HISTORY = ROOT / "validation" / "history.csv"
COLUMNS = ("commit", "date", "reference", "figure", "value")
_UNSEEN = (":!docs/explanation/validation.md", ":!validation/history.csv")
"""What the command writes itself."""

Found = Mapping[str, Sequence[Figure]]
"""Figures by the name of their reference."""


def last(text: str) -> dict[tuple[str, str], str]:
    """What a history tells of every figure at last, by reference and figure."""
    return {(row["reference"], row["figure"]): row["value"] for row in csv.DictReader(io.StringIO(text))}


def changes(text: str, found: Found) -> list[tuple[str, Figure]]:
    """Reference and figure, for every figure that is new or differs from what a history tells at last."""
    known = last(text)
    return [(name, one) for name, own in found.items() for one in own if known.get((name, one.label)) != one.told]


def appended(text: str, found: Found, commit: str, date: str) -> str:
    """A history with the changes at a commit."""
    into = io.StringIO()
    writer = csv.writer(into, lineterminator="\n")
    if not text:
        writer.writerow(COLUMNS)
    writer.writerows((commit, date, name, one.label, one.told) for name, one in changes(text, found))
    return text + into.getvalue()


def commit() -> tuple[str, str]:
    """The checked-out commit, with a ``+`` if files were changed since, and its date.

    Raises
    ------
    OutputError
        If this is no checkout.
    """
    try:
        name, date = _git("log", "-1", "--format=%H %cs").split()
        changed = _git("status", "--porcelain", "--", ".", *_UNSEEN)
    except (OSError, subprocess.CalledProcessError) as reason:
        raise OutputError(f"{ROOT}: its history is by commit, and it is no checkout of git ({reason})") from None
    return name[:10] + "+" * bool(changed), date


def _git(*arguments: str) -> str:
    told = subprocess.run(
        ("git", *arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return told.stdout
