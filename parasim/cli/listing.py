"""`paraSim list`: what there is to choose from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from parasim.cli.options import PlainFormat

app = typer.Typer(
    help="List models, methods, profiles and devices, or print the JSON Schema of scenarios.",
    no_args_is_help=True,
    add_completion=False,
)

_Format = Annotated[PlainFormat, typer.Option("--format", help="What is printed.")]


@app.command()
def models(format_: _Format = PlainFormat.TABLE) -> None:
    """List the models of the catalogue; any Hugging Face config.json works too.

    Example: paraSim list models
    """
    from sim.workload.architecture import architecture, catalogue_names

    rows = [architecture(name).summary() for name in catalogue_names()]
    if format_ is PlainFormat.TABLE:
        shown = ("name", "model_type", "layers", "parameters", "parameters_per_layer", "bytes")
        rows = [{column: row[column] for column in shown} for row in rows]
    _print(rows, format_)


@app.command()
def methods(format_: _Format = PlainFormat.TABLE) -> None:
    """List the federated methods.

    Example: paraSim list methods
    """
    from sim.workload.methods import METHODS

    rows = [
        {"name": m.name, "protocol": m.shape.__name__.lower(), "trains": m.trains.value, "summary": m.summary}
        for m in METHODS.values()
    ]
    _print(rows, format_)


@app.command()
def profiles(
    format_: _Format = PlainFormat.TABLE,
    explain: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Explain a measured profile, by name or file: what its fit means."),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of measured profiles.")] = False,
) -> None:
    """List the profiles of computing times that come with paraSim.

    Example: paraSim list profiles --explain smollm2-135m-cpu
    """
    from calibration.profiles.loading import read_profile, shipped_profiles

    if schema:
        from calibration.profiles.measured_file import profile_schema

        print(json.dumps(profile_schema(), indent=2))
        return
    if explain is not None:
        _explain(explain, format_)
        return
    rows = []
    for name in shipped_profiles():
        data = read_profile(name)
        source = data.get("source") or f"{data['model']['name']}, measured {data['date']}"
        rows.append({"name": name, "kind": data["kind"], "device": data["device"]["name"], "source": source})
    _print(rows, format_)


def _explain(name: str, format_: PlainFormat) -> None:
    from calibration.profiles.loading import read_profile
    from calibration.profiles.measured_file import MeasuredFile
    from calibration.profiles.profile_file import MEASURED
    from parasim.cli.measured import print_explanation
    from sim.errors import CostError

    data = read_profile(name)
    if data.get("kind") != MEASURED:
        raise CostError(f"--explain {name}: only measured profiles have a fit to explain; `paraSim list profiles`")
    file = MeasuredFile.parse(data, name)
    if format_ is PlainFormat.JSON:
        print(json.dumps(file.model_dump(mode="json", include={"name", "device", "fit", "held_out"}), indent=2))
    else:
        print_explanation(file)


@app.command()
def devices(format_: _Format = PlainFormat.TABLE) -> None:
    """List the devices whose memory and rates are known, and where the figures are from.

    Example: paraSim list devices
    """
    from calibration.devices.catalogue import device, known_devices
    from parasim.text import amount, console, plain_table

    found = [device(name) for name in known_devices()]
    if format_ is PlainFormat.JSON:
        units = {"memory": "_bytes", "bandwidth": "_bytes_per_s", "launch": "_s"}
        rows = [
            {key.replace("per_second", "per_s") + units.get(key, ""): value for key, value in asdict(one).items()}
            for one in found
        ]
        _print(rows, format_)
        return
    numbers = ("memory", "bandwidth", "bfloat16", "float32")
    table = plain_table("name", *numbers, "weights in", numbers=numbers)
    for one in found:
        rates = [amount(one.operations_per_second[precision], "FLOP/s") for precision in numbers[2:]]
        table.add_row(one.name, amount(one.memory), amount(one.bandwidth, "B/s"), *rates, one.precision)
    out = console()
    out.print(table)
    out.print("\nDense matrix rates, by vendors' figures or estimated:")
    for one in found:
        out.print(f"{one.name}: {one.source}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, the train section included, for editors that complete and check them.

    Example: paraSim list schema > scenario.schema.json
    """
    from train.runs.settings import json_schema

    print(json.dumps(json_schema(), indent=2))


def _print(rows: Sequence[Mapping[str, object]], format_: PlainFormat) -> None:
    if format_ is PlainFormat.JSON:
        print(json.dumps(rows, indent=2))
        return
    from parasim.text import amount, console, plain_table

    first = rows[0]
    headings = {column: column.replace("_", " ") for column in first}
    numbers = tuple(headings[column] for column, value in first.items() if isinstance(value, int | float))
    table = plain_table(*headings.values(), numbers=numbers)
    for row in rows:
        table.add_row(*(amount(value, "") if isinstance(value, int | float) else str(value) for value in row.values()))
    console().print(table)
