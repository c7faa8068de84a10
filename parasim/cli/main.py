"""The command `paraSim`, and how errors and interruptions end it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from parasim import __version__
from parasim.cli.commands import Commands
from parasim.cli.guard import STATUSES, prepare_streams, status_of, values_of, without
from parasim.cli.quiet import record, speaking
from parasim_core.sim.support.deleted_results import noticing_deletions

_WITH_ALL = (
    "With all commands: --quiet (results and errors, nothing else), --verbose (also what is begun and done), "
    "--log-file FILE (adds all of that to a file, with the time), --debug (the traceback of whatever ends a command), "
    "--import FILE (Python code that registers methods)."
)

app = typer.Typer(
    name="paraSim",
    cls=Commands,
    help="How long federated fine-tuning of a large language model takes, why, and what would make it faster.",
    epilog=f"{_WITH_ALL} Exit status: {'; '.join(f'{status} {meaning}' for status, meaning in STATUSES.items())}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"paraSim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Nothing else is set here: `main` takes out before what goes with all commands."""


def main() -> None:
    """Run the command line, and end with one of `STATUSES`."""
    # For PyTorch, before its import: idle threads that spin cost double where other processes compute, and gain next
    # to nothing where none does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # No command opens a window; what the user wants for other programs may not even exist here.
    os.environ["MPLBACKEND"] = "agg"
    arguments, debug = without("--debug", sys.argv[1:])
    arguments, quiet = without("--quiet", arguments)
    arguments, verbose = without("--verbose", arguments)
    try:
        prepare_streams()
        arguments, log_files = values_of("--log-file", arguments)
        arguments, own_code = values_of("--import", arguments)
        with speaking(quiet, verbose, log_files[-1] if log_files else None, sys.argv[1:]):
            if own_code:
                from parasim_core.sim.workload.own_code import name_own_code

                name_own_code(own_code)
            status = _run(arguments, debug=debug)
            record("ended", f"status {status or 0}")
    except SystemExit:
        raise
    except BaseException as error:
        status = status_of(error, debug=debug)
    sys.exit(status)


def _run(arguments: list[str], *, debug: bool) -> int:
    """Run a command, and return the status that it ends with."""
    try:
        with noticing_deletions():
            # Named, because `python -m parasim` would be shown as that.
            status: int = app(arguments, prog_name="paraSim", standalone_mode=False)
        # What could not be printed is noticed here, not when the interpreter ends.
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        return status_of(error, debug=debug)
    return status
