"""What several files say of one client together: whose word is taken, and where each figure comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TypeVar, get_args

from parasim.importing.measurement import Direction, Loss, Measurement, Rate, RoundTrip, Tool, bits, milliseconds
from parasim_core.sim.errors import ScenarioError, shown_path
from parasim_core.sim.network.loss import loss_limit
from parasim_core.sim.network.transport import PACKET, SEGMENT
from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.links import Transport

CONTROLS: tuple[str, ...] = get_args(Transport.model_fields["control"].annotation)
"""Congestion controls that a scenario knows."""
_RATES_FROM: tuple[Tool, ...] = ("table", "iperf3", "trace", "speedtest")
_ROUND_TRIPS_FROM: tuple[Tool, ...] = ("table", "ping", "mtr", "trace", "speedtest", "iperf3")
"""Whose word is taken, the best first: a table is what somebody chose; a test that fills a link waits in its queue."""

Value = TypeVar("Value", Rate, RoundTrip, Loss)


@dataclass(frozen=True)
class Source:
    """One file's word about one client.

    Attributes
    ----------
    path : Path
        The file.
    measurement : Measurement
        What it says.
    name : str
        Client that the user named; empty if none.
    """

    path: Path
    measurement: Measurement
    name: str = ""


@dataclass(frozen=True)
class Taken:
    """One figure of a client, or that it is not known.

    Attributes
    ----------
    field : str
        Such as `uplink`.
    value : float, str or None
        In base units; None if no file tells it.
    source : str
        Files that it was taken from.
    how : str
        From what in them; of what is not known, what is assumed instead.
    """

    field: str
    value: float | str | None
    source: str
    how: str


@dataclass(frozen=True)
class Client:
    """A client, or several that are alike, with links as they were measured.

    Attributes
    ----------
    name : str
    count : int
    uplink, downlink : Rate or None
        As a scenario needs them: with the headers of TCP's packets, if the client has a transport.
    latency : float or None
        One way [s].
    loss : float or None
    control : str or None
    taken : tuple of Taken
        Where everything comes from.
    notes : tuple of str
        What else is to be said, with the file that it is about.
    """

    name: str
    count: int = 1
    uplink: Rate | None = None
    downlink: Rate | None = None
    latency: float | None = None
    loss: float | None = None
    control: str | None = None
    taken: tuple[Taken, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_transport(self) -> bool:
        """Whether something is known of what TCP makes of its links."""
        return self.control is not None or bool(self.loss)


def client_of(name: str, sources: Sequence[Source], *, varying: bool) -> Client:
    """Put together what files say of one client.

    Raises
    ------
    ScenarioError
        If they say that there are different numbers of it.
    """
    notes = [f"{shown_path(source.path)}: {note}" for source in sources for note in source.measurement.notes]
    counts = {source.measurement.count for source in sources if source.measurement.count > 1}
    if len(counts) > 1:
        raise ScenarioError(f"{name}: files say that there are {' and '.join(map(str, sorted(counts)))} of them")
    taken: list[Taken] = []
    control = _control(sources, taken, notes)
    loss = _loss(sources, taken)
    client = Client(name, max(counts, default=1), loss=loss, control=control)
    rates: dict[Direction, Rate | None] = {}
    for direction in _DIRECTIONS:
        rate = rates[direction] = _rate(direction, sources, taken, with_headers=client.has_transport)
        if varying and rate is not None:
            constant = "" if rate.course else f"no file tells seconds of the {direction}, which stays at its mean"
            notes += filter(None, (rate.doubt, constant))
    _say_what_is_assumed(rates, taken)
    latency = _latency(sources, taken)
    order = {name: place for place, name in enumerate(("uplink", "downlink", "latency", "loss", "control"))}
    client = replace(client, uplink=rates["uplink"], downlink=rates["downlink"], latency=latency)
    taken.sort(key=lambda one: order[one.field])
    return replace(client, taken=tuple(taken), notes=(*notes, *_held_back(client)))


def _held_back(client: Client) -> list[str]:
    """What to say where loss keeps one connection from the rates that tests had."""
    if not client.loss or not client.latency:
        return []
    # Payload, as the tests counted it.
    most = loss_limit(client.control or "cubic", client.loss, 2 * client.latency) * SEGMENT
    tests = [rate.mean * SEGMENT / PACKET for rate in (client.uplink, client.downlink) if rate and rate.is_payload]
    if most >= 0.8 * max(tests, default=0.0):
        return []
    return [
        f"with this loss one connection gets {bits(most)} at most, but a test had {bits(max(tests))}: "
        "take more pings, as few tell little, or give transport.streams if it had several"
    ]


_DIRECTIONS: tuple[Direction, ...] = ("uplink", "downlink")


def _best(
    sources: Sequence[Source], tools: Sequence[Tool], get: Callable[[Measurement], Value | None]
) -> tuple[list[tuple[Source, Value]], list[tuple[Source, Value]]]:
    """What the best tool says, and what the others say."""
    said = [(source, value) for source in sources if (value := get(source.measurement)) is not None]
    for tool in tools:
        best = [pair for pair in said if pair[0].measurement.tool == tool]
        if best:
            return best, [pair for pair in said if pair[0].measurement.tool != tool]
    return [], []


def _files(said: Sequence[tuple[Source, object]]) -> str:
    return ", ".join(dict.fromkeys(shown_path(source.path) for source, _ in said))


def _rate(direction: Direction, sources: Sequence[Source], taken: list[Taken], *, with_headers: bool) -> Rate | None:
    """Rate of one direction: the median of several tests."""
    best, others = _best(sources, _RATES_FROM, lambda one: one.uplink if direction == "uplink" else one.downlink)
    if not best:
        return None
    middle = median(rate.mean for _, rate in best)
    # The course of the test that is nearest to the median.
    _, rate = min(best, key=lambda pair: abs(pair[1].mean - middle))
    how = rate.how
    if len(best) > 1:
        low, *_, high = sorted(other.mean for _, other in best)
        how = f"{bits(middle)}, median of {len(best)} tests from {bits(low)} to {bits(high)}"
    if with_headers and rate.is_payload:
        middle *= PACKET / SEGMENT
        how += f"; with TCP's headers {bits(middle)}"
    if others:
        how += (
            f" (not taken: {', '.join(f'{bits(other.mean)} of {shown_path(one.path)}' for one, other in others[:3])})"
        )
    course = tuple((time, value * middle / rate.mean) for time, value in rate.course)
    taken.append(Taken(direction, middle, _files(best), how))
    return replace(rate, mean=middle, course=course, how=how)


def _say_what_is_assumed(rates: dict[Direction, Rate | None], taken: list[Taken]) -> None:
    if rates["uplink"] is None and rates["downlink"] is None:
        taken += [Taken(direction, None, "", "100 MB/s is assumed") for direction in _DIRECTIONS]
    elif rates["downlink"] is None:
        taken.append(Taken("downlink", None, "", "assumed to be like the uplink"))
    elif rates["uplink"] is None:
        taken.append(Taken("uplink", None, "", "assumed to be like the downlink"))


def _latency(sources: Sequence[Source], taken: list[Taken]) -> float | None:
    """Half of the round trip: the mean of all replies."""
    best, others = _best(sources, _ROUND_TRIPS_FROM, lambda one: one.round_trip)
    if not best:
        taken.append(Taken("latency", None, "", "none is assumed"))
        return None
    replies = sum(round_trip.replies for _, round_trip in best)
    seconds = sum(round_trip.seconds * round_trip.replies for _, round_trip in best) / replies
    how = best[0][1].how if len(best) == 1 else f"{milliseconds(seconds)}, mean of {replies:,} replies"
    how = f"half of the round trip of {how}"
    if others:
        said = (f"{milliseconds(other.seconds)} of {shown_path(source.path)}" for source, other in others[:3])
        how += f" (not taken: {', '.join(said)})"
    taken.append(Taken("latency", seconds / 2, _files(best), how))
    return seconds / 2


def _loss(sources: Sequence[Source], taken: list[Taken]) -> float | None:
    """Share of lost packets: of all of ping and mtr together."""
    best, _ = _best(sources, ("table",), lambda one: one.loss)
    best = best or [(source, loss) for source in sources if (loss := source.measurement.loss) is not None]
    if not best:
        taken.append(Taken("loss", None, "", "none is assumed; ping and mtr tell it"))
        return None
    counted = all(loss.sent for _, loss in best)
    lost, sent = sum(loss.lost for _, loss in best), sum(loss.sent for _, loss in best)
    share = lost / sent if counted else median(loss.share for _, loss in best)
    if share > units.share.largest:
        raise ScenarioError(f"{_files(best)}: {share:.4%} of the packets got lost, so that there is no link")
    how = best[0][1].how if len(best) == 1 else f"{lost:,} of {sent:,} packets, there and back" if counted else "median"
    if counted:
        low, high = _interval(lost, sent)
        how += f"; 95 % confidence: {100 * low:.2g} to {100 * high:.2g} %"
    taken.append(Taken("loss", share, _files(best), how))
    return share


def _interval(lost: int, sent: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share (JASA 22, 1927)."""
    z = 1.96
    share, spread = lost / sent, z / sent * (lost * (1 - lost / sent) + z**2 / 4) ** 0.5
    low, high = ((share + z**2 / (2 * sent) + sign * spread) / (1 + z**2 / sent) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def _control(sources: Sequence[Source], taken: list[Taken], notes: list[str]) -> str | None:
    """Congestion control; that of the uplink, where the two directions differ."""
    said: dict[Direction, list[tuple[Source, str]]] = {"uplink": [], "downlink": []}
    for source in sources:
        for direction, name in (source.measurement.control or {}).items():
            said[direction].append((source, name))
    found = said["uplink"] or said["downlink"]
    if not found:
        taken.append(Taken("control", None, "", "cubic is assumed, where TCP matters; iperf3 tells it on Linux"))
        return None
    name = found[0][1]
    others = {other for direction in said.values() for _, other in direction} - {name}
    if others:
        notes.append(
            f"{' and '.join(sorted(others))} beside {name}: a scenario has one congestion control for both directions"
        )
    known = "bbr" if name.startswith("bbr") else name
    if known not in CONTROLS:
        taken.append(Taken("control", None, _files(found), f"{name} is not modelled; {', '.join(CONTROLS)} are"))
        return None
    taken.append(Taken("control", known, _files(found), f"{name}, of the sender"))
    return known
