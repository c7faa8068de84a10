"""`paraSim import`: what people measured, as parts of a scenario."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from parasim.api import load, prepared
from parasim.cli.options import Format, Overrides, print_json
from parasim.contracts import stamped
from parasim.importing.kineto import traced_profile
from parasim.importing.links import ImportedLinks, import_links
from parasim.text import clock, console, plain_table
from parasim_core.sim.support.atomic_files import check_directory, write_json

app = typer.Typer(no_args_is_help=True, add_completion=False)
_MOST_ROWS = 100
"""Rows that a terminal is shown; CSV and JSON have them all."""


@app.callback()
def group() -> None:
    """Take over what was measured elsewhere."""


@app.command()
def links(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE...",
            help="Output of iperf3 --json, speedtest-cli --json, speedtest -f json, ping, mtr --json; CSV; traces of "
            "Mahimahi. Files with one NAME are about one client; NAME:up= and NAME:down= also say the direction.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scenario with the fleet to write, such as fleet.yaml.")
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Rates follow the seconds of the tests, in traces beside the fleet.")
    ] = False,
    format_: Format = "table",
) -> None:
    """Make a fleet of measured links: rates, latencies, loss and congestion control, and where each was taken from.

    Example: paraSim import links berlin=iperf.json berlin=ping.txt lyon=speedtest.json --out fleet.yaml
    """
    imported = import_links(files, trace=trace)
    written = [] if out is None else imported.write(out)
    if format_ == "json":
        print_json(stamped("import-links", imported.summary() | {"files": [str(path) for path in written]}))
    elif format_ == "csv":
        rows = csv.DictWriter(sys.stdout, ["client", "field", "value", "unit", "from", "how"], lineterminator="\n")
        rows.writeheader()
        rows.writerows(imported.rows())
    else:
        _print(imported, written)


@app.command()
def trace(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What export_chrome_trace of torch.profiler wrote, .json or .json.gz."),
    ],
    of: Annotated[
        Path, typer.Option("--of", metavar="FILE", help="Scenario whose steps they are: model, method, batch, length.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Profile to write, such as profile.json.")],
    set_: Overrides = [],  # noqa: B006 - typer copies it
) -> None:
    """Make a profile of computing times of training steps that PyTorch's profiler recorded.

    Example: paraSim import trace step.json --of scenario.yaml --out profile.json
    """
    check_directory(out.parent)
    profile = traced_profile(file, prepared(load(of, set_)), out.stem)
    write_json(out, profile.model_dump(mode="json"))
    steps, covers = profile.step_seconds, profile.covers
    print(
        f"{len(steps)} steps on {profile.device.name}: {clock(median(steps))} in the median, "
        f"{clock(min(steps))} to {clock(max(steps))}"
    )
    print(
        f"It covers {covers.model}, training {covers.trains}{f' ({covers.adapter})' if covers.adapter else ''}, batch "
        f"size {covers.batch_size}, sequence length {covers.sequence_length}."
    )
    print(f"Profile: {out}; use it by --set compute.profile={out}")


def _print(imported: ImportedLinks, written: list[Path]) -> None:
    out = console()
    table = plain_table("client", "field", ">value", "from", "how", keep=["value", "field", "from"])
    rows = imported.rows()
    for row in rows[:_MOST_ROWS]:
        value = "not known" if row["value"] is None else _value(str(row["field"]), row["value"])
        table.add_row(str(row["client"]), str(row["field"]), value, str(row["from"]), str(row["how"]))
    out.print(table)
    if len(rows) > _MOST_ROWS:
        out.print(f"and {len(rows) - _MOST_ROWS:,} more figures; --format csv prints all")
    notes = [f"{client.name}: {note}" for client in imported.clients for note in client.notes]
    for note in notes[:_MOST_ROWS]:
        out.print(note)
    if written:
        out.print(
            f"Fleet: {written[0]}"
            + (
                f", and beside it {', '.join(path.name for path in written[1:4])}" + " ..." * (len(written) > 4)
                if written[1:]
                else ""
            )
        )
    else:
        out.print("Nothing was written; --out fleet.yaml writes the fleet.")


def _value(field: str, value: object) -> str:
    """Write a figure as a person would."""
    if not isinstance(value, float):
        return str(value)
    if field == "latency":
        return f"{1000 * value:.4g} ms"
    return f"{8e-6 * value:.4g} Mbit/s" if field in ("uplink", "downlink") else f"{100 * value:.3g} %"
