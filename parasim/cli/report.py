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
    from parasim.core.sim.support.atomic_files import check_directory, is_folder
    from parasim.report.files import ReportError
    from parasim.report.made import write_report

    page = out or directory / "report.html"
    if is_folder(page):
        raise ReportError(f"--out {page}: is a directory; give the name of a file, such as {page / 'report.html'}")
    if is_folder(directory):
        check_directory(page.parent)
    write_report(directory, page)
    print(f"Report: {page}")
