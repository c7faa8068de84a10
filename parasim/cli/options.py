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


Overrides = Annotated[
    list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Override a field, such as fleet.0.uplink=20MB/s.")
]
OutputDirectory = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write results to this directory, made if missing.")
]
TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="Write the run for Perfetto's viewer: a .json or .json.gz file, its directory made if missing.",
    ),
]
