"""The command `paraSim`, run in this process: what it prints and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from unittest import mock

import jsonschema

from parasim.cli.main import main
from parasim.contracts.shapes import contract_schema


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str


def run(*arguments: object) -> Outcome:
    """Run `paraSim` with arguments; anything but an ordinary end is raised, and so is JSON that breaks its contract."""
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
    if status == 0:
        check_contracts(list(map(str, arguments)), out.getvalue())
    return Outcome(status, out.getvalue(), err.getvalue())


LEFT = ("result.json", "explanation.json", "plan.json", "training.json", "validation.json", "reproduce.json")
"""Files with contracts that commands leave."""


def check_contracts(arguments: list[str], printed: str) -> None:
    """Hold the JSON that a command printed and left against the schemas that `paraSim list schema --of` prints."""
    results = []
    if ("--format", "json") in pairwise(arguments):
        results.append(json.loads(printed))
    for option, directory in pairwise(arguments):
        if option == "--out" and Path(directory).is_dir():
            results += [json.loads(path.read_text()) for name in LEFT if (path := Path(directory) / name).exists()]
    for result in results:
        schema_of(result["contract"]).validate(result)


@cache
def schema_of(contract: str) -> jsonschema.Draft202012Validator:
    """What validates a result."""
    schema = contract_schema(contract)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


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
