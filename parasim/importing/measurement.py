"""What one file tells of one client's links, and the numbers in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from parasim_core.sim.errors import shown
from parasim_core.sim.scenario.units import bandwidth, duration

Direction = Literal["uplink", "downlink"]
LARGEST_RATE = bandwidth.largest / 10
"""Beyond it, a scenario could not have the rate with headers [B/s]."""
Tool = Literal["table", "iperf3", "speedtest", "trace", "ping", "mtr"]


@dataclass(frozen=True)
class Rate:
    """Rate of one direction.

    Attributes
    ----------
    mean : float
        Over the whole test [B/s], greater than zero.
    how : str
        What it was taken from.
    is_payload : bool
        Whether the headers of TCP's packets are left out of it.
    course : tuple of (float, float)
        From which time on [s] which rate held [B/s]; empty if the file tells only the mean.
    period : float
        When the course ends [s].
    doubt : str
        What is to be said of the course, where it is followed; empty if nothing.
    """

    mean: float
    how: str
    is_payload: bool = True
    course: tuple[tuple[float, float], ...] = ()
    period: float = 0.0
    doubt: str = ""


@dataclass(frozen=True)
class RoundTrip:
    """Time to the server and back [s], and in how many replies it was seen (1 where the file does not say)."""

    seconds: float
    how: str
    replies: int = 1


@dataclass(frozen=True)
class Loss:
    """Share of packets that got lost, both ways together; how many of how many, where the file says so."""

    share: float
    how: str
    lost: int = 0
    sent: int = 0


@dataclass(frozen=True)
class Measurement:
    """What one file tells of one client.

    Attributes
    ----------
    tool : str
        What made the file.
    uplink, downlink : Rate or None
        From the client to the server, and back.
    round_trip : RoundTrip or None
    loss : Loss or None
    control : mapping of str to str
        Congestion control of the sender, by direction.
    name : str
        What the file calls the client; empty if it does not.
    count : int
        Clients that are alike.
    machine, server : frozenset of str
        Names and public addresses of the client's machine and of the far end, as far as the file tells them.
    notes : tuple of str
        What was left out or is doubtful, and why.
    """

    tool: Tool
    uplink: Rate | None = None
    downlink: Rate | None = None
    round_trip: RoundTrip | None = None
    loss: Loss | None = None
    control: Mapping[Direction, str] | None = None
    name: str = ""
    count: int = 1
    machine: frozenset[str] = frozenset()
    server: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def section(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping below another one; an empty one if it is missing.

    Raises
    ------
    ValueError
        If something else stands there.
    """
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name}: must be a mapping, not {shown(value)}")
    return value


def entries(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a list of mappings below another one; an empty one if it is missing.

    Raises
    ------
    ValueError
        If something else stands there.
    """
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError(f"{name}: must be a list of mappings, not {shown(value)}")
    return value


def number(fields: Mapping[str, Any], name: str, place: str = "") -> float | None:
    """Return a number of a file, None if it is missing; old versions of mtr write numbers as text.

    Raises
    ------
    ValueError
        If it is no number, negative, or not finite.
    """
    value = fields.get(name)
    if value is None:
        return None
    try:
        found = (
            math.nan if isinstance(value, bool) else float(value.removesuffix("%") if isinstance(value, str) else value)
        )
    except (TypeError, ValueError):
        found = math.nan
    if not 0 <= found < math.inf:
        raise ValueError(f"{place}{'.' if place else ''}{name}: must be a number from 0 on, not {shown(value)}")
    return found


def checked_rate(value: float, what: str) -> float:
    """Return a rate [B/s] that a scenario can have.

    Raises
    ------
    ValueError
        If it is no rate, too small or too large.
    """
    least, largest = bandwidth.least[0], LARGEST_RATE
    if not least <= value <= largest:
        raise ValueError(
            f"{what}: {8 * value:.6g} bit/s is no rate of a link; it must be from 1 bit/s to {8 * largest:g}"
        )
    return value


def checked_time(value: float, what: str) -> float:
    """Return a time [s] that a scenario can have.

    Raises
    ------
    ValueError
        If it is negative or too large.
    """
    if not 0 <= value <= duration.largest:
        raise ValueError(f"{what}: {value:g} s is no time that a packet can take")
    return value


def mean_of(course: Sequence[tuple[float, float]], period: float) -> float:
    """Mean rate of a course until its period's end [B/s]."""
    ends = [*(time for time, _ in course[1:]), period]
    return sum((end - time) * rate for (time, rate), end in zip(course, ends, strict=True)) / period


def check_times(times: Sequence[float], what: str) -> None:
    """Check that times rise.

    Raises
    ------
    ValueError
        Naming the first one that does not.
    """
    for earlier, later in pairwise(times):
        if later <= earlier:
            raise ValueError(f"{what} must rise, but {later:g} follows {earlier:g}")


def bits(rate: float) -> str:
    """Write a rate [B/s] in bits, as those who measure them do: ``94.2 Mbit/s``."""
    for limit, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if 8 * rate >= limit:
            return f"{8 * rate / limit:.4g} {prefix}bit/s"
    return f"{8 * rate:.4g} bit/s"


def milliseconds(seconds: float) -> str:
    """Write a time [s] in milliseconds: ``12.4 ms``."""
    return f"{1000 * seconds:.4g} ms"


def public(*addresses: object) -> frozenset[str]:
    """Return those addresses that name one machine in the whole world; private ones occur behind every router."""
    from ipaddress import ip_address

    found = set()
    for address in addresses:
        try:
            if ip_address(str(address)).is_global:
                found.add(str(address).lower())
        except ValueError:
            continue
    return frozenset(found)


def named(*hosts: object) -> frozenset[str]:
    """Return names of hosts as they are compared; `localhost` and the like name no one."""
    names = (str(host).strip().lower() for host in hosts if isinstance(host, str))
    return frozenset(name for name in names if name and not name.startswith(("localhost", "127.", "::1")))
