"""`iperf3 --json` and `--json-stream`: rates at the receiver, round trips and congestion control at the sender.

The machine that ran the iperf3 client is taken for the federated client, whichever of the two wrote the file. Without
`--reverse` it sends, so that its uplink is measured; with `--bidir` both directions are, at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parasim.importing.content import Content
from parasim.importing.measurement import (
    LARGEST_RATE,
    Direction,
    Measurement,
    Rate,
    RoundTrip,
    bits,
    check_times,
    checked_rate,
    checked_time,
    entries,
    mean_of,
    milliseconds,
    named,
    number,
    public,
    section,
)
from parasim_core.sim.errors import brief

_REVERSE = "_bidir_reverse"
"""Ending of the names under which a test of both directions has what the server sends."""


def read(content: Content) -> list[Measurement] | None:
    """Read a test; None if it is none.

    Raises
    ------
    ValueError
        If it is one, and wrong; or if the test failed.
    """
    document = _document(content.documents)
    if document is None:
        return None
    if error := document.get("error"):
        raise ValueError(f"the test of iperf3 failed: {brief(str(error), 200)}")
    return [_Test(document).measurement()]


def _document(documents: tuple[Any, ...]) -> Mapping[str, Any] | None:
    """Return the document of a test, from the events of `--json-stream` if need be."""
    found = [document for document in documents if isinstance(document, dict)]
    for document in found:
        if document.keys() >= {"start", "end"} and "intervals" in document:
            return document
    events = [document for document in found if document.keys() >= {"event", "data"}]
    if not events or len(events) < len(documents):
        return None
    by_name = {str(event["event"]): event["data"] for event in events}
    if "error" not in by_name and not by_name.keys() >= {"start", "end"}:
        raise ValueError("the stream of iperf3 has no end; the test was broken off")
    return by_name | {"intervals": [event["data"] for event in events if event["event"] == "interval"]}


class _Test:
    """One test.

    Attributes
    ----------
    by_server : bool
        Whether the server wrote the file.
    directions : dict of str to str
        Directions that were measured, with the ending of the names of their sums.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.start, self.end = section(document, "start"), section(document, "end")
        self.test = section(self.start, "test_start")
        self.udp = str(self.test.get("protocol", "TCP")).upper() == "UDP"
        self.by_server = "accepted_connection" in self.start
        both = any(name.endswith(_REVERSE) for name in self.end)
        first: Direction = "downlink" if self.test.get("reverse") and not both else "uplink"
        self.directions: dict[Direction, str] = {first: ""} | ({"downlink": _REVERSE} if both else {})
        self.notes: list[str] = []

    def measurement(self) -> Measurement:
        """All that the test tells."""
        rates = {direction: self._rate(direction, ending) for direction, ending in self.directions.items()}
        round_trip, control = self._round_trip(), self._control()
        resent = sum(
            int(number(section(self.end, f"sum_sent{end}"), "retransmits") or 0) for end in self.directions.values()
        )
        lost = any(number(section(self.end, f"sum{end}"), "lost_percent") for end in self.directions.values())
        if resent:
            self.notes.append(f"{resent:,} retransmissions are not taken for loss: the test fills the link itself")
        if lost:
            self.notes.append("lost datagrams are not taken for loss: the test fills the link itself")
        if len(rates) > 1:
            self.notes.append(
                "both directions were measured at once, so each had the other's acknowledgements to carry"
            )
        client, server = self._ends()
        title = self.document.get("title")
        return Measurement(
            "iperf3",
            rates.get("uplink"),
            rates.get("downlink"),
            round_trip,
            control=control,
            name=brief(title, 100) if isinstance(title, str) else "",
            machine=client,
            server=server,
            notes=tuple(self.notes),
        )

    def _rate(self, direction: Direction, ending: str) -> Rate:
        """Rate of one direction, at its receiver."""
        received, plain = section(self.end, f"sum_received{ending}"), section(self.end, f"sum{ending}")
        sent = section(self.end, f"sum_sent{ending}") or plain
        rate, where = number(received, "bits_per_second", f"end.sum_received{ending}"), "at the receiver"
        if not rate and self.udp and plain:
            # Before version 3.12, the only sum is of what was sent.
            share = (number(plain, "lost_percent", f"end.sum{ending}") or 0.0) / 100
            rate = (number(plain, "bits_per_second", f"end.sum{ending}") or 0.0) * max(0.0, 1 - share)
        elif not rate and self.by_server and direction == "downlink":
            rate = number(sent, "bits_per_second", f"end.sum_sent{ending}")
            where = "at the sender, as the server does not know what arrived"
        if not rate:
            at = "nothing arrived" if received or plain else "holds no sum of what arrived"
            raise ValueError(f"{at} (end.sum_received{ending})")
        mean = checked_rate(rate / 8, f"end.sum_received{ending}.bits_per_second")
        seconds = number(received or sent, "seconds") or number(received or sent, "end")
        streams = int(number(self.test, "num_streams", "start.test_start") or 1)
        held_to = number(self.test, "target_bitrate") or number(self.start, "target_bitrate") or 0.0
        if held_to and rate > 0.9 * held_to * streams:
            self.notes.append(
                f"the {direction} was held to {bits(held_to * streams / 8)} (--bitrate) and may be faster"
            )
        over = f" over {seconds:.3g} s" if seconds else ""
        many = f", {streams} streams" if streams > 1 else ""
        how = f"{bits(mean)} {where}{over} of {'UDP' if self.udp else 'TCP'}{many}"
        course, period, at_receiver = self._course(direction, ending)
        seen, doubt = mean_of(course, period) if course else 0.0, ""
        if seen and not at_receiver:
            # What the sender's buffer swallows at first does not arrive in that second; the sum is right again.
            course = tuple((time, value * mean / seen) for time, value in course)
            doubt = (
                f"the seconds of the {direction} are the sender's, scaled to what arrived; "
                "iperf3 --get-server-output tells those of the receiver"
            )
        if max((value for _, value in course), default=0.0) > LARGEST_RATE:
            raise ValueError(f"intervals.sum{ending}.bits_per_second: holds a rate that no link has")
        return Rate(mean, how, not self.udp, course, period, doubt)

    def _course(self, direction: Direction, ending: str) -> tuple[tuple[tuple[float, float], ...], float, bool]:
        """Rates of the intervals, when they end, and whether the receiver saw them, as one of the machines told."""
        at_receiver = (direction == "uplink") == self.by_server
        intervals = entries(self.document, "intervals")
        other = self.document.get("server_output_json")
        if not at_receiver and isinstance(other, dict) and (theirs := entries(other, "intervals")):
            intervals, at_receiver = theirs, True
        sums = [section(interval, f"sum{ending}") for interval in intervals]
        sums = [one for one in sums if one and not one.get("omitted")]
        if not sums:
            return (), 0.0, at_receiver
        place = f"intervals.sum{ending}"
        figures = [[number(one, name, place) for name in ("start", "end", "bits_per_second")] for one in sums]
        rows = [(a, b, rate) for a, b, rate in figures if a is not None and b is not None and rate is not None]
        if len(rows) < len(figures):
            raise ValueError(f"{place}: start, end and bits_per_second belong together")
        begin, end = rows[0][0], checked_time(rows[-1][1], f"{place}.end")
        check_times([*(row[0] for row in rows), end], f"{place}.start")
        return tuple((a - begin, rate / 8) for a, _, rate in rows), end - begin, at_receiver

    def _round_trip(self) -> RoundTrip | None:
        """Least round trip that the sender's TCP saw: later ones wait in queues that the test itself fills."""
        streams = entries(self.end, "streams")
        seen = [number(section(stream, "sender"), "min_rtt", "end.streams.sender") for stream in streams]
        if not any(seen):
            below = (
                stream for interval in entries(self.document, "intervals") for stream in entries(interval, "streams")
            )
            seen = [number(stream, "rtt", "intervals.streams") for stream in below]
        least = min((time for time in seen if time), default=None)
        if least is None:
            return None
        if str(self.start.get("system_info", "")).startswith("Darwin"):
            self.notes.append("round trips of iperf3 on macOS are not in the unit that they claim, and are not taken")
            return None
        seconds = checked_time(least / 1e6, "end.streams.sender.min_rtt")
        return RoundTrip(
            seconds, f"{milliseconds(seconds)}, the least that TCP saw during the test, some of its own queue included"
        )

    def _control(self) -> dict[Direction, str]:
        """Congestion control of the senders."""
        control: dict[Direction, str] = {}
        sender, receiver = (self.end.get(f"{who}_tcp_congestion") for who in ("sender", "receiver"))
        # In a test of both directions, iperf3 calls the server the sender, whoever wrote the file.
        both: list[tuple[Direction, object]] = [("uplink", receiver), ("downlink", sender)]
        ends = both if len(self.directions) > 1 else [(direction, sender) for direction in self.directions]
        for direction, name in ends:
            if isinstance(name, str) and name:
                control[direction] = brief(name, 40)
        return control

    def _ends(self) -> tuple[frozenset[str], frozenset[str]]:
        """Names and addresses of the iperf3 client and of its server."""
        connected = next(iter(entries(self.start, "connected")), {})
        words = str(self.start.get("system_info", "")).split()
        here = named(*words[1:2]) | public(connected.get("local_host"))
        there = named(connected.get("remote_host"), section(self.start, "connecting_to").get("host"))
        if self.by_server:
            accepted = section(self.start, "accepted_connection").get("host")
            return public(accepted, connected.get("remote_host")), here | named(connected.get("local_host"))
        return here, there
