"""`paraSim explain`: why a run takes as long as it does, and what would make it faster."""

from __future__ import annotations

from parasim.cli.options import OutputDirectory, Overrides, PlainFormat, Scenario, TraceFile, print_json
from parasim.cli.pictures import draws
from parasim.deadlines import times_said
from parasim.explaining import explain
from parasim.explanation import summary
from parasim.figures.look import USUAL, Look
from parasim.outputs.explanations import explained
from parasim.sentences import say
from parasim.text import clock, console, origin, plain_table, signed_share
from parasim.trace import named, write_trace
from parasim_core.sim.analysis.explain import Explanation

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
    explanation = explain(file, set_, out=out, look=look)
    if trace is not None:
        write_trace(explanation.result, trace, explanation.path)
    if format_ == "json":
        print_json(explained(explanation))
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
