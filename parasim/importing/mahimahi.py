"""Traces of Mahimahi: one time in ms a line, at which one packet of 1500 bytes may pass."""

from __future__ import annotations

import re
from math import ceil

from parasim.importing.content import Content
from parasim.importing.measurement import Measurement, Rate, bits, checked_rate

PACKET = 1500
"""Bytes that one line lets pass [B], headers of TCP and IP included."""
_LIKE_ONE = re.compile(r"\s*\d+[ \t]*\n\s*\d+[ \t]*(?:\n|$)")


def read(content: Content) -> list[Measurement] | None:
    """Read a trace; None if it is none. It does not say which direction it is of.

    Raises
    ------
    ValueError
        If it is one, and wrong.
    """
    if not _LIKE_ONE.match(content.text):
        return None
    times: list[int] = []
    last = 0
    for line, word in enumerate(content.text.splitlines(), 1):
        if not (word := word.strip()):
            continue
        if not (word.isascii() and word.isdigit() and len(word) < 13):
            raise ValueError(f"line {line}: a trace of Mahimahi has one whole number of ms a line, not {word[:30]!r}")
        time = int(word)
        if time < last:
            raise ValueError(f"line {line}: times must not go back, but {time} follows {last}")
        times.append(time)
        last = time
    if not last:
        raise ValueError("the trace of Mahimahi ends at 0 ms, so that no rate follows")
    seconds = last / 1000
    mean = checked_rate(len(times) * PACKET / seconds, "mean rate")
    how = f"{bits(mean)}, mean of a trace of Mahimahi of {seconds:g} s, with all headers"
    return [Measurement("trace", uplink=Rate(mean, how, False, _course(times), seconds))]


def _course(times: list[int]) -> tuple[tuple[float, float], ...]:
    """Rates of each second of a trace; the last one may be shorter."""
    last = times[-1]
    packets = [0] * ceil(last / 1000)
    for time in times:
        # What may pass when the trace ends belongs to its last second.
        packets[min(time // 1000, len(packets) - 1)] += 1
    return tuple(
        (float(second), count * PACKET * 1000 / (min(1000 * (second + 1), last) - 1000 * second))
        for second, count in enumerate(packets)
    )
