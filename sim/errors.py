"""Every error that paraSim raises on purpose, in one small hierarchy.

Messages are written for the person who has to act on them: they name the field or file, what was given
and what is allowed. The command line prints the message and exits with `exit_status`; nothing else.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path

MOST_CHARACTERS = 300
"""Longest line of somebody else's text in a message."""
_MOST_LINES = 20
_LONGEST_LINE = 1000
_LONGEST_WORD = 250
_MOST_NAMES = 20


class ParaSimError(Exception):
    """Base class of all errors that a user can cause and mend."""

    exit_status = 2

    def __str__(self) -> str:
        """Return the message, bounded: whatever a user or another library wrote into it, people have to read it."""
        lines = super().__str__().split("\n")
        more = [f"  and {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
        return "\n".join([*map(abridged, lines[:_MOST_LINES]), *more])


class UnitError(ParaSimError, ValueError):
    """A quantity could not be read: unknown unit, wrong dimension, no number, not finite.

    Being a `ValueError`, it is one of validation to pydantic.
    """


class ScenarioError(ParaSimError):
    """A scenario file or field is missing, malformed, contradictory or out of range."""


class ArchitectureError(ParaSimError):
    """A model is unknown, or its configuration does not say what is needed to count its parameters."""


class CostError(ParaSimError):
    """No profile covers the computation that a scenario asks for."""


class NetworkError(ParaSimError):
    """A transfer or link was asked for that cannot exist."""


class SimulationError(ParaSimError):
    """A run stands still: something waits for what never happens, or an update was lost on the way."""

    exit_status = 1


class DeadLinkError(SimulationError):
    """A run stands still because a link of the scenario carries nothing any more, or too seldom."""

    exit_status = 2


class OverdueError(SimulationError):
    """A run was given up at the time until which somebody cared about it."""


class EndedEarlyError(SimulationError):
    """What fails left a run nothing to go on with: nobody is left of a round, or work fails again and again."""


class DeadlineMissedError(ParaSimError):
    """What was asked about does not meet its deadline, which was to end the command in an error."""

    exit_status = 3


class OutputError(ParaSimError):
    """Results cannot be written where they were asked for, or belong to something else."""


class EngineError(ParaSimError):
    """The machines that were to compute cannot be reached, or cannot run paraSim."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which of `choices` was probably meant, or list them.

    Parameters
    ----------
    word : str
        What was given.
    choices : iterable of str
        What is allowed.

    Returns
    -------
    str
        A clause to append to a message, such as ``did you mean 'uplink'?``.
    """
    known = sorted(set(choices))
    # No name is longer, and comparing takes time in the square of the length.
    word = word[:100]
    close = difflib.get_close_matches(word.lower(), [choice.lower() for choice in known], n=1, cutoff=0.6)
    if close:
        match = next(choice for choice in known if choice.lower() == close[0])
        return f"did you mean {match!r}?"
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return f"allowed are {', '.join(known[:_MOST_NAMES])}{more}"


def brief(text: str, most: int = MOST_CHARACTERS) -> str:
    """Write somebody else's text on one line of at most so many characters, with what cannot be printed escaped."""
    line = " ".join(text.split()) if len(text) < 100 * most else text[: 100 * most]
    return abridged(line, most)


def abridged(line: str, most: int = _LONGEST_LINE) -> str:
    """Write a line with what cannot be printed escaped, and its middle left out where it or one of its words is long.

    What it is about stands at its beginning, what can be done at its end.
    """
    line = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: _ends(word[0], 100), line)
    return _printable(_ends(line, most))


def _ends(text: str, most: int) -> str:
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown(value: object) -> str:
    """Quote a value in a message, briefly whatever it is."""
    # Numbers of thousands of digits cannot even be printed.
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 70 digits"
    brief = reprlib.Repr()
    brief.maxstring = brief.maxlong = brief.maxother = 60
    brief.maxlevel = 2
    return "nothing" if value is None else brief.repr(value)


def shown_field(path: str) -> str:
    """Write the path of a field as it was given, or quoted if it is none that could be."""
    return path if len(path) <= 80 and path.isprintable() else shown(path)


def shown_path(path: object) -> str:
    """Write a path on one line; of a very long one its beginning and its end."""
    name = str(path)
    return _printable(_ends(name, 200))


def install_hint(what: str, extra: str) -> str:
    """Say how to install what is missing: in a clone of paraSim there, else as it was installed itself.

    Parameters
    ----------
    what : str
        What cannot be done without.
    extra : str
        Optional dependencies of `pyproject.toml`.
    """
    cloned = (Path(__file__).resolve().parents[1] / "pyproject.toml").is_file()
    wanted = f"-c constraints.txt -e '.[{extra}]'" if cloned else f"'parasim[{extra}]'"
    return f"{what} needs the extra {extra!r}: pip install {wanted}"
