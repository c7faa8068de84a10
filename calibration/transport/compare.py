"""Measured transfers of TCP beside the same ones in the simulator's network."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from simpy import Environment

from parasim_core.sim.errors import OutputError
from parasim_core.sim.network import Course, Port, Varying, star_network
from parasim_core.sim.network.model import Network
from parasim_core.sim.network.transport import Tcp, outages
from parasim_core.sim.scenario.links import Buffers, Transport

MBIT = 1e6 / 8
"""[B]"""
LONG = 1e9
"""Message behind a measured rate, so long that its start-up is nothing [B]."""
OUTAGE_BYTES, OUTAGE_LINK, OUTAGE_AT = 22e6, 50 * MBIT, 2.0
"""Transfer in which the link breaks [B], its link [B/s] and when [s]: the measured rows don't say."""
KINDS = ("start-up", "loss", "streams", "two-way", "sharing", "trace", "outage")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class TransportComparison:
    """One measured figure.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    what : str
        The conditions, in short.
    unit : str
        ``s`` or ``Mbit/s``.
    measured, predicted : float
        In this unit.
    bound_pct : float or None
        Error that is allowed [%]; None if the row is only reported. Of traces, it is one of their mean error.
    """

    kind: str
    what: str
    unit: str
    measured: float
    predicted: float
    bound_pct: float | None

    @property
    def error_pct(self) -> float:
        """Predicted against measured [%]."""
        return 100 * (self.predicted / self.measured - 1)

    @property
    def holds(self) -> bool | None:
        """Whether the error is within its bound; None without one, and for traces."""
        if self.bound_pct is None or self.kind == "trace":
            return None
        return abs(self.error_pct) <= self.bound_pct

    def row(self) -> dict[str, Any]:
        """Plain data."""
        figures = {name: getattr(self, name) for name in ("kind", "what", "unit", "measured")}
        figures |= {"predicted": round(self.predicted, 5), "error_pct": round(self.error_pct, 2)}
        return figures | {"bound_pct": self.bound_pct, "holds": self.holds}


class KindSummary(NamedTuple):
    """Errors of one kind [%], and whether all bounds hold (None if there are none)."""

    rows: int
    mean_pct: float
    max_pct: float
    holds: bool | None


@cache
def measured() -> tuple[dict[str, Any], ...]:
    """Return the shipped rows, whose conditions stand beside them in `measured.json`."""
    text = resources.files("parasim_core.calibration.transport").joinpath("measured.json").read_text("utf-8")
    return tuple(json.loads(text)["rows"])


def compare(rows: Sequence[Row], traces: Path | None = None) -> list[TransportComparison]:
    """Predict measured rows through the simulator's network.

    Parameters
    ----------
    rows : sequence of mapping
        Like those of `measured.json`.
    traces : Path, optional
        Folder of the 4G logs (``4g-*.csv``); without it, rows of the kind ``trace`` are left out.

    Returns
    -------
    list of TransportComparison
        By kind, in the order of `KINDS`; two for rows that hold two figures.

    Raises
    ------
    OutputError
        If a log cannot be read.
    """
    found: list[TransportComparison] = []
    for kind in KINDS:
        for row in rows:
            if row["kind"] == kind and (kind != "trace" or traces is not None):
                found += _PREDICT[kind](row) if traces is None or kind != "trace" else _trace(row, traces)
    return found


def summaries(comparisons: Sequence[TransportComparison]) -> dict[str, KindSummary]:
    """Mean and largest errors of each kind that there is."""
    found = {}
    for kind in dict.fromkeys(one.kind for one in comparisons):
        rows = [one for one in comparisons if one.kind == kind]
        errors = [abs(one.error_pct) for one in rows]
        mean = math.fsum(errors) / len(errors)
        held = [one.holds for one in rows if one.holds is not None]
        holds = all(held) if held else None
        if kind == "trace" and rows[0].bound_pct is not None:
            holds = mean <= rows[0].bound_pct
        found[kind] = KindSummary(len(rows), mean, max(errors), holds)
    return found


def _attach(
    network: Network, up: float | Varying, down: float | Varying, row: Row, round_trip: float, **settings: Any
) -> Port:
    transport = Transport(control=row["control"], **settings)
    ends = [Tcp(transport, round_trip, "uplink"), Tcp(transport, round_trip, "downlink")]
    return network.attach(up, down, round_trip / 2, up=ends[0], down=ends[1])


def _seconds(row: Row, link: float | Varying, size: float, **settings: Any) -> float:
    """Seconds of one upload."""
    network = star_network(Environment())
    arrival = network.upload(_attach(network, link, link, row, row["round_trip_ms"] / 1000, **settings), size)
    return float(network.env.run(until=arrival))  # type: ignore[arg-type]


def _start_up(row: Row) -> Iterator[TransportComparison]:
    link = f"{row['link_mbit_s']:g} Mbit/s and {row['round_trip_ms']:g} ms"
    what = f"{row['control']}, {row['bytes'] / 1e6:g} MB over {link}"
    seconds = _seconds(row, row["link_mbit_s"] * MBIT, row["bytes"])
    yield TransportComparison("start-up", what, "s", row["seconds"], seconds, 2 if row["bytes"] >= 1e6 else 25)


def _loss(row: Row) -> Iterator[TransportComparison]:
    streams = row.get("streams", 1)
    what = f"{row['control']}, {row['loss']:.2%} lost, {row['link_mbit_s']:g} Mbit/s and {row['round_trip_ms']:g} ms"
    seconds = _seconds(row, row["link_mbit_s"] * MBIT, LONG, loss=row["loss"], streams=streams)
    bound = 3 if row["control"] == "bbr" else 25
    if row["kind"] == "streams":
        what, bound = f"{streams} of {what}", 15
    yield TransportComparison(row["kind"], what, "Mbit/s", row["mbit_s"], LONG / MBIT / seconds, bound)


def _both(network: Network, one: Any, other: Any) -> list[float]:
    """Mbit/s of two messages while both are under way."""
    network.env.run(until=one | other)
    now = float(network.env.now)
    return [(message.size if message.triggered else message.cancel()) / MBIT / now for message in (one, other)]


def _two_way(row: Row) -> Iterator[TransportComparison]:
    queues = Buffers(uplink=row["queue_up_s"], downlink=row["queue_down_s"])
    network = star_network(Environment())
    up, down = row["up_mbit_s"], row["down_mbit_s"]
    port = _attach(network, up * MBIT, down * MBIT, row, row["round_trip_ms"] / 1000, buffer=queues)
    rates = _both(network, network.upload(port, LONG), network.download(port, LONG))
    what = f"{up:g}/{down:g} Mbit/s, buffers {row['queue_up_s'] * 1000:g}/{row['queue_down_s'] * 1000:g} ms"
    for direction, predicted, real in zip(("up", "down"), rates, row["both"], strict=True):
        yield TransportComparison("two-way", f"{direction} of {what}", "Mbit/s", real, predicted, 15)


def _sharing(row: Row) -> Iterator[TransportComparison]:
    network = star_network(Environment(), ingress=row["link_mbit_s"] * MBIT)
    trips = row["round_trip_ms"]
    ports = [_attach(network, math.inf, math.inf, row, trip / 1000) for trip in trips]
    rates = _both(network, *(network.upload(port, LONG) for port in ports))
    for trip, predicted, real in zip(trips, rates, row["mbit_s"], strict=True):
        what = f"{row['control']}, {trip:g} ms of {trips[0]:g} and {trips[1]:g}, buffer {row['queue_ms']:g} ms"
        yield TransportComparison("sharing", what, "Mbit/s", real, predicted, None)


def _outage(row: Row) -> Iterator[TransportComparison]:
    dropped = row["queue"] == "drops" and not row.get("kept")
    back = OUTAGE_AT + row["outage_s"]
    course = Course([0, OUTAGE_AT, back], [OUTAGE_LINK, 0, OUTAGE_LINK])
    transport = Transport(control=row["control"], outages="dropped" if dropped else "held")
    broken = Varying(outages(course, transport, row["round_trip_ms"] / 1000))
    longer = _seconds(row, broken, OUTAGE_BYTES) - _seconds(row, OUTAGE_LINK, OUTAGE_BYTES)
    what = f"{row['outage_s']:g} s, {'dropped' if dropped else 'held'}"
    yield TransportComparison("outage", what, "s", row["seconds"], row["without_s"] + longer, 15 if dropped else 3)


def _trace(row: Row, folder: Path) -> Iterator[TransportComparison]:
    log = folder / f"4g-{row['trace'].replace('_', '-')}.csv"
    try:
        with log.open(encoding="utf-8", newline="") as file:
            rates = [(float(line["seconds"]), float(line["downlink_mbit_s"]) * MBIT) for line in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(f"{log}: is no log with columns seconds and downlink_mbit_s") from None
    transport = Transport(control=row["control"])
    course = Course([time for time, _ in rates], [rate for _, rate in rates])
    course = outages(course, transport, row["round_trip_ms"] / 1000)
    what = f"{row['control']}, {row['bytes'] / 1e6:g} MB over {row['trace']}"
    yield TransportComparison("trace", what, "s", row["seconds"], _seconds(row, Varying(course), row["bytes"]), 6)


_PREDICT: dict[str, Callable[[Row], Iterator[TransportComparison]]] = {
    "start-up": _start_up,
    "loss": _loss,
    "streams": _loss,
    "two-way": _two_way,
    "sharing": _sharing,
    "outage": _outage,
}
