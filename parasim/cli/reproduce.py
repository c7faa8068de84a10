"""`paraSim reproduce`: the paper's runtimes beside the simulator's."""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from parasim.cli.options import Format, print_json
from parasim.cli.pictures import draws
from parasim.cli.quiet import note
from parasim.contracts import stamped
from parasim.figures.look import USUAL, Look
from parasim.sentences import grouped
from parasim.text import console, plain_table
from parasim_core.calibration.paper.reproduce import Reproduction, reproduce


@draws
def command(
    format_: Format = "table",
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw a parity plot, as .png and as .svg, or as .pdf if FILE ends so."),
    ] = None,
    look: Look = USUAL,
) -> None:
    """Compare with every runtime cell of the ParaBlock paper.

    Example: paraSim reproduce --format csv > cells.csv
    """
    reproduction = reproduce()
    rows = [comparison.row() for comparison in reproduction.comparisons]
    if plot is not None:
        from parasim.figures.parity import draw_parity

        note("Chart: " + ", ".join(map(str, draw_parity(rows, plot, look))))
    if format_ == "json":
        summaries = {kind: asdict(summary) for kind, summary in reproduction.summaries.items()}
        names = {"model": "model", "dataset": "dataset", "method": "method", "setting": "note"}
        names |= {"reported_min": "reported_min", "simulated_min": "predicted_min", "error_pct": "error_pct"}
        tried = [{name: one.row()[field] for name, field in names.items()} for one in reproduction.rejected]
        print_json(stamped("reproduce", {"cells": rows, "summary": summaries, "tried": tried}))
    elif format_ == "csv":
        writer = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print(reproduction)


def _print(reproduction: Reproduction) -> None:
    out = console()
    minutes = (">reported", ">predicted", ">error")
    table = plain_table("table", "model", "data set", "method", "variant", ">MB/s", ">batch", *minutes, "role")
    for one in reproduction.comparisons:
        c, style = one.cell, "dim" if one.role == "unexplained" else None
        setting = (c.table, c.model, c.dataset, c.method, c.variant, str(c.bandwidth), str(c.batch_size))
        table.add_row(*setting, *_minutes(c.minutes, one.predicted_min, one.error_pct), one.role, style=style)
    out.print(table)
    out.print("\nSuppositions, and why cells are unexplained:")
    notes = ((one.note, f"{one.cell.model} {one.cell.method}") for one in reproduction.comparisons if one.note)
    for said, about in grouped(notes).items():
        out.print(f"  {', '.join(dict.fromkeys(about))}: {said}")
    out.print("\nSettings that were tried and explain these cells less well, or not:")
    settings = plain_table("model", "data set", "method", "setting", *minutes)
    for other in reproduction.rejected:
        c, cells = other.cell, _minutes(other.cell.minutes, other.predicted_min, other.error_pct)
        settings.add_row(c.model, c.dataset, c.method, other.note, *cells)
    out.print(settings)
    out.print("\nRuntimes in minutes; a run that stands in several tables counts once:")
    for kind, s in reproduction.summaries.items():
        out.print(f"  {kind}: {s.cells} cells, mean error {s.mean_pct:.2f} %, largest {s.max_pct:.1f} %")


def _minutes(reported: float, simulated: float, error_pct: float) -> tuple[str, str, str]:
    return f"{reported:g}", f"{simulated:.2f}", f"{round(error_pct, 1) + 0.0:+.1f} %"
