"""The command `paraSim`, and how errors and interruptions end it."""

from __future__ import annotations

import os
import sys

import typer

from parasim.cli.commands import Commands
from sim.errors import ParaSimError

app = typer.Typer(
    name="paraSim",
    cls=Commands,
    help="How long federated fine-tuning of a large language model takes, why, and what would make it faster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options() -> None:
    """Nothing is set for all subcommands alike."""


def main() -> None:
    """Run the command line; end with status 2 on a user's error and 130 when interrupted."""
    # For PyTorch, before its import: idle threads that spin cost double where other processes compute, and gain next
    # to nothing where none does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        # Named, because `python -m parasim` would be shown as that.
        sys.exit(app(prog_name="paraSim", standalone_mode=False))
    except ParaSimError as error:
        print(f"paraSim: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except typer.TyperException as error:
        # A group without a command has printed its help, and has nothing more to say.
        if message := error.format_message().rstrip("."):
            command = getattr(error, "ctx", None)
            place = command.command_path if command else "paraSim"
            print(f"paraSim: {message}; see `{place} --help`", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of a pipe has gone; let nothing more be written to it on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
