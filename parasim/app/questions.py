"""The questions that the page may ask, by name: who answers each, and for how long it may be thought about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from parasim_core.sim.errors import ArchitectureError, CostError, ParaSimError

Answer = Mapping[str, Any]


class Question(NamedTuple):
    """A question.

    Attributes
    ----------
    function : str
        Who answers it: module of this room and function, which takes and returns what JSON can hold.
    patience : float
        After so long it is given up [s].
    is_quick : bool
        Whether it is computed where those are that somebody waits for while a slider moves.
    """

    function: str
    patience: float
    is_quick: bool


QUESTIONS = {
    "run": Question("running.run", 60.0, True),
    "computing": Question("forms.computing", 20.0, True),
    "methods": Question("methods.methods", 120.0, True),
    "lines": Question("lines.lines", 120.0, True),
    "reasons": Question("reasons.reasons", 60.0, True),
    "needs": Question("needs.needs", 300.0, False),
    "deadlines": Question("deadlines.deadlines", 600.0, False),
    "opened": Question("files.opened", 20.0, True),
    "download": Question("files.download", 300.0, False),
}


def answer(name: str, asked: Answer) -> tuple[Any, list[dict[str, str]]]:
    """Answer a question, here and now.

    Returns
    -------
    tuple of (object, list of dict)
        The answer, or None and what is wrong, a line each: ``field``, empty where it is none's, and ``text``, which
        is what the command line says.
    """
    module, function = QUESTIONS[name].function.split(".")
    answers: Callable[[Answer], Any] = getattr(import_module(f"parasim.app.{module}"), function)
    try:
        return answers(asked), []
    except CostError as error:
        return None, problems(str(error), "compute")
    except ArchitectureError as error:
        return None, problems(str(error), "model")
    except ParaSimError as error:
        return None, problems(str(error))


def problems(message: str, about: str = "") -> list[dict[str, str]]:
    """Take a message apart: a line each, with the field that it begins with, or else the one that it is about."""
    lines = [line.strip() for line in message.removeprefix("scenario:").split("\n")]
    found = []
    for line in filter(None, lines):
        match = re.match(r"([a-z_]+(?:\.[\w*-]+)*): ", line)
        found.append({"field": match[1] if match else about, "text": line})
    return found
