"""`paraSim explain`: why a run takes as long as it does, and what would make it faster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parasim.cli.options import OutputDirectory, Overrides, PlainFormat, TraceFile

if TYPE_CHECKING:
    from sim.analysis.explain import Explanation

_WORTH_A_ROW = 0.001


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Scenario (YAML, TOML or JSON).")],
    set_: Overrides = [],  # noqa: B006 - typer copies it
    out: OutputDirectory = None,
    format_: Annotated[PlainFormat, typer.Option("--format", help="What is printed.")] = PlainFormat.TABLE,
    trace: TraceFile = None,
) -> None:
    """Explain one run: what its critical path consists of, and what improvements would save, predicted and simulated.

    Example: paraSim explain examples/cross-silo-50.yaml --set fleet.rural.uplink=50Mbit/s --out results/why
    """
    from parasim.api import load
    from parasim.explanation import explain, summary, write_path
    from parasim.report.record import leave_record
    from parasim.trace import write_trace
    from sim.support.atomic_files import write_json

    scenario = load(file, set_)
    explanation = explain(scenario)
    if out is not None:
        from parasim.figures.gantt import draw_gantt

        names = ("critical_path.csv", "timeline.csv", "explanation.json", "result.json")
        path, timeline, why, run = files = [out / name for name in names]
        write_path(explanation, path)
        explanation.result.write_timeline(timeline)
        write_json(why, summary(explanation))
        write_json(run, explanation.result.summary())
        files += draw_gantt(explanation.result, explanation.path, out)
        leave_record(out, "explain", scenario, files)
    if trace is not None:
        write_trace(explanation.result, trace, explanation.path)
    if format_ is PlainFormat.JSON:
        print(json.dumps(summary(explanation), indent=2))
    else:
        print_explanation(explanation)
        if out is not None:
            print(f"The critical path, the timeline and its picture are in {out}")
        if trace is not None:
            print(f"Trace: {trace}")


def print_explanation(explanation: Explanation) -> None:
    """Print an explanation: in words, the critical path by resource, and what was predicted and simulated."""
    from parasim.explanation import summary
    from parasim.sentences import say
    from parasim.text import clock, console, origin, plain_table, signed_share

    out, said = console(), summary(explanation)
    out.print(say("run.head", scenario=explanation.result.scenario, wall_clock=explanation.result.wall_clock))
    out.print("\n".join(said["sentences"]) + "\n")
    table = plain_table("critical path", "of", "time", "share", numbers=("time", "share"))
    large = [share for share in said["shares"] if share["share"] >= _WORTH_A_ROW]
    for share in large:
        table.add_row(share["resource"], share["group"], clock(share["seconds"]), f"{share['share']:.1%}")
    if small := said["shares"][len(large) :]:
        seconds, shares = (sum(share[name] for share in small) for name in ("seconds", "share"))
        table.add_row("everything else", "", clock(seconds), f"{shares:.1%}")
    out.print(table)
    out.print()
    numbers = ("predicted", "simulated", "error", "saves")
    table = plain_table("change", "predicted", "by", "simulated", "error", "saves", numbers=numbers)
    for row, claim in zip(said["claims"], explanation.claims, strict=True):
        off = claim.predicted / claim.simulated - 1 if claim.predicted is not None and claim.simulated else 0.0
        error = "" if claim.predicted is None else "none" if claim.exact else signed_share(off)
        predicted = "" if claim.predicted is None else clock(claim.predicted)
        saves = clock(claim.saves) if claim.saves >= 0 else f"-{clock(-claim.saves)}"
        table.add_row(row["change"], predicted, row["prediction"], clock(claim.simulated), error, saves)
    out.print(table)
    if not explanation.not_replayable:
        out.print(
            "\nAn exact replay follows the recorded run; an estimate also keeps every share of the server's links."
        )
    out.print(origin(explanation.result.provenance))
