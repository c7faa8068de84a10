"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class PlainFormat(StrEnum):
    """How results that are no table of rows are printed."""

    TABLE = "table"
    JSON = "json"


def _writable(directory: Path | None) -> Path | None:
    from sim.support.atomic_files import check_directory

    if directory is not None:
        check_directory(directory)
    return directory


def _trace_file(path: Path | None) -> Path | None:
    from parasim.trace import check_trace_path

    if path is not None:
        check_trace_path(path)
    return path


Overrides = Annotated[
    list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Override a field, such as fleet.0.uplink=20MB/s.")
]
OutputDirectory = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", callback=_writable, help="Write results to this directory, made if missing."),
]
TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        callback=_trace_file,
        help="Write the run for Perfetto's viewer: a .json or .json.gz file, its directory made if missing.",
    ),
]
ScenarioOrPaper = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Scenario to start from; the paper's setting if left out.")
]
MethodsOrAll = Annotated[
    str | None, typer.Option("--method", help="Methods, with commas between them, or all; the file's own if left out.")
]


def values_of(option: str, text: str | None) -> tuple[str, ...]:
    """Read the values of an option, with commas between them; none if it was left out.

    Raises
    ------
    ScenarioError
        If it was given without a value.
    """
    from sim.analysis.sweep import split_values
    from sim.errors import ScenarioError

    values = split_values(text or "")
    if text is not None and not values:
        raise ScenarioError(f"{option} {text!r}: holds no values; separate them with commas")
    return values
