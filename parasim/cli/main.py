"""The command `paraSim`: its subcommands, and how errors and interruptions end it."""

from __future__ import annotations

import os
import sys

import typer

from parasim.cli import listing, reproduce, simulate, sweep

app = typer.Typer(
    name="paraSim",
    help="How long federated fine-tuning of a large language model takes, why, and what would make it faster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("simulate")(simulate.command)
app.command("sweep")(sweep.command)
app.command("reproduce")(reproduce.command)
app.add_typer(listing.app, name="list")


def main() -> None:
    """Run the command line; end with status 2 on a user's error and 130 when interrupted."""
    from sim.errors import ParaSimError

    try:
        app(standalone_mode=True)
    except ParaSimError as error:
        print(f"paraSim: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt as interrupt:
        print(f"paraSim: interrupted{f': {interrupt}' if str(interrupt) else ''}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has gone; let nothing more be written to it on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
