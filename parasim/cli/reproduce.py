"""`paraSim reproduce`: the paper's runtimes beside the simulator's."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parasim.cli.options import Format
from parasim.text import console, plain_table

if TYPE_CHECKING:
    from calibration.paper.reproduce import Reproduction


def command(
    format_: Annotated[Format, typer.Option("--format", help="What is printed.")] = Format.TABLE,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw a parity plot, as FILE.png and FILE.svg.")
    ] = None,
) -> None:
    """Compare with every runtime cell of the ParaBlock paper: fitted, predicted or unexplained.

    Example: paraSim reproduce --format csv > cells.csv
    """
    from calibration.paper.reproduce import reproduce

    reproduction = reproduce()
    rows = [comparison.row() for comparison in reproduction.comparisons]
    if format_ is Format.JSON:
        summaries = {kind: asdict(summary) for kind, summary in reproduction.summaries.items()}
        names = {"model": "model", "dataset": "dataset", "method": "method", "setting": "note"}
        names |= {"reported_min": "reported_min", "simulated_min": "predicted_min", "error_pct": "error_pct"}
        tried = [{name: one.row()[field] for name, field in names.items()} for one in reproduction.rejected]
        print(json.dumps({"cells": rows, "summary": summaries, "tried": tried}, indent=2))
    elif format_ is Format.CSV:
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print(reproduction)
    if plot is not None:
        from parasim.figures.parity import draw_parity

        print("Chart: " + ", ".join(map(str, draw_parity(rows, plot))), file=sys.stderr)


def _print(reproduction: Reproduction) -> None:
    out = console()
    numbers = ("reported", "predicted", "error")
    columns = ("table", "model", "data set", "method", "variant", "MB/s", "batch")
    table = plain_table(*columns, *numbers, "role", numbers=("MB/s", "batch", *numbers))
    for one in reproduction.comparisons:
        c, style = one.cell, "dim" if one.role == "unexplained" else None
        setting = (c.table, c.model, c.dataset, c.method, c.variant, str(c.bandwidth), str(c.batch_size))
        table.add_row(*setting, *_minutes(c.minutes, one.predicted_min, one.error_pct), one.role, style=style)
    out.print(table)
    out.print("\nSuppositions, and why cells are unexplained:")
    noted: dict[str, dict[str, None]] = {}
    for one in reproduction.comparisons:
        if one.note:
            noted.setdefault(one.note, {})[f"{one.cell.model} {one.cell.method}"] = None
    for note, about in noted.items():
        out.print(f"  {', '.join(about)}: {note}")
    out.print("\nSettings that were tried and explain these cells less well, or not:")
    settings = plain_table("model", "data set", "method", "setting", *numbers, numbers=numbers)
    for other in reproduction.rejected:
        c, minutes = other.cell, _minutes(other.cell.minutes, other.predicted_min, other.error_pct)
        settings.add_row(c.model, c.dataset, c.method, other.note, *minutes)
    out.print(settings)
    out.print("\nRuntimes in minutes; a run that stands in several tables counts once:")
    for kind, s in reproduction.summaries.items():
        out.print(f"  {kind}: {s.cells} cells, mean error {s.mean_pct:.2f} %, largest {s.max_pct:.1f} %")


def _minutes(reported: float, simulated: float, error_pct: float) -> tuple[str, str, str]:
    return f"{reported:g}", f"{simulated:.2f}", f"{round(error_pct, 1) + 0.0:+.1f} %"
