"""What commands say beside their results: how much of it (``--quiet``, ``--verbose``), and where (``--log-file``)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, TextIO

from parasim_core.sim.errors import OutputError, ScenarioError


class Speech(NamedTuple):
    """How much is said, and where.

    Attributes
    ----------
    quiet : bool
        Nothing beside the result.
    verbose : bool
        Also what is begun and done.
    file : text file or None
        Takes all of it, whatever is shown.
    """

    quiet: bool = False
    verbose: bool = False
    file: TextIO | None = None


_USUAL = Speech()
_speech = ContextVar("speech", default=_USUAL)


@contextmanager
def speaking(quiet: bool, verbose: bool, log_file: str | None, command: Sequence[str]) -> Iterator[None]:
    """Have the command that runs in a ``with`` block say so much.

    Parameters
    ----------
    quiet, verbose : bool
        As of `Speech`.
    log_file : str or None
        File that everything is added to, with the time.
    command : sequence of str
        The command line, which the file begins with.

    Raises
    ------
    ParaSimError
        If it is to be both quiet and verbose, or the file cannot be written.
    """
    if quiet and verbose:
        raise ScenarioError("--quiet, --verbose: one says less, the other more; give one of them")
    file = None if log_file is None else _opened(log_file)
    before = _speech.set(Speech(quiet, verbose, file))
    try:
        record("began", " ".join(["paraSim", *command]))
        yield
    finally:
        _speech.reset(before)
        if file is not None:
            file.close()


def _opened(log_file: str) -> TextIO:
    path = Path(log_file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except (OSError, ValueError) as error:
        raise OutputError(f"--log-file {log_file}: cannot be written: {getattr(error, 'strerror', error)}") from None


def is_quiet() -> bool:
    """Whether ``--quiet`` was given."""
    return _speech.get().quiet


def record(kind: str, text: str) -> None:
    """Add a line to the file of ``--log-file``, if there is one, and show nothing."""
    if (file := _speech.get().file) is not None:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {kind:<7} {text}\n")


def note(text: str) -> None:
    """Say something beside a result that a program may read: on standard error, unless ``--quiet`` was given."""
    record("note", text)
    if not is_quiet():
        print(text, file=sys.stderr)


def step(text: str) -> None:
    """Say that a part of a long command is done, where no terminal shows a bar of it, or ``--verbose`` was given."""
    record("step", text)
    if _speech.get().verbose or not (is_quiet() or sys.stderr.isatty()):
        print(text, file=sys.stderr)


def detail(text: str) -> None:
    """Say what is begun or done, if ``--verbose`` was given."""
    record("detail", text)
    if _speech.get().verbose:
        print(text, file=sys.stderr)
