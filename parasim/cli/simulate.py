"""`paraSim simulate`: one scenario, and where its time goes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Annotated, Any

import typer

from parasim import api
from parasim.assumptions import assumptions
from parasim.cli.options import (
    FailOnMiss,
    OutputDirectory,
    Overrides,
    PlainFormat,
    Scenario,
    TraceFile,
    Within,
    check_fail_on_miss,
    print_json,
)
from parasim.cli.pictures import draws
from parasim.deadlines import deadline_said, read_within, times_of, times_said
from parasim.figures.look import USUAL, Look
from parasim.ignored import ignored_said
from parasim.links import links_said
from parasim.memory_notes import memory_said
from parasim.outputs.runs import leave_simulation, simulated
from parasim.sentences import say
from parasim.text import alike, amount, clock, console, origin, plain_table
from parasim.trace import named, write_trace
from parasim_core.sim.analysis.messages import messages_of
from parasim_core.sim.engine.lines import are_plain
from parasim_core.sim.engine.result import Result
from parasim_core.sim.errors import DeadlineMissedError

_WIDE = 100
"""Columns that a table with times and shares side by side needs."""
_PARTS = {
    "computing": "compute_s",
    "exposed": "exposed_communication_s",
    "waiting": "waiting_s",
    "offline": "offline_s",
    "hidden": "hidden_communication_s",
}
"""Columns of the table, with the figures in them."""


@draws
def command(
    file: Scenario,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    out: OutputDirectory = None,
    format_: PlainFormat = "table",
    collapse: Annotated[
        bool, typer.Option("--collapse", help="One set of timeline rows per group of alike clients.")
    ] = False,
    trace: TraceFile = None,
    within: Within = None,
    fail_on_miss: FailOnMiss = False,
    timeline: Annotated[
        bool,
        typer.Option(
            "--timeline/--no-timeline",
            help="Write timeline.csv to --out. Without one, long runs of very many clients take much less memory.",
        ),
    ] = True,
    look: Look = USUAL,
) -> None:
    """Simulate a scenario: how long it takes, and why.

    Example: paraSim simulate examples/paper.yaml --set fleet.0.uplink=50MB/s --out results/slow
    """
    check_fail_on_miss(fail_on_miss, within)
    scenario = api.load(file, set_)
    due = None if within is None else read_within(within, scenario)
    starts = scenario.starts if due is None else due.starts
    # What messages took is told where links are more than constants.
    kept = (timeline and out is not None) or trace is not None or not are_plain(scenario)
    result = api.simulate(scenario, timeline=kept)
    times = times_of(starts, due, result.wall_clock)
    if out is not None:
        leave_simulation(result, out, times=times, timeline=timeline, collapse=collapse, look=look)
    if trace is not None:
        write_trace(result, trace)
    if format_ == "json":
        print_json(simulated(result, times))
    else:
        print_breakdown(result, times_said(starts, due, result.wall_clock))
        if out is not None:
            print(f"{'Timeline, figures and pictures' if timeline else 'Figures and a picture'} are in {out}")
        if trace is not None:
            print(f"Trace: {named(result, trace)}")
    if fail_on_miss and due is not None and not due.met(result.wall_clock):
        late = result.wall_clock - due.seconds
        raise DeadlineMissedError(say("times.fails", deadline=deadline_said(due), late=late))


def print_breakdown(result: Result, when: Sequence[str] = (), *, computed: bool = False) -> None:
    """Print where a run's time goes, per group and in the mean, and the origin of its numbers.

    Parameters
    ----------
    result : Result
        The run.
    when : sequence of str
        What is to be said of its deadline and of the calendar, a sentence each.
    computed : bool
        Whether updates were really computed: then the scenario's computing times play no part, and may be unknown.
    """
    figures, scenario, wall_clock = result.figures(), result.scenario, result.wall_clock
    out = console()
    out.print(say("run.head", scenario=scenario, wall_clock=wall_clock))
    out.print(*when, *(() if computed else assumptions(*api.set_up(scenario))), "", sep="\n")
    parts = _PARTS | ({"failed": "failed_s"} if figures.get("failed_s") else {})
    table = plain_table("mean client of", ">clients", *(f">{part}" for part in parts))
    # On a narrow terminal shares stand below the times.
    between, digits = (" ", 4) if out.width >= _WIDE else ("\n", 0)
    rows = result.groups() if len(scenario.fleet) > 1 else []
    rows.append({"name": "the fleet", "clients": scenario.clients, **figures})
    columns = []
    for part in parts.values():
        times = [float(str(row[part])) for row in rows]
        written = alike([clock(time) if time else "-" for time in times])
        shares = (f"{between}{time / wall_clock:{digits}.0%}" if time else "" for time in times)
        columns.append([*map(add, written, shares)])
    for row, *cells in zip(rows, *columns, strict=True):
        table.add_row(str(row["name"]), f"{row['clients']:,}", *cells)
    out.print(table)
    out.print(say("run.communicating", uploaded=figures["uploaded_bytes"], downloaded=figures["downloaded_bytes"]))
    _print_levels(result)
    updates: Any = result.provenance.get("updates", {})
    for reason, count in updates.get("dropped", {}).items():
        out.print(say("run.dropped", count=count, reason=reason))
    if lost := updates.get("lost"):
        out.print(say("run.lost", count=lost))
    if short := figures.get("short_rounds"):
        out.print(say("run.short", short=short, rounds=scenario.rounds))
    if "wasted_bytes" in figures:
        out.print(say("run.wasted", seconds=figures["wasted_compute_s"], bytes=figures["wasted_bytes"]))
    if cancelled := updates.get("cancelled"):
        out.print(say("run.cancelled", count=cancelled))
    if never_begun := updates.get("never_begun"):
        out.print(say("run.never_begun", count=never_begun))
    out.print(*memory_said(result.provenance), *ignored_said(result.provenance), origin(result.provenance), sep="\n")


def _print_levels(result: Result) -> None:
    """Print the bytes over each level of links, and what messages took, where links are more than constants."""
    out = console()
    if are_plain(result.scenario):
        return
    out.print(say("run.levels"))
    if levels := result.levels():
        table = plain_table("over", ">links", ">up", ">down")
        for level in levels:
            sizes = (amount(float(str(level[way]))) for way in ("uploaded_bytes", "downloaded_bytes"))
            table.add_row(str(level["name"]), f"{level['links']:,}", *sizes)
        out.print(table, "")
    messages = messages_of(result)
    table = plain_table("messages of", *(f">{resource}" for resource in messages[0]["seconds"]))
    for row in messages:
        table.add_row(row["name"], *(clock(seconds) if seconds else "-" for seconds in row["seconds"].values()))
    out.print(table, links_said(result.scenario), sep="\n")
