"""The command `paraSim`: its subcommands, and how errors and interruptions end it."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from parasim.cli import (
    calibrate,
    evaluate,
    explanation,
    listing,
    plan,
    report,
    reproduce,
    simulate,
    sweep,
    train,
    validate,
)
from sim.errors import ParaSimError


class InterruptedRunError(ParaSimError):
    """The user pressed Ctrl-C."""

    exit_status = 130


class Commands(TyperGroup):
    """The subcommands, whose interruption is left to `main`: typer would end without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise InterruptedRunError(f"interrupted: {interrupt}" if str(interrupt) else "interrupted") from None


app = typer.Typer(
    name="paraSim",
    cls=Commands,
    help="How long federated fine-tuning of a large language model takes, why, and what would make it faster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("simulate")(simulate.command)
app.command("explain")(explanation.command)
app.command("sweep")(sweep.command)
app.command("plan")(plan.command)
app.command("train")(train.command)
app.command("evaluate")(evaluate.command)
app.command("report")(report.command)
app.command("reproduce")(reproduce.command)
app.command("calibrate")(calibrate.command)
app.add_typer(validate.app, name="validate")
app.add_typer(listing.app, name="list")


def main() -> None:
    """Run the command line; end with status 2 on a user's error and 130 when interrupted."""
    try:
        app(standalone_mode=True)
    except ParaSimError as error:
        print(f"paraSim: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        # The reader of a pipe has gone; let nothing more be written to it on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
