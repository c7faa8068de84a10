"""`paraSim list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from parasim.cli.measured import print_explanation
from parasim.cli.options import PlainFormat, print_json
from parasim.contracts import CONTRACTS, stamped
from parasim.text import amount, console, plain_table
from parasim_core.calibration.devices.catalogue import device, known_devices
from parasim_core.calibration.profiles.loading import read_profile, shipped_profiles
from parasim_core.calibration.profiles.measured_file import profile_schema
from parasim_core.calibration.profiles.self_check import checked_file
from parasim_core.sim.errors import CostError, ScenarioError, nearest
from parasim_core.sim.workload.architecture import architecture, catalogue_names
from parasim_core.sim.workload.methods import METHODS, register_offered
from parasim_core.train.runs.settings import json_schema

PROFILE = "profile"
"""Name of the schema of measured profiles, which are no results of one command."""

app = typer.Typer(
    help="List models, methods, devices ..., or print JSON Schemas.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def models(format_: PlainFormat = "table") -> None:
    """List the models of the catalogue; any Hugging Face config.json works too.

    Example: paraSim list models
    """
    rows = [architecture(name).summary() for name in catalogue_names()]
    if format_ == "table":
        shown = ("name", "model_type", "layers", "parameters", "active_parameters", "parameters_per_layer", "bytes")
        rows = [{column: row[column] for column in shown} for row in rows]
    _print("models", rows, format_)


@app.command()
def methods(format_: PlainFormat = "table") -> None:
    """List the federated methods.

    Example: paraSim list methods
    """
    register_offered()
    rows = [
        {"name": m.name, "protocol": m.shape.__name__.lower(), "trains": m.trains.value, "summary": m.summary}
        for m in METHODS.values()
    ]
    _print("methods", rows, format_)


@app.command()
def profiles(
    format_: PlainFormat = "table",
    explain: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Explain a measured profile, by name or file: what its fit means."),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of measured profiles.")] = False,
) -> None:
    """List the profiles of computing times that come with paraSim.

    Example: paraSim list profiles --explain smollm2-135m-cpu
    """
    if schema:
        print_json(profile_schema())
        return
    if explain is not None:
        _explain(explain, format_)
        return
    rows = []
    for name in shipped_profiles():
        data = read_profile(name)
        source = data.get("source") or f"{data['model']['name']}, measured {data['date']}"
        rows.append({"name": name, "kind": data["kind"], "device": data["device"]["name"], "source": source})
    _print("profiles", rows, format_)


def _explain(name: str, format_: str) -> None:
    data = read_profile(name)
    if data.get("kind") != "measured":
        raise CostError(f"--explain {name}: only measured profiles have a fit to explain; `paraSim list profiles`")
    file = checked_file(data, name)
    if format_ == "json":
        told = file.model_dump(mode="json", include={"name", "device", "quality", "fit", "held_out"})
        print_json(stamped("profile-fit", told))
    else:
        print_explanation(file)


@app.command()
def devices(format_: PlainFormat = "table") -> None:
    """List the devices whose memory and rates are known, and where the figures are from.

    Example: paraSim list devices
    """
    found = [device(name) for name in known_devices()]
    if format_ == "json":
        units = {"memory": "_bytes", "bandwidth": "_bytes_per_s", "launch": "_s"}
        rows = ({name.replace("per_second", "per_s"): value for name, value in asdict(one).items()} for one in found)
        entries = [{name + units.get(name, ""): value for name, value in row.items()} for row in rows]
        print_json(stamped("list-devices", {"devices": entries}))
        return
    table = plain_table("name", ">memory", ">bandwidth", ">bfloat16", ">float32", "weights in")
    for one in found:
        rates = (amount(one.operations_per_second[precision], "FLOP/s") for precision in ("bfloat16", "float32"))
        table.add_row(one.name, amount(one.memory), amount(one.bandwidth, "B/s"), *rates, one.precision)
    console().print(table)
    sources = [f"{one.name}: {one.source}" for one in found]
    memories = [f"{one.name}: {amount(one.memory)}, {one.memory_source}" for one in found]
    console().print("\nDense matrix rates, by vendors' figures or estimated:", *sources, sep="\n")
    console().print("\nMemory as devices report it (1 GB is 1e9 B):", *memories, sep="\n")


@app.command()
def schema(
    of: Annotated[
        str | None,
        typer.Option(metavar="RESULT", help=f"Of a result instead of scenarios: {', '.join((*CONTRACTS, PROFILE))}."),
    ] = None,
) -> None:
    """Print the JSON Schema of scenario files, the train section included, or of what a command prints as JSON.

    Example: paraSim list schema --of simulate > simulate.schema.json
    """
    if of is None:
        print_json(json_schema())
    elif of == PROFILE:
        print_json(profile_schema())
    elif of in CONTRACTS:
        from parasim.contracts.shapes import contract_schema

        print_json(contract_schema(of))
    else:
        raise ScenarioError(f"--of: no such result {of!r}; {nearest(of, [*CONTRACTS, PROFILE])}")


def _print(what: str, rows: Sequence[Mapping[str, object]], format_: str) -> None:
    if format_ == "json":
        print_json(stamped(f"list-{what}", {what: rows}))
        return
    numbers = {column for column, value in rows[0].items() if isinstance(value, int | float)}
    table = plain_table(*(">" * (column in numbers) + column.replace("_", " ") for column in rows[0]))
    for row in rows:
        cells = (amount(float(str(cell)), "") if column in numbers else str(cell) for column, cell in row.items())
        table.add_row(*cells)
    console().print(table)
