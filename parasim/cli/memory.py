"""`paraSim memory`: what a client's local update needs, and where there is room for it."""

from __future__ import annotations

from typing import Annotated

import typer

from parasim.cli.options import MethodsOrAll, Overrides, PlainFormat, ScenarioOrPaper, print_json, values_of
from parasim.cli.progress import stages
from parasim.contracts import stamped
from parasim.footprints import Footprints, MemoryNeed, memory
from parasim.planning.methods import scenario_of
from parasim.sentences import say
from parasim.text import amount, console, plain_table
from parasim_core.calibration.memory.recipe import recipe_settings

_PARTS = {
    "weights": ("weights",),
    "trained": ("working-copy", "master", "gradients", "moments"),
    "kept": ("activations",),
    "logits": ("logits",),
    "other": ("temporaries",),
}
"""Columns of the table, with the categories in each."""
_NEGLIGIBLE = 0.01
"""Share of the peak below which nobody asks what else there was."""


def command(
    file: ScenarioOrPaper = None,
    method: MethodsOrAll = None,
    device: Annotated[
        str | None,
        typer.Option(help="Devices beside the fleet's own, with commas between them; cpu is this machine."),
    ] = None,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    format_: PlainFormat = "table",
) -> None:
    """Trace what a client's step needs of memory, and where it fits.

    Example: paraSim memory examples/paper.yaml --method all --device rtx-4090,a100-80gb
    """
    devices = values_of("--device", device)
    scenario = scenario_of(file, set_)
    with stages() as report:
        found = memory(scenario, method=method, device=devices, report=report)
    if format_ == "json":
        print_json(stamped("memory", found.summary(), scenario))
    else:
        print_footprints(found, sharded=recipe_settings(scenario).sharding == "full")


def print_footprints(found: Footprints, *, sharded: bool) -> None:
    """Print a table of needs for each precision, one of devices, and what is not known."""
    out = console()
    several = f", {found.accumulation} such batches a step" if found.accumulation > 1 else ""
    out.print(f"{found.model}, local updates on {found.batch_size} x {found.sequence_length} tokens{several}\n")
    for precision, gpus in dict.fromkeys((need.precision, need.gpus) for need in found.needs):
        needs = [need for need in found.needs if (need.precision, need.gpus) == (precision, gpus)]
        _print_table(needs, found.recipe[precision], found)
        if gpus > 1:
            out.print(say("memory.each_gpu" if sharded else "memory.each_whole", gpus=gpus))
        if precision == "float32":
            out.print(say("memory.on_a_cpu"))
        flying = [f"{need.method} {_size(need.in_flight_bytes)}" for need in needs if need.in_flight_bytes]
        if flying:
            out.print(say("memory.in_flight", updates=flying))
        out.print()
    if found.devices:
        table = plain_table("device", ">memory", "groups", "fits", "fits lean", "does not fit")
        for fit in found.devices:
            lists = (fit.groups, fit.fits, fit.fits_recomputing, fit.does_not_fit)
            device = fit.device if fit.gpus == 1 else f"{fit.gpus} x {fit.device}"
            table.add_row(device, _size(fit.memory_bytes), *(", ".join(names) or "-" for names in lists))
        out.print(table)
    else:
        out.print(say("memory.no_device"))
    for name in found.unknown_devices:
        out.print(say("memory.unknown", name=name))
    for method, reason in found.refused.items():
        out.print(f"{method} is left out: {reason}")
    out.print(*found.notes, sep="\n", end="\n" * bool(found.notes))


def _print_table(needs: list[MemoryNeed], recipe: str, found: Footprints) -> None:
    out = console()
    sizes = {
        **{part: [sum(need.by_category[name] for name in names) for need in needs] for part, names in _PARTS.items()},
        "peak": [need.peak_bytes for need in needs],
        "lean": [need.recomputed_peak_bytes for need in needs],
    }
    if all(other < _NEGLIGIBLE * peak for other, peak in zip(sizes["other"], sizes["peak"], strict=True)):
        del sizes["other"]
    table = plain_table("method", *(f">{column}" for column in sizes))
    for need, *row in zip(needs, *sizes.values(), strict=True):
        table.add_row(need.method, *map(_size, row))
    out.print(table)
    out.print(say("memory.recipe", recipe=recipe))
    traced = say("memory.priced", priced=found.priced) if found.priced else say("memory.traced")
    out.print(say("memory.columns", traced=traced))


def _size(size: float) -> str:
    return amount(float(f"{size:.3g}"))
