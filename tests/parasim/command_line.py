"""The command `paraSim`, run in this process: what it prints and how it ends."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock

from parasim.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str


def run(*arguments: object) -> Outcome:
    """Run `paraSim` with arguments; anything but an ordinary end is raised."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["paraSim", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def refused(*arguments: object) -> str:
    """Run `paraSim` with arguments that it must refuse, and return its one message."""
    outcome = run(*arguments)
    assert outcome.status == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    message = outcome.err.removesuffix("\n")
    assert message.startswith("paraSim: ")
    assert message.count("paraSim: ") == 1
    return message.removeprefix("paraSim: ")
