"""`paraSim train`: really train, and see loss against simulated wall-clock."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from parasim.cli.engines import Address, Engine, computing_on
from parasim.cli.options import Overrides, TraceFile, values_of
from parasim.cli.pictures import draws
from parasim.cli.progress import stages
from parasim.extras import require_training
from parasim.figures.look import USUAL, Look
from parasim.text import amount, console, plain_table
from parasim.text import clock as written

if TYPE_CHECKING:
    from parasim.training import TrainedComparison
    from sim.scenario.reading import Override


@draws
def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Scenario with a train section; a demonstration if none."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="demo, smollm2-135m-instruct, a folder, a config.json or a hub id.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="word-problems, digits, a .json or .jsonl file (.gz too), or a hub name.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Methods to compare, with commas between them.")] = None,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")] = Path("results/train"),
    clock: Annotated[
        Literal["measured", "profile", "both"],
        typer.Option(help="Time updates as measured, by the scenario's profile, or both."),
    ] = "measured",
    deltas: Annotated[bool, typer.Option("--deltas", help="Keep every update that was sent, as safetensors.")] = False,
    trace: TraceFile = None,
    engine: Engine = "local",
    address: Address = None,
    look: Look = USUAL,
) -> None:
    """Train methods with a real model under the simulated clock: loss against rounds and against wall-clock.

    An interrupted training goes on where it stopped: run the same command again.

    Example: paraSim train --method parablock,fedbcd --set rounds=16 --out results/quick
    """
    require_training("paraSim train")
    from parasim.report.record import leave_record
    from parasim.trace import write_traces
    from parasim.training import train

    named = {"model": model, "train.data.source": data}
    overrides: list[Override] = [*set_, *((field, value) for field, value in named.items() if value is not None)]
    methods = values_of("--method", method)
    with computing_on(engine, address), stages(out) as report:
        training = train(
            file, methods=methods, overrides=overrides, directory=out, clock=clock, save_deltas=deltas, report=report
        )
    traces = [] if trace is None else write_traces(training.results, trace)
    from parasim.figures.training import draw_partition, draw_training

    base = training.base["eval_loss"]
    charts = [*draw_training(training.metrics, out, base, look), *draw_partition(training.partition, out, look)]
    scenario = next(iter(training.results.values())).scenario
    leave_record(out, "train", scenario, [out / "metrics.csv", *charts])
    _print(training)
    print(f"Metrics: {out / 'metrics.csv'}")
    print("Charts: " + ", ".join(map(str, charts)))
    print(f"Models: {out}/<method>/model")
    if traces:
        print("Traces: " + ", ".join(map(str, traces)))


def _print(training: TrainedComparison) -> None:
    # No more columns than fit 80 characters; the training loss is in the metrics.
    table = plain_table("method", ">wall-clock", ">exposed", ">held-out loss", ">accuracy", ">uploaded", ">downloaded")
    # Headings may take two lines, the names of methods are single words.
    table.columns[0].no_wrap = True
    table.add_row("base", "-", "-", *_quality(training.base), "-", "-")
    for name, result in training.results.items():
        last = [row for row in training.metrics if row["method"] == name][-1]
        sizes = (amount(float(str(last[f"{direction}_bytes"]))) for direction in ("uploaded", "downloaded"))
        table.add_row(name, written(result.wall_clock), written(result.mean("exposed")), *_quality(last), *sizes)
    out = console()
    out.print(table)
    if training.notes:
        out.print("", *training.notes, sep="\n")


def _quality(measured: Mapping[str, Any]) -> tuple[str, str]:
    accuracy = measured["accuracy"]
    return f"{measured['eval_loss']:.4f}", "-" if accuracy is None else f"{accuracy:.1%}"
