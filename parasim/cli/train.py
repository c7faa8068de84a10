"""`paraSim train`: really train, and see loss against simulated wall-clock."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from parasim.cli.engines import Address, Engine, computing_on
from parasim.cli.options import Overrides, PlainFormat, TraceFile, print_json, values_of
from parasim.cli.pictures import draws
from parasim.cli.progress import stages
from parasim.cli.seeds import show_seeds
from parasim.extras import require_training
from parasim.figures.look import USUAL, Look
from parasim.text import amount, console, plain_table
from parasim.text import clock as written
from parasim_core.sim.errors import ScenarioError

if TYPE_CHECKING:
    from parasim.training import TrainedComparison


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
    target_loss: Annotated[
        float | None, typer.Option(help="A method's training is over when its held-out loss is this or less.")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="As many rounds as clients take, on average, to go over their data so often.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Train so many times, from the scenario's seed on; show the mean and the spread.")
    ] = None,
    deltas: Annotated[bool, typer.Option("--deltas", help="Keep every update that was sent, as safetensors.")] = False,
    devices: Annotated[
        str | None, typer.Option(help="Train on several at a time, such as cuda:0,cuda:1; with --clock profile.")
    ] = None,
    log: Annotated[
        str | None, typer.Option(help="Tell every round to tensorboard, wandb or mlflow, or several with commas.")
    ] = None,
    trace: TraceFile = None,
    engine: Engine = "local",
    address: Address = None,
    format_: PlainFormat = "table",
    look: Look = USUAL,
) -> None:
    """Train with real models: loss against rounds and wall-clock.

    An interrupted training goes on where it stopped: run the same command again. With more rounds, a finished one does.

    Example: paraSim train --method parablock,fedbcd --set rounds=16 --out results/quick
    """
    require_training("paraSim train")
    from parasim.seeds import train_seeds
    from parasim.training import train

    if seeds is not None and trace is not None:
        raise ScenarioError("--trace: shows one run, and --seeds trains several; leave one of them out")
    if seeds is not None and format_ == "json":
        raise ScenarioError("--format json: is of one training; figures of --seeds are in the seeds.csv of --out")
    named = {"model": model, "train.data.source": data}
    told: dict[str, Any] = {
        "method": values_of("--method", method),
        "set": [*set_, *((field, value) for field, value in named.items() if value is not None)],
        "out": out,
        "clock": clock,
        "target_loss": target_loss,
        "epochs": epochs,
        "deltas": deltas,
        "devices": values_of("--devices", devices),
        "log": values_of("--log", log),
        "look": look,
    }
    with computing_on(engine, address), stages(out) as report:
        if seeds is not None:
            of_seeds = train_seeds(file, seeds=seeds, report=report, **told)
        else:
            training = train(file, report=report, **told)
    if seeds is not None:
        show_seeds(of_seeds, out)
    else:
        _show(training, out, trace, as_json=format_ == "json")


def _show(training: TrainedComparison, out: Path, trace: Path | None, *, as_json: bool) -> None:
    """Print what training gave, and say where everything is."""
    from parasim.outputs.trainings import trained
    from parasim.trace import named, write_traces

    traces = [] if trace is None else write_traces(training.results, trace)
    if as_json:
        print_json(trained(training))
        return
    _print(training)
    print(f"Metrics: {out / 'metrics.csv'}")
    print("Charts: " + ", ".join(map(str, training.pictures)))
    print(f"Models: {out}/<method>/model")
    if traces:
        print("Traces: " + ", ".join(map(named, training.results.values(), traces)))


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
