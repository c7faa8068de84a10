"""Sweeps: the same scenario under every combination of some fields, resumable and in parallel.

Results land row by row, in the order of the grid and whatever the number of worker processes, in a CSV file
that an interrupted sweep continues.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from parasim_core.sim.errors import OutputError
from parasim_core.sim.scenario.reading import parse_value, plain_fields
from parasim_core.sim.support.atomic_files import check_directory, read_text, write_atomically
from parasim_core.sim.support.deleted_results import check_results, note_result
from parasim_core.sim.support.worker_pool import cores, in_order

Row = dict[str, str]
"""One line of results.csv."""

Run = Callable[[dict[str, Any]], Mapping[str, object]]
"""Simulates a scenario, given as plain data, and returns its figures."""

_SERIAL_BELOW = 16
"""Fewer runs than this are not worth starting worker processes."""


@dataclass(frozen=True)
class Axis:
    """One swept quantity.

    Attributes
    ----------
    column : str
        Its name in the results.
    values : tuple of str
        What it takes, as written.
    fields : tuple of str
        Scenario fields that it sets, such as ``fleet.*.uplink``; none for a column that only labels the base.
    """

    column: str
    values: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True)
class SweepPoint:
    """One run of a sweep: its labels in the results and its scenario as plain data."""

    labels: Row
    data: dict[str, Any]


def grid(base: Callable[[Row], dict[str, Any]], axes: Sequence[Axis]) -> list[SweepPoint]:
    """List the runs of a sweep, the last axis changing fastest.

    Parameters
    ----------
    base : callable
        Gives the scenario's plain data for the labels of a run.
    axes : sequence of Axis
        What is swept.

    Raises
    ------
    ScenarioError
        If a field does not exist or a value is not well-formed.
    """
    read = [
        [(value, parse_value(value, axis.column) if axis.fields else value) for value in axis.values] for axis in axes
    ]
    points = []
    for values in product(*read):
        labels = {axis.column: text for axis, (text, _) in zip(axes, values, strict=True)}
        changes = [(field, value) for axis, (_, value) in zip(axes, values, strict=True) for field in axis.fields]
        points.append(SweepPoint(labels, plain_fields(base(labels), changes)))
    return points


def run_sweep(
    points: Sequence[SweepPoint],
    run: Run,
    directory: Path | None,
    *,
    contents: Sequence[str] = (),
    jobs: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Run every point that has no row yet.

    Parameters
    ----------
    points : sequence of SweepPoint
        What to run.
    run : callable
        Simulates one; must be importable by worker processes.
    directory : Path or None
        Where ``results.csv`` and ``sweep.json`` go; nothing is written if None.
    contents : sequence of str
        Digests of the files that the points name: a sweep goes on only where these are what they were.
    jobs : int or None
        Worker processes; as many as there are cores if None.
    progress : callable
        Told the number of runs done and in total.

    Returns
    -------
    list of dict
        One row per point, in order, as written.

    Raises
    ------
    OutputError
        If the directory holds another sweep, or one of files that have changed since, or cannot be written.
    """
    rows = [] if directory is None else _resume(points, contents, directory)
    progress(len(rows), len(points))
    todo = points[len(rows) :]
    workers = min(jobs or cores(), len(todo)) if len(todo) >= _SERIAL_BELOW else 1
    batch = max(1, min(16, len(todo) // (4 * workers)))
    figures = in_order(run, (point.data for point in todo), workers=workers, batch=batch)
    for point, result in zip(todo, figures, strict=True):
        row = point.labels | {column: _text(value) for column, value in result.items()}
        if directory is not None:
            _append(directory / "results.csv", row, first=not rows)
        rows.append(row)
        progress(len(rows), len(points))
    return rows


def _resume(points: Sequence[SweepPoint], contents: Sequence[str], directory: Path) -> list[Row]:
    """Claim the directory for this sweep and return the rows that an earlier, interrupted one left."""
    digest = hashlib.sha256(json.dumps([p.data for p in points], sort_keys=True).encode()).hexdigest()
    files = {"files": hashlib.sha256(json.dumps(contents).encode()).hexdigest()} if contents else {}
    note, results = directory / "sweep.json", directory / "results.csv"
    check_directory(directory)
    try:
        noted, written = (read_text(path) if path.exists() else None for path in (note, results))
    except (OSError, ValueError) as error:
        raise OutputError(f"{directory}: cannot be used for results: {error}") from None
    try:
        note_of = None if noted is None else json.loads(noted)
        known = None if note_of is None else note_of["points"]
    except (ValueError, KeyError, TypeError):
        raise OutputError(f"{directory}: cannot be used for results: sweep.json is not one of paraSim's") from None
    if (known is not None or written) and known != digest:
        raise OutputError(f"{directory}: holds the results of another sweep; choose another with --out, or delete it")
    if note_of is not None and note_of.get("files") != files.get("files"):
        raise OutputError(
            f"{directory}: holds results of this sweep, but a trace, profile or other file that it names has changed "
            "since; choose another directory with --out, or delete it"
        )
    if known is None:
        content = {"points": digest, **files, "runs": [point.labels for point in points]}
        write_atomically(note, lambda file: file.write(json.dumps(content, indent=1) + "\n"))
    # A run that was cut off while it was written has no line end.
    written = written or ""
    complete = written[: written.rfind("\n") + 1]
    if complete:
        note_result(results)
    if complete != written:
        write_atomically(results, lambda file: file.write(complete))
    rows = list(csv.DictReader(io.StringIO(complete)))
    labels = [{name: row.get(name) for name in points[0].labels} for row in rows if None not in (*row, *row.values())]
    if len(labels) < len(rows) or labels != [point.labels for point in points[: len(rows)]]:
        raise OutputError(f"{results}: is damaged: its lines are not the runs that belong there; delete it")
    return rows


def _append(path: Path, row: Row, *, first: bool) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, row, lineterminator="\n")
    if first:
        writer.writeheader()
    writer.writerow(row)
    check_results()
    try:
        # Rows are appended to those before them only: a file that was deleted meanwhile does not begin in the middle.
        with path.open("w" if first else "r+", encoding="utf-8", newline="") as file:
            file.seek(0, os.SEEK_END)
            file.write(buffer.getvalue())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    note_result(path)


def _text(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def split_values(text: str) -> tuple[str, ...]:
    """Split ``a,b,c`` at commas that are not inside brackets, so that a value may be a list.

    Parameters
    ----------
    text : str
        Such as ``0.5,1,2`` or ``[q_proj],[q_proj, v_proj]``.
    """
    values, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            values.append(text[start:position].strip())
            start = position + 1
    values.append(text[start:].strip())
    return tuple(value for value in values if value)
