"""A directory of results belongs to one set of settings, so that what lies in it can be compared.

Methods may be added to it, each with settings that concern it alone, and each may be given more rounds.
``settings.json`` in the directory says what all of them share, what is each one's own, and how many rounds each was to
have; a run that differs is refused before it has written anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parasim_core.sim.errors import OutputError, shown
from parasim_core.sim.support.atomic_files import read_text, write_json

RECORD = "settings.json"
_FORMAT = 2
_NAMED = 4
"""Differences that a message names."""


@dataclass(frozen=True)
class TrainingTerms:
    """What runs in one directory agree on.

    Attributes
    ----------
    shared : mapping of str to plain value
        Settings of all methods (`train.runs.fingerprint.shared_settings`).
    own : mapping of str to mapping of str to plain value
        By method, settings that concern it alone.
    rounds : mapping of str to int
        By method, how many rounds it is to have; never fewer than it was to have before.
    contents : mapping of str to str
        Digests of the data and the weights (`train.runs.fingerprint.contents`); empty while they are not loaded.
    """

    shared: Mapping[str, Any]
    own: Mapping[str, Mapping[str, Any]]
    rounds: Mapping[str, int]
    contents: Mapping[str, str] = field(default_factory=dict)


def trained_in(directory: Path) -> list[str]:
    """Names of the methods that a directory holds something of: at least one checkpoint."""
    return sorted({path.parts[-3] for path in directory.glob("*/checkpoints/round-*")})


def described_in(directory: Path) -> list[str]:
    """Names of the methods that were trained in a directory and whose settings it tells, in the order of their adding.

    Raises
    ------
    OutputError
        If the settings cannot be read.
    """
    held = trained_in(directory)
    return [method for method in _read(directory).own if method in held] if held else []


def agree(directory: Path, terms: TrainingTerms) -> None:
    """Make sure that a run may write to a directory; a directory in which nothing was trained takes any.

    Parameters
    ----------
    directory : Path
        Where results go.
    terms : TrainingTerms
        Those of the run.

    Raises
    ------
    OutputError
        If what was trained there was trained differently, naming the differences.
    """
    held = trained_in(directory)
    if not held:
        return
    there = _read(directory)
    differences = _differences(there.shared, terms.shared)
    for method in (name for name in terms.own if name in held):
        differences += _differences(there.own.get(method, {}), terms.own[method], f" for {method}")
        if (before := there.rounds[method]) > terms.rounds[method]:
            differences.append(f"rounds for {method} were {before}, are {terms.rounds[method]}")
    if terms.contents:
        differences += [
            f"{what} changed" for what in terms.contents if terms.contents[what] != there.contents.get(what)
        ]
    if differences:
        more = len(differences) - _NAMED
        listed = "; ".join(differences[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise OutputError(
            f"--out {directory}: belongs to another run ({', '.join(held)}): {listed}; "
            "choose another --out or delete what is there"
        )


def keep(directory: Path, terms: TrainingTerms) -> None:
    """Write down the terms of a run that agrees with the directory, beside those of methods trained before.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    held = trained_in(directory)
    there = _read(directory) if held else terms
    before = {method: fields for method, fields in there.own.items() if method in held}
    record = {
        "format": _FORMAT,
        "shared": terms.shared,
        # In the order in which they were added.
        "own": {**before, **terms.own},
        "rounds": {**{method: there.rounds[method] for method in before}, **terms.rounds},
        "contents": terms.contents,
    }
    write_json(directory / RECORD, record)


def _read(directory: Path) -> TrainingTerms:
    path = directory / RECORD
    if not path.exists():
        raise OutputError(
            f"--out {directory}: holds training that does not say how it was set (no {RECORD}), perhaps of an earlier "
            "paraSim; choose another --out or delete it"
        )
    try:
        record = json.loads(read_text(path))
        if record["format"] != _FORMAT:
            raise ValueError(f"format {shown(record['format'])}")
        shared, own, rounds, contents = record["shared"], record["own"], record["rounds"], record["contents"]
        if not all(isinstance(fields, dict) for fields in (shared, own, rounds, contents, *own.values())):
            raise ValueError("fields are missing")
        if not all(isinstance(rounds[method], int) for method in own):
            raise ValueError("rounds are no numbers")
        return TrainingTerms(shared, own, rounds, contents)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"{path}: is damaged ({type(error).__name__}: {error}); choose another --out or delete {directory}"
        ) from None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], whose: str = "") -> list[str]:
    return [
        f"{name}{whose} was {_shown(before.get(name))}, is {_shown(now.get(name))}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
