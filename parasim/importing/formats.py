"""Which format a file has: told by what it holds, never by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parasim.importing import iperf, mahimahi, mtr, ping, speedtests, table
from parasim.importing.content import Content, read_content
from parasim.importing.measurement import Measurement
from parasim_core.sim.errors import ScenarioError, brief, shown_path

Reader = Callable[[Content], list[Measurement] | None]
"""Gives what a file says of each client, None if its format is another one; a ValueError says what is wrong in it."""

READERS: dict[str, Reader] = {
    "iperf3 --json": iperf.read,
    "speedtest": speedtests.read,
    "mtr --json": mtr.read,
    "ping": ping.read,
    "a trace of Mahimahi": mahimahi.read,
    "a table (CSV)": table.read,
}
_PRINTED = {
    "[ ID] Interval": "iperf3",
    "Loss%   Snt": "mtr",
    "Speedtest by Ookla": "speedtest",
    "speedtest.net": "speedtest",
}
"""What shows that a file holds what a tool prints for people."""


def read_file(path: Path) -> list[Measurement]:
    """Read a file of whatever format.

    Raises
    ------
    ScenarioError
        Naming the file, if it cannot be read, its format is none of them, or something in it is wrong.
    """
    try:
        content = read_content(path)
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    try:
        for reader in READERS.values():
            found = reader(content)
            if found is not None:
                return found
    except ValueError as error:
        raise ScenarioError(f"{shown_path(path)}: {brief(str(error), 500)}") from None
    for sign, tool in _PRINTED.items():
        if sign in content.text:
            raise ScenarioError(f"{shown_path(path)}: is what {tool} prints for people; run it with --json")
    raise ScenarioError(f"{shown_path(path)}: is none of {', '.join(READERS)}")
