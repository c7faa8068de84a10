"""`paraSim explain`: why a run takes as long as it does, and what would make it faster."""

from __future__ import annotations

from parasim.api import load
from parasim.cli.options import OutputDirectory, Overrides, PlainFormat, Scenario, TraceFile, print_json
from parasim.cli.pictures import draws
from parasim.contracts import stamped
from parasim.core.sim.analysis.explain import Explanation
from parasim.core.sim.analysis.failing import write_failures
from parasim.core.sim.support.atomic_files import write_json
from parasim.deadlines import times_of, times_said
from parasim.explanation import explain, summary, write_path
from parasim.figures.gantt import draw_gantt
from parasim.figures.look import USUAL, Look
from parasim.links import run_summary
from parasim.report.record import leave_record
from parasim.sentences import say
from parasim.text import clock, console, origin, plain_table, signed_share
from parasim.trace import named, write_trace

_WORTH_A_ROW = 0.001


@draws
def command(
    file: Scenario,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    out: OutputDirectory = None,
    format_: PlainFormat = "table",
    trace: TraceFile = None,
    look: Look = USUAL,
) -> None:
    """Explain a run: its critical path, and what would shorten it.

    Example: paraSim explain examples/cross-silo-50.yaml --set fleet.rural.uplink=50Mbit/s --out results/why
    """
    scenario = load(file, set_)
    explanation = explain(scenario)
    times = times_of(scenario.starts, None, explanation.result.wall_clock)
    found = stamped("explain", summary(explanation) | times, scenario)
    if out is not None:
        names = ("critical_path.csv", "timeline.csv", "explanation.json", "result.json")
        path, timeline, why, run = files = [out / name for name in names]
        write_path(explanation, path)
        explanation.result.write_timeline(timeline)
        write_json(why, found)
        write_json(run, stamped("simulate", run_summary(explanation.result) | times, scenario))
        files += write_failures(explanation.result, out)
        files += draw_gantt(explanation.result, explanation.path, out, look=look)
        leave_record(out, "explain", scenario, files)
    if trace is not None:
        write_trace(explanation.result, trace, explanation.path)
    if format_ == "json":
        print_json(found)
        return
    print_explanation(explanation)
    if out is not None:
        print(f"The critical path, the timeline and its picture are in {out}")
    if trace is not None:
        print(f"Trace: {named(explanation.result, trace)}")


def print_explanation(explanation: Explanation) -> None:
    """Print an explanation: in words, the critical path by resource, and what was predicted and simulated."""
    out, said = console(), summary(explanation)
    result = explanation.result
    out.print(say("run.head", scenario=result.scenario, wall_clock=result.wall_clock))
    for sentence in times_said(result.scenario.starts, None, result.wall_clock):
        out.print(sentence)
    out.print("\n".join(said["sentences"]) + "\n")
    table = plain_table("critical path", "of", ">time", ">share")
    large = [share for share in said["shares"] if share["share"] >= _WORTH_A_ROW]
    for share in large:
        table.add_row(share["resource"], share["group"], clock(share["seconds"]), f"{share['share']:.1%}")
    if small := said["shares"][len(large) :]:
        seconds, shares = (sum(share[name] for share in small) for name in ("seconds", "share"))
        table.add_row("everything else", "", clock(seconds), f"{shares:.1%}")
    out.print(table)
    out.print()
    table = plain_table("change", ">predicted", "by", ">simulated", ">error", ">saves")
    for row, claim in zip(said["claims"], explanation.claims, strict=True):
        predicted, error = "", ""
        if claim.predicted is not None:
            off = claim.predicted / claim.simulated - 1 if claim.simulated else 0.0
            predicted, error = clock(claim.predicted), "none" if claim.exact else signed_share(off)
        simulated, saves = (clock(claim.simulated), clock(claim.saves)) if claim.ends else ("ends early", "-")
        table.add_row(row["change"], predicted, row["prediction"], simulated, error, saves)
    out.print(table)
    if not explanation.not_replayable:
        out.print(
            "\nAn exact replay follows the recorded run; an estimate also keeps every share of the server's links."
        )
    out.print(origin(result.provenance))
