"""How commands end that went wrong: one line for whoever runs them, and with `--debug` the traceback.

What paraSim raises on purpose says itself what to do. Everything else is foreign (a user's own method, a library, the
machine, or a fault of paraSim's): it is named, and never shown as a traceback that nobody asked for.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

from parasim.cli.quiet import record
from parasim_core.sim.errors import OutputError, ParaSimError, ScenarioError, brief, shown_path

STATUSES = {
    0: "done",
    1: "something unexpected, or a run that comes to no end",
    2: "wrong input",
    3: "the deadline is missed, with --fail-on-miss",
    4: "training diverged",
    130: "interrupted",
}
"""What commands end with."""
_EXAMPLES = {"--log-file": "run.log", "--import": "my_method.py"}
_CANNOT_BE_WRITTEN = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}
"""What writing to something open may end with."""


def without(option: str, arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Take an option that goes with all commands out of the arguments, wherever it stands; say whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != option]
    return [*options, *arguments[end:]], len(options) < end


def values_of(option: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take an option with a value that goes with all commands out of the arguments; return also its values.

    Raises
    ------
    ScenarioError
        If it is given without one.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    left, values, own = [], [], iter(arguments[:end])
    for argument in own:
        name, equals, text = argument.partition("=")
        if name != option:
            left.append(argument)
            continue
        values.append(text if equals else next(own, ""))
        if not values[-1]:
            raise ScenarioError(f"{option}: needs a value, such as {option} {_EXAMPLES[option]}")
    return [*left, *arguments[end:]], values


def prepare_streams() -> None:
    """Make sure that results have somewhere to go, and that no name or path can keep them from being printed.

    Raises
    ------
    OutputError
        If standard output is closed.
    """
    # A file that is opened next would take the place of a closed stream, and receive what others print.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if sys.stdout is None:
        raise OutputError("standard output is closed; send it to /dev/null if nobody is to read it")
    # Names may hold what a terminal's encoding does not.
    with suppress(AttributeError):
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def status_of(error: BaseException, *, debug: bool) -> int:
    """Say why a command ends, and return its exit status.

    Parameters
    ----------
    error : BaseException
        Whatever was raised.
    debug : bool
        Whether its traceback is shown as well.

    Returns
    -------
    int
        One of `STATUSES`.
    """
    unwritten = _unwritten(error)
    if isinstance(unwritten, BrokenPipeError):
        # The reader of a pipe has what it wanted.
        return 1
    if debug:
        with suppress(OSError):
            traceback.print_exception(error)
    status, text = _told(error, unwritten)
    if text:
        with suppress(OSError):
            record("error", text)
            print(f"paraSim: {text}", file=sys.stderr)
    return status


def _told(error: BaseException, unwritten: OSError | None) -> tuple[int, str]:
    """Exit status and message of what ended a command."""
    if isinstance(error, ParaSimError):
        return error.exit_status, str(error)
    if isinstance(error, typer.TyperException):
        # A group without a command has printed its help, and has nothing more to say.
        # It quotes what was typed, whatever and however long that is.
        # Pydantic, which checks the choices of an option, begins with its own name for the mistake.
        message = brief(error.format_message()).replace("Value error, ", "").rstrip(".")
        command = getattr(error, "ctx", None)
        return 2, message and f"{message}; see `{command.command_path if command else 'paraSim'} --help`"
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if unwritten is not None:
        return OutputError.exit_status, f"standard output cannot be written: {unwritten.strerror}"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
        return 2, f"{shown_path(name)}: {error.strerror}"
    return 1, f"{_foreign(error)}; --debug shows the traceback"


def _foreign(error: BaseException) -> str:
    """Say what was raised, where, and what it says of itself, on one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    try:
        message = brief(str(error))
    except Exception:  # a user's own class may do anything when it is written
        message = ""
    return f"unexpected {type(error).__name__}{place}{': ' if message else ''}{message}"


def _unwritten(error: BaseException) -> OSError | None:
    """Return why standard output cannot be written, if it cannot; nothing more is written to it then."""
    reason = None
    # Files have names, and what keeps them from being written is said where they are.
    if isinstance(error, OSError) and error.filename is None and error.errno in {errno.EPIPE, *_CANNOT_BE_WRITTEN}:
        reason = error
    try:
        sys.stdout.flush()
    except OSError as lost:
        reason = lost
    except (AttributeError, ValueError):
        return None  # there is none, or it is closed
    if reason is not None:
        # Else the interpreter would try once more when it ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return reason
