"""`paraSim sweep`: every combination of some fields, as a table and a chart."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from parasim.cli.engines import Address, Engine, Jobs, computing_on
from parasim.cli.options import Format, Overrides, ScenarioOrPaper, assignments, print_json, values_of
from parasim.cli.pictures import draws
from parasim.cli.progress import stages
from parasim.cli.quiet import note
from parasim.contracts import stamped
from parasim.figures.look import USUAL, Look
from parasim.planning.methods import uneven_rounds
from parasim.sweep_table import Plot, Table
from parasim.sweeping import sweep
from parasim.text import clock, console, plain_table


@draws
def command(
    file: ScenarioOrPaper = None,
    method: Annotated[str | None, typer.Option(help="Methods, with commas between them.")] = None,
    bandwidth: Annotated[
        str | None, typer.Option(help="Up- and downlinks of every client, such as 50MB/s,100MB/s.")
    ] = None,
    batch_size: Annotated[str | None, typer.Option(help="Batch sizes, such as 2,4,8.")] = None,
    model: Annotated[str | None, typer.Option(help="Models: catalogue names or config.json files.")] = None,
    vary: Annotated[
        list[str], typer.Option(metavar="FIELD=V1,V2", help="Any other field, such as blocks.layers=1,2,4.")
    ] = [],  # noqa: B006 - typer copies it
    set_: Overrides = [],  # noqa: B006
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where results and charts go.")] = Path("results/sweep"),
    jobs: Jobs = None,
    engine: Engine = "local",
    address: Address = None,
    plot: Annotated[Plot, typer.Option(help="Bars, or lines over the swept quantity on a log axis.")] = "bar",
    format_: Format = "table",
    look: Look = USUAL,
) -> None:
    """Sweep fields of a scenario; by default, the paper's Figure 2.

    An interrupted sweep continues where it stopped: run the same command again.

    Example: paraSim sweep examples/cross-silo-50.yaml --method parablock,fedbcd --bandwidth 10MB/s,100MB/s
    """
    varied = assignments("--vary", vary, "blocks.layers=1,2,4")
    with computing_on(engine, address), stages(out / "results.csv") as report:
        table = sweep(
            file,
            method=values_of("--method", method),
            bandwidth=values_of("--bandwidth", bandwidth),
            batch_size=values_of("--batch-size", batch_size),
            model=values_of("--model", model),
            vary={field: values_of(f"--vary {field}", values) for field, values in varied.items()},
            set=set_,
            out=out,
            plot=plot,
            look=look,
            jobs=jobs,
            progress=partial(report, "simulating"),
        )
    if format_ == "json":
        print_json(stamped("sweep", table.summary(), table.points[0].data))
    elif format_ == "csv":
        print((out / "results.csv").read_text(encoding="utf-8"), end="")
    else:
        _print(table)
    if format_ != "table":
        # What a program reads has no place for sentences; those of memory are a column of it.
        for sentence in _notes(table):
            note(sentence)
    else:
        print(f"Table: {out / 'results.csv'}")
        print("Chart: " + ", ".join(map(str, table.pictures)))


def _print(table: Table) -> None:
    swept = [axis.column for axis in table.axes if len(axis.values) > 1 or axis.column == "method"]
    parts = {
        "wall-clock": "wall_clock_s",
        "computing": "compute_s",
        "exposed": "exposed_communication_s",
        "waiting": "waiting_s",
    }
    # What failures cost, where any run has any of it.
    costs = {"failed": "failed_s", "wasted computing": "wasted_compute_s"}
    parts |= {name: column for name, column in costs.items() if _any(table, column)}
    counts = {"short rounds": "short_rounds"} if _any(table, "short_rounds") else {}
    labels = [column.replace("_", " ") for column in swept]
    headings = (*labels, *(f">{part}" for part in (*parts, *counts)), "computing times are")
    printed = plain_table(*headings, keep=["wall-clock", *reversed(labels)])
    for row in table.rows:
        times = (clock(float(row[part])) for part in parts.values())
        counted = (row[column] for column in counts.values())
        printed.add_row(*(row[column] for column in swept), *times, *counted, row["compute_origin"])
    console().print(printed, *_notes(table), *table.memory, sep="\n")


def _any(table: Table, column: str) -> bool:
    return any(float(row.get(column, 0)) for row in table.rows)


def _notes(table: Table) -> list[str]:
    return [*uneven_rounds(row["method"] for row in table.rows), *table.notes]
