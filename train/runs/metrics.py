"""Metrics of training: a row per method and round, and the file that holds them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from parasim_core.sim.errors import OutputError
from parasim_core.sim.support.atomic_files import read_text, write_rows

METRICS = (
    "method",
    "round",
    "simulated_s",
    "train_loss",
    "eval_loss",
    "accuracy",
    "uploaded_bytes",
    "downloaded_bytes",
)

_NOT_ALWAYS = ("train_loss", "eval_loss", "accuracy")
"""What is not measured in every round, or with all data."""

MetricsRow = dict[str, object]


def write_metrics(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write metrics as CSV, whole or not at all; what was not measured is empty."""
    write_rows(path, METRICS, ([row[column] for column in METRICS] for row in rows))


def read_metrics(path: Path) -> list[MetricsRow]:
    """Read metrics that `write_metrics` wrote.

    Parameters
    ----------
    path : Path
        The file; there are no rows if it is missing.

    Raises
    ------
    OutputError
        If it holds something else.
    """
    if not path.exists():
        return []
    try:
        rows = csv.DictReader(read_text(path).splitlines())
        return [{column: _read(column, row[column]) for column in METRICS} for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise OutputError(
            f"{path}: is damaged ({str(error)[:100]}); delete it, and train its methods once more"
        ) from None


def _read(column: str, text: str | None) -> object:
    if text is None:
        raise ValueError(f"a line without {column}")
    if column == "method":
        return text
    if not text and column in _NOT_ALWAYS:
        return None
    # As it was, so that it is written again as it was.
    number = int(text) if text.isdigit() else float(text)
    if not math.isfinite(number) or (column == "round" and not isinstance(number, int)):
        raise ValueError(f"{column} is {text[:20]!r}")
    return number
