"""`paraSim sweep`: every combination of some fields, as a table and a chart."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parasim.cli.engines import Address, EngineName, EngineOption, computing_on
from parasim.cli.options import Format, Overrides, ScenarioOrPaper, values_of
from parasim.cli.progress import stages

if TYPE_CHECKING:
    from parasim.sweeping import Table


class Plot(StrEnum):
    """Kind of chart."""

    BAR = "bar"
    LINE = "line"


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
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; all cores if left out.")] = None,
    engine: EngineOption = EngineName.LOCAL,
    address: Address = None,
    plot: Annotated[Plot, typer.Option(help="Bars, or lines over the swept quantity on a log axis.")] = Plot.BAR,
    format_: Annotated[Format, typer.Option("--format", help="What is printed.")] = Format.TABLE,
) -> None:
    """Sweep fields of a scenario; without options, the ParaBlock paper's Figure 2 for both models.

    An interrupted sweep continues where it stopped: run the same command again.

    Example: paraSim sweep examples/cross-silo-50.yaml --method parablock,fedbcd --bandwidth 10MB/s,100MB/s
    """
    from parasim.report.record import leave_record
    from parasim.sweeping import sweep
    from sim.analysis.sweep import split_values
    from sim.errors import ScenarioError

    varied: dict[str, tuple[str, ...]] = {}
    for text in vary:
        field, _, values = text.partition("=")
        if not field or not split_values(values):
            raise ScenarioError(f"--vary {text}: write it like blocks.layers=1,2,4")
        if field in varied:
            raise ScenarioError(f"--vary {field} is given twice; write all its values in one")
        varied[field] = split_values(values)
    with computing_on(engine, address), stages(out / "results.csv") as report:
        table = sweep(
            file,
            methods=values_of("--method", method),
            bandwidths=values_of("--bandwidth", bandwidth),
            batch_sizes=values_of("--batch-size", batch_size),
            models=values_of("--model", model),
            vary=varied,
            overrides=set_,
            directory=out,
            jobs=jobs,
            progress=partial(report, "simulating"),
        )
    if format_ is Format.JSON:
        print(json.dumps(table.to_dataframe().to_dict("records"), indent=2))
    elif format_ is Format.CSV:
        print((out / "results.csv").read_text(encoding="utf-8"), end="")
    else:
        _print(table)
    charts = _draw(table, plot, out)
    files = [out / "results.csv", out / "sweep.json", *charts]
    leave_record(out, "sweep", table.points[0].data, files)
    if format_ is Format.TABLE:
        print(f"Table: {out / 'results.csv'}")
        print("Chart: " + ", ".join(str(chart) for chart in charts))


def _print(table: Table) -> None:
    from parasim.planning.methods import uneven_rounds
    from parasim.text import clock, console, plain_table

    swept = [axis.column for axis in table.axes if len(axis.values) > 1 or axis.column == "method"]
    parts = {
        "wall-clock": "wall_clock_s",
        "computing": "compute_s",
        "communicating": "exposed_communication_s",
        "waiting": "waiting_s",
    }
    printed = plain_table(*(c.replace("_", " ") for c in swept), *parts, "computing times are", numbers=tuple(parts))
    for row in table.rows:
        times = (clock(float(row[part])) for part in parts.values())
        printed.add_row(*(row[column] for column in swept), *times, row["compute_origin"])
    out = console()
    out.print(printed)
    for sentence in (*uneven_rounds(row["method"] for row in table.rows), *table.memory):
        out.print(sentence)


def _draw(table: Table, plot: Plot, out: Path) -> list[Path]:
    if plot is Plot.BAR:
        from parasim.figures.runtime import draw_runtime

        return draw_runtime(table.rows, out)
    from parasim.figures.line import draw_line
    from parasim.hiding import hiding_points, numeric_axis

    axis = numeric_axis(table.axes)
    return draw_line(table.rows, axis.column, out, hidden=hiding_points(table, axis))
