"""`paraSim plan`: from a deadline, a budget or a rival method back to what has to be bought or changed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from parasim.cli.engines import Address, Engine, Jobs, computing_on
from parasim.cli.options import (
    FailOnMiss,
    MethodsOrAll,
    OutputDirectory,
    Overrides,
    PlainFormat,
    ScenarioOrPaper,
    Within,
    check_fail_on_miss,
    print_json,
)
from parasim.cli.pictures import draws
from parasim.cli.progress import stages
from parasim.deadlines import deadline_said
from parasim.figures.look import USUAL, Look
from parasim.outputs.plans import planned
from parasim.planning.answer import Plan
from parasim.planning.methods import scenario_of
from parasim.planning.plan import plan as ask
from parasim.sentences import grouped, say
from parasim.text import console, plain_table
from parasim_core.sim.errors import DeadlineMissedError

_WIDE = 120
"""Columns of a terminal in which the reasons have room beside the table."""


@draws
def command(
    file: ScenarioOrPaper = None,
    method: MethodsOrAll = None,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    within: Within = None,
    fail_on_miss: FailOnMiss = False,
    solve_for: Annotated[
        str | None,
        typer.Option(
            metavar="QUANTITY",
            help="With --within: the least bandwidth, device-speed, server-egress or server-ingress, or the most "
            "rounds, batch-size, clients or block-width, that meets the deadline; or the largest quorum or deadline of "
            "a round, or the least over_selection, with which runs that fail meet it as often as --confidence says.",
        ),
    ] = None,
    hide_communication: Annotated[
        bool, typer.Option("--hide-communication", help="Bandwidth at which all communication is hidden.")
    ] = False,
    break_even: Annotated[str | None, typer.Option(metavar="A,B", help="Where one method overtakes the other.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="What an amount such as 500USD buys."),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(metavar="P", help="The deadline met with this probability, such as 0.9; --within may name one."),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="What each input's uncertainty does to the runtime.")
    ] = False,
    out: OutputDirectory = None,
    format_: PlainFormat = "table",
    jobs: Jobs = None,
    engine: Engine = "local",
    address: Address = None,
    look: Look = USUAL,
) -> None:
    """Plan backwards from a deadline or a budget.

    Example: paraSim plan examples/paper.yaml --method all --within 25min --solve-for bandwidth --out results/plan
    """
    check_fail_on_miss(fail_on_miss, within)
    scenario = scenario_of(file, set_)
    asked: dict[str, Any] = {
        "method": method,
        "within": within,
        "solve_for": solve_for,
        "hide_communication": hide_communication,
        "break_even": break_even,
        "budget": budget,
        "confidence": confidence,
        "sensitivity": sensitivity,
    }
    with computing_on(engine, address), stages() as report:
        report("planning", 0, None)
        plan = ask(scenario, **asked, out=out, look=look, jobs=jobs, report=report)
    if format_ == "json":
        print_json(planned(plan))
    else:
        print_plan(plan)
        if out is not None:
            print("Files: " + ", ".join(map(str, plan.files)))
    if fail_on_miss and plan.missed and plan.within is not None:
        raise DeadlineMissedError(say("times.none_meets", deadline=deadline_said(plan.within)))


def _told_apart(plan: Plan) -> list[str]:
    """Name answers by their methods and as many of the first columns as it takes for no two to be called the same."""
    for columns in range(1, len(plan.columns) + 2):
        names = [", ".join(cell for cell in row[:columns] if cell not in ("", "-")) for row in plan.table]
        if len(set(names)) == len(names):
            break
    return names


def print_plan(plan: Plan) -> None:
    """Print a plan: the question, a row per answer, how it was found, and the origin of its numbers."""
    out = console()
    out.print(f"{plan.question}\n")
    wide = out.width >= _WIDE
    table = plain_table("method", *plan.columns, *(["because"] if wide else []))
    for row in plan.table:
        table.add_row(*(row if wide else row[:-1]))
    out.print(table)
    out.print()
    if not wide:
        # Reasons would be a column of single words.
        for name, answer in zip(_told_apart(plan), plan.answers, strict=True):
            out.print(f"{name}: {answer.because}")
        out.print()
    for note in plan.notes:
        out.print(note)
    sources = grouped((origin, name) for name, origin in plan.provenance.items())
    for origin, names in sources.items():
        out.print(origin if len(sources) == 1 else f"{', '.join(names)}: {origin}")
