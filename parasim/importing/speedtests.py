"""`speedtest-cli --json`, in bit/s, and Ookla's `speedtest -f json`, in bytes a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parasim.importing.content import Content
from parasim.importing.measurement import (
    Measurement,
    Rate,
    RoundTrip,
    bits,
    checked_rate,
    checked_time,
    milliseconds,
    number,
    public,
    section,
)
from parasim_core.sim.errors import brief


def read(content: Content) -> list[Measurement] | None:
    """Read a result; None if it is none.

    Raises
    ------
    ValueError
        If it is one, and wrong; or if the test failed.
    """
    documents = [document for document in content.documents if isinstance(document, dict)]
    results = [document for document in documents if document.get("type") == "result"]
    if len(results) > 1:
        raise ValueError(f"holds {len(results)} results of speedtest; give each a file of its own")
    if results:
        return [_ookla(results[0])]
    for document in documents:
        if document.keys() >= {"download", "upload"} and document.keys() & {"ping", "bytes_received"}:
            return [_speedtest_cli(document)]
        failure = document.get("message") if document.get("type") == "log" else None
        if failure or document.keys() == {"error"}:
            raise ValueError(f"speedtest failed: {brief(str(failure or document['error']), 200)}")
    return None


def _ookla(result: Mapping[str, Any]) -> Measurement:
    rates = {}
    for name in ("upload", "download"):
        rate = number(section(result, name), "bandwidth", name)
        elapsed = number(section(result, name), "elapsed", name)
        over = f" over {elapsed / 1000:.3g} s" if elapsed else ""
        rates[name] = _rate(rate, name, f"{name}.bandwidth of Ookla's speedtest{over}")
    ping, interface = section(result, "ping"), section(result, "interface")
    lost = number(result, "packetLoss")
    notes: tuple[str, ...] = ()
    if lost:
        notes = (f"packetLoss of {lost:.3g} % is not taken for loss: the test fills the link itself while it counts",)
    machine = frozenset[str]() if interface.get("isVpn") else public(interface.get("externalIp"))
    return _measurement(rates, number(ping, "latency", "ping"), "ping.latency", machine, notes)


def _speedtest_cli(result: Mapping[str, Any]) -> Measurement:
    rates = {}
    for name in ("upload", "download"):
        rate = number(result, name)
        rates[name] = _rate(rate and rate / 8, name, f"{name} of speedtest-cli")
    client = result.get("client")
    machine = public(client.get("ip")) if isinstance(client, dict) else frozenset[str]()
    return _measurement(rates, number(result, "ping"), "ping", machine, ())


def _rate(rate: float | None, name: str, how: str) -> Rate | None:
    """Rate of one direction; none where it was not measured, which is written as zero."""
    return Rate(checked_rate(rate, name), f"{bits(rate)}, {how}") if rate else None


def _measurement(
    rates: Mapping[str, Rate | None], ping: float | None, field: str, machine: frozenset[str], notes: tuple[str, ...]
) -> Measurement:
    if not any(rates.values()):
        raise ValueError("holds neither an upload nor a download")
    round_trip = None
    if ping is not None and ping > 0:
        seconds = checked_time(ping / 1000, field)
        round_trip = RoundTrip(seconds, f"{milliseconds(seconds)}, {field} to the nearest server of the test")
    return Measurement("speedtest", rates["upload"], rates["download"], round_trip, machine=machine, notes=notes)
