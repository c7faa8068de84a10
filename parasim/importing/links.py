"""`parasim.import_links`: files about links in, a fleet out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from parasim.importing.clients import clients_of
from parasim.importing.figures import Client, Source, Taken
from parasim.importing.fleet import fleet_of, write_fleet
from parasim.importing.formats import read_file
from parasim.importing.measurement import Measurement
from parasim_core.sim.errors import ScenarioError, shown, shown_path
from parasim_core.sim.scenario.fields import is_one_line
from parasim_core.sim.support.atomic_files import is_file

_MOST_FILES = 10_000
_PREFIX = re.compile(r"([^=]{1,200}?)(?::(up|down))?=(.+)", re.DOTALL)


UNITS = {"uplink": "B/s", "downlink": "B/s", "latency": "s", "loss": "share", "control": ""}
"""Of the figures, in base units."""


@dataclass(frozen=True)
class ImportedLinks:
    """Clients with links as they were measured.

    Attributes
    ----------
    clients : tuple of Client
        In the order of the files.
    varying : bool
        Whether rates follow the seconds of the tests, where files tell them.
    """

    clients: tuple[Client, ...]
    varying: bool = False

    @property
    def fleet(self) -> list[dict[str, Any]]:
        """What stands under `fleet:` in a scenario, as plain data."""
        return fleet_of(self.clients, varying=self.varying)

    def write(self, path: str | Path) -> list[Path]:
        """Write a scenario, and the traces that it follows beside it.

        Parameters
        ----------
        path : str or Path
            A name that ends in ``.yaml`` or ``.yml``.

        Returns
        -------
        list of Path
            What was written, the scenario first.

        Raises
        ------
        ParaSimError
            If the file cannot be written, holds something that was not imported, or would be longer than YAML is read.
        """
        return write_fleet(Path(path), self.clients, varying=self.varying)

    def rows(self) -> list[dict[str, object]]:
        """What was taken from where and what is not known, one figure a row."""
        return [
            {
                "client": client.name,
                "field": one.field,
                "value": one.value,
                "unit": UNITS[one.field],
                "from": one.source,
                "how": one.how,
            }
            for client in self.clients
            for one in client.taken
        ]

    def summary(self) -> dict[str, object]:
        """All of it as plain data: each client with its figures, where they are from, and what else is to be said."""
        said = [
            {
                one.field: {"value": one.value, "unit": UNITS[one.field], "from": one.source, "how": one.how}
                for one in taken
            }
            for taken in (client.taken for client in self.clients)
        ]
        return {
            "clients": [
                {"name": client.name, "count": client.count, **figures, "notes": list(client.notes)}
                for client, figures in zip(self.clients, said, strict=True)
            ]
        }


def import_links(files: Iterable[str | Path], *, trace: bool = False) -> ImportedLinks:
    """Read what people measured of their links.

    Parameters
    ----------
    files : iterable of str or Path
        Output of ``iperf3 --json``, ``speedtest-cli --json``, ``speedtest -f json``, ``ping``, ``mtr --json``, tables
        (CSV) and traces of Mahimahi. ``berlin=ping.txt`` says whom a file is about; ``berlin:down=trace`` also the
        direction of a file that tells of one only, such as a trace.
    trace : bool
        Whether rates follow the seconds of the tests, where files tell them; otherwise they are the means.

    Returns
    -------
    ImportedLinks

    Raises
    ------
    ScenarioError
        Naming the file, if one cannot be read or makes no sense.

    Examples
    --------
    >>> parasim.import_links(["berlin=iperf.json", "berlin=ping.txt"]).write("fleet.yaml")  # doctest: +SKIP
    """
    given = [files] if isinstance(files, str | Path) else list(files)
    if not given:
        raise ScenarioError("no files to import links from")
    if len(given) > _MOST_FILES:
        raise ScenarioError(f"{len(given):,} files are more than the {_MOST_FILES:,} that are read at once")
    sources = [source for file in given for source in _sources(file)]
    return ImportedLinks(tuple(clients_of(sources, varying=trace)), trace)


def _sources(file: str | Path) -> list[Source]:
    """Read one file, given with or without the name of a client."""
    name, direction, path = "", None, Path(file)
    match = _PREFIX.fullmatch(str(file)) if isinstance(file, str) and not is_file(path) else None
    if match is not None:
        name, direction, path = match[1].strip(), match[2], Path(match[3])
        if not name or not is_one_line(name):
            raise ScenarioError(f"{shown(file)}: the name of a client is one line of printable text")
    found = read_file(path)
    if name and len(found) > 1:
        raise ScenarioError(
            f"{shown_path(path)}: is about {len(found):,} clients, so that it cannot be about {shown(name)} alone"
        )
    for one in found:
        if not is_one_line(one.name) or len(one.name) > 200:
            raise ScenarioError(f"{shown_path(path)}: {shown(one.name)} is no name of a client; it is one line of text")
    return [Source(path, _directed(one, direction, path), name) for one in found]


def _directed(one: Measurement, direction: str | None, path: Path) -> Measurement:
    """Give a measurement the direction that its user or its file's name says, as a trace does not tell its own."""
    rates = [rate for rate in (one.uplink, one.downlink) if rate is not None]
    if direction is None:
        return _guessed(one, path)
    if len(rates) != 1:
        raise ScenarioError(
            f"{shown_path(path)}: tells {len(rates)} directions, so that :{direction} cannot name its one"
        )
    up, down = (rates[0], None) if direction == "up" else (None, rates[0])
    return replace(one, uplink=up, downlink=down)


def _guessed(one: Measurement, path: Path) -> Measurement:
    """Take both directions of a trace of Mahimahi for the same, unless its name ends as theirs do."""
    if one.tool != "trace" or one.downlink is not None or one.uplink is None or "Mahimahi" not in one.uplink.how:
        return one
    ending = path.suffix.lower().removeprefix(".")
    if ending in ("down", "downlink"):
        return replace(one, uplink=None, downlink=one.uplink)
    if ending in ("up", "uplink"):
        return one
    note = "does not say which direction it is of: the uplink is assumed; NAME:down=FILE says the downlink"
    return replace(one, notes=(*one.notes, note))


__all__ = ["Client", "ImportedLinks", "Taken", "import_links"]
