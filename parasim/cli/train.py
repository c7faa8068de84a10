"""`paraSim train`: really train, and see loss against simulated wall-clock."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parasim.cli.engines import Address, EngineName, EngineOption, computing_on
from parasim.cli.options import Overrides, TraceFile
from parasim.cli.progress import patient_threads, stages

if TYPE_CHECKING:
    from parasim.training import Training


class ClockChoice(StrEnum):
    """Where the simulated seconds of a local update come from."""

    MEASURED = "measured"
    PROFILE = "profile"
    BOTH = "both"


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Scenario with a train section; a demonstration if none."),
    ] = None,
    model: Annotated[str, typer.Option(help="demo, smollm2-135m-instruct, a folder, a config.json or a hub id.")] = "",
    data: Annotated[str, typer.Option(help="word-problems, digits, a .json or .jsonl file, or a hub name.")] = "",
    method: Annotated[str, typer.Option(help="Methods to compare, with commas between them.")] = "",
    set_: Overrides = [],  # noqa: B006 - typer copies it
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")] = Path("results/train"),
    clock: Annotated[
        ClockChoice, typer.Option(help="Time updates as measured here, by the scenario's profile, or both.")
    ] = ClockChoice.MEASURED,
    deltas: Annotated[bool, typer.Option("--deltas", help="Keep every update that was sent, as safetensors.")] = False,
    trace: TraceFile = None,
    engine: EngineOption = EngineName.LOCAL,
    address: Address = None,
) -> None:
    """Train methods with a real model under the simulated clock: loss against rounds and against wall-clock.

    An interrupted training goes on where it stopped: run the same command again.

    Example: paraSim train --method parablock,fedbcd --set rounds=16 --out results/quick
    """
    patient_threads()
    from parasim.report.record import leave_record
    from parasim.trace import check_trace_path, write_traces
    from parasim.training import train
    from sim.studies.sweep import split_values

    if trace is not None:
        check_trace_path(trace)
    overrides = list(set_)
    if model:
        overrides.append(f"model={model}")
    if data:
        overrides.append(f"train.data.source={data}")
    try:
        with computing_on(engine, address), stages() as report:
            training = train(
                file,
                methods=split_values(method),
                overrides=overrides,
                directory=out,
                clock=clock.value,
                save_deltas=deltas,
                report=report,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was trained is in {out}; the same command goes on there") from None
    traces = [] if trace is None else write_traces(training.results, trace)
    _print(training)
    from parasim.figures.training import draw_partition, draw_training

    charts = [*draw_training(training.metrics, out), *draw_partition(training.partition, out)]
    scenario = next(iter(training.results.values())).scenario
    leave_record(out, "train", scenario, [out / "metrics.csv", *charts])
    print(f"Metrics: {out / 'metrics.csv'}")
    print("Charts: " + ", ".join(map(str, charts)))
    print(f"Models: {out}/<method>/model")
    if traces:
        print("Traces: " + ", ".join(map(str, traces)))


def _print(training: Training) -> None:
    from parasim.cli.text import amount, clock, console, plain_table

    numbers = ("wall-clock", "communicating", "train loss", "held-out loss", "accuracy", "uploaded", "downloaded")
    table = plain_table("method", *numbers, numbers=numbers)
    for name, result in training.results.items():
        last = [row for row in training.metrics if row["method"] == name][-1]
        accuracy = "-" if last["accuracy"] is None else f"{float(str(last['accuracy'])):.1%}"
        table.add_row(
            name,
            clock(result.wall_clock),
            clock(result.mean("exposed")),
            f"{float(str(last['train_loss'])):.4f}",
            f"{float(str(last['eval_loss'])):.4f}",
            accuracy,
            amount(float(str(last["uploaded_bytes"]))),
            amount(float(str(last["downloaded_bytes"]))),
        )
    out = console()
    out.print(table)
    if training.truncation:
        out.print(f"\nTraining data: {training.truncation}.")
