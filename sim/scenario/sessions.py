"""Recorded sessions of clients: a JSON file with a list of sessions for each client, read once per process."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from parasim_core.sim.errors import ScenarioError, shown, shown_path
from parasim_core.sim.scenario.safe_parsing import parse_json
from parasim_core.sim.support.atomic_files import read_bytes

MAX_FILE_BYTES = 64 * 2**20
"""Largest file [B]."""
_LONGEST, _SHORTEST = 1e12, 1.0


class Recorded(NamedTuple):
    """Sessions of some clients.

    Attributes
    ----------
    clients : sequence of sequences of (float, float)
        Begin and end of each session [s], for each client.
    digest : str
        SHA-256 of the file.
    """

    clients: Sequence[Sequence[tuple[float, float]]]
    digest: str


def recorded_sessions(path: str) -> Recorded:
    """Read recorded sessions, or remember them.

    Raises
    ------
    ScenarioError
        If they cannot be read, or anything in them is not as it must be: one line, with the client and the session.
    """
    stamp: tuple[int, ...] = ()
    with suppress(OSError, ValueError):
        found = Path(path).stat()
        stamp = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
    return _recorded(path, stamp)


@lru_cache(maxsize=64)
def _recorded(path: str, stamp: tuple[int, ...]) -> Recorded:
    try:
        content = read_bytes(Path(path), MAX_FILE_BYTES)
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    try:
        data = parse_json(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _wrong(path, "is not UTF-8 text") from None
    except ValueError as error:
        raise _wrong(path, f"not well-formed: {error}") from None
    if not isinstance(data, list) or not data:
        raise _wrong(path, f"must be a list with the sessions of each client, not {shown(data)}")
    clients = tuple(_sessions(path, number, own) for number, own in enumerate(data))
    if not any(clients):
        raise _wrong(path, "no client is ever there")
    return Recorded(clients, hashlib.sha256(content).hexdigest())


def _sessions(path: str, client: int, given: Any) -> tuple[tuple[float, float], ...]:
    if not isinstance(given, list):
        raise _wrong(path, f"client {client}: must be a list of [begin, end], not {shown(given)}")
    sessions: list[tuple[float, float]] = []
    last = 0.0
    for number, session in enumerate(given):
        where = f"client {client}, session {number}"
        if not (isinstance(session, list) and len(session) == 2 and all(map(_is_time, session))):
            raise _wrong(path, f"{where}: must be [begin, end] in seconds, not {shown(session)}")
        begin, end = map(float, session)
        if begin < last:
            raise _wrong(path, f"{where}: begins at {begin:g} s, before {last:g} s")
        if end <= begin:
            raise _wrong(path, f"{where}: ends at {end:g} s, not later than it begins, at {begin:g} s")
        sessions.append((begin, end))
        last = end
    if sessions and last < _SHORTEST:
        raise _wrong(
            path, f"client {client}: all is over at {last:g} s; sessions repeat after a second at the earliest"
        )
    return tuple(sessions)


def _is_time(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= _LONGEST


def _wrong(path: str, why: str) -> ScenarioError:
    return ScenarioError(f"{shown_path(path)}: {why}")
