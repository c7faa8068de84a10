"""`paraSim report`: one HTML page about a directory of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="What --out of simulate, explain, sweep, plan or train wrote to.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="The page; DIR/report.html if left out. Missing directories are made."
        ),
    ] = None,
) -> None:
    """Make one HTML page: question, answer, and what-ifs to move.

    Example: paraSim report results/why --out why.html
    """
    from parasim.reporting.made import report

    print(f"Report: {report(directory, out=out)}")
