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

if TYPE_CHECKING:
    from calibration.reproduce import Reproduction


def command(
    format_: Annotated[Format, typer.Option("--format", help="What is printed.")] = Format.TABLE,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw a parity plot, as FILE.png and FILE.svg.")
    ] = None,
) -> None:
    """Compare with every runtime cell of the ParaBlock paper: fitted, predicted or unexplained.

    Example: paraSim reproduce --format csv > cells.csv
    """
    from calibration.reproduce import reproduce

    reproduction = reproduce()
    if format_ is Format.JSON:
        summaries = {kind: asdict(summary) for kind, summary in reproduction.summaries.items()}
        tried = [setting.row() for setting in reproduction.tried]
        print(
            json.dumps(
                {"cells": [c.row() for c in reproduction.comparisons], "summary": summaries, "tried": tried}, indent=2
            )
        )
    elif format_ is Format.CSV:
        rows = [comparison.row() for comparison in reproduction.comparisons]
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print(reproduction)
    if plot is not None:
        from parasim.figures.parity import draw_parity

        charts = draw_parity([comparison.row() for comparison in reproduction.comparisons], plot)
        print("Chart: " + ", ".join(map(str, charts)), file=sys.stderr)


def _print(reproduction: Reproduction) -> None:
    from parasim.text import console, plain_table

    out = console()
    numbers = ("reported", "predicted", "error")
    columns = ("table", "model", "data set", "method", "variant", "MB/s", "batch")
    table = plain_table(*columns, *numbers, "role", numbers=("MB/s", "batch", *numbers))
    for c in reproduction.comparisons:
        setting = (c.table, c.model, c.dataset, c.method, c.variant, str(c.bandwidth), str(c.batch_size))
        minutes = (f"{c.reported_min:g}", f"{c.predicted_min:.2f}", f"{round(c.error_pct, 1) + 0.0:+.1f} %")
        table.add_row(*setting, *minutes, c.role, style="dim" if c.role == "unexplained" else None)
    out.print(table)
    out.print("\nSuppositions, and why cells are unexplained:")
    for note in dict.fromkeys(c.note for c in reproduction.comparisons if c.note):
        about = dict.fromkeys(f"{c.model} {c.method}" for c in reproduction.comparisons if c.note == note)
        out.print(f"  {', '.join(about)}: {note}")
    out.print("\nSettings that were tried and explain these cells less well, or not:")
    settings = plain_table("model", "data set", "method", "setting", *numbers, numbers=numbers)
    for t in reproduction.tried:
        minutes = (f"{t.reported_min:g}", f"{t.simulated_min:.2f}", f"{t.error_pct:+.1f} %")
        settings.add_row(t.model, t.dataset, t.method, t.setting, *minutes)
    out.print(settings)
    out.print("\nRuntimes in minutes; a run that stands in several tables counts once:")
    for kind, s in reproduction.summaries.items():
        out.print(f"  {kind}: {s.cells} cells, mean error {s.mean_pct:.2f} %, largest {s.max_pct:.1f} %")
