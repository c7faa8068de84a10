"""What commands say beside their results, and ``--quiet``, with which they do not."""

from __future__ import annotations

import sys
from contextvars import ContextVar

_quiet = ContextVar("quiet", default=False)


def be_quiet(quiet: bool) -> None:
    """Have the command that runs next say nothing beside its result, or say it."""
    _quiet.set(quiet)


def is_quiet() -> bool:
    """Whether ``--quiet`` was given."""
    return _quiet.get()


def note(text: str) -> None:
    """Say something beside a result that a program may read: on standard error, unless ``--quiet`` was given."""
    if not is_quiet():
        print(text, file=sys.stderr)
