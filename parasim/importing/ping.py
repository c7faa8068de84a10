"""Output of ping: of Linux (iputils, busybox), macOS and BSD, and Windows, in whatever language.

What is looked for are the numbers and the signs around them, not the words, which are translated.
"""

from __future__ import annotations

import re

from parasim.importing.content import Content
from parasim.importing.measurement import Loss, Measurement, RoundTrip, checked_time, milliseconds, named, public
from parasim_core.sim.errors import brief

_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
# Every repetition is bounded, so that a hostile file takes no longer than others.
_COUNTED = re.compile(
    r"^[ \t]{0,20}(\d{1,9}) [^\d,%\n]{1,60}, (\d{1,9}) [^\d,%\n]{1,60}"
    r"(?:, [+-]\d{1,9}[^,%\n]{1,60}){0,5}, *[\d.]{1,12} ?%",
    re.MULTILINE,
)
"""``10 packets transmitted, 8 received, +2 errors, 20% packet loss``."""
_COUNTED_ON_WINDOWS = re.compile(
    r"= ?(\d{1,9})\W[^=\n]{1,60}= ?(\d{1,9})\W[^=\n]{1,60}= ?(\d{1,9})\s{0,40}\(\d{1,3} ?%"
)
"""``Sent = 4, Received = 3, Lost = 1 (25% loss)``; the share may stand in the next line."""
_TIMES = re.compile(rf"min/avg/max(?:/[\w-]{{1,10}})? = {_NUMBER}/{_NUMBER}/{_NUMBER}(?:/[\d.]{{1,20}})? ms")
_TIMES_ON_WINDOWS = re.compile(r"= ?(\d{1,9}) ?ms\W[^=\n]{1,60}= ?(\d{1,9}) ?ms\W[^=\n]{1,60}= ?(\d{1,9}) ?ms")
"""Least, largest and mean."""
_REPLY = re.compile(rf"[=<] ?{_NUMBER} ?ms\b")
_BEGIN = re.compile(r"^[ \t]{0,20}PING ([^\s(]{1,300})(?: ?\(([^)\s]{1,100})[)\s])?", re.MULTILINE)
_BEGIN_OF_SIX = re.compile(r"^[ \t]{0,20}PING6\([^)\n]{1,60}\) (\S{1,100}) --> (\S{1,100})", re.MULTILINE)
_BEGIN_ON_WINDOWS = re.compile(r"^[ \t]{0,20}Ping.{1,40} (\S{1,300}) \[(\S{1,100})\] ", re.MULTILINE)
_OF = re.compile(r"^[ \t]{0,20}(?:--- (\S{1,300}) ping6? |Ping[ -].{1,40} (\S{1,300}):$)", re.MULTILINE)
_FAILED = re.compile(r"^[ \t]{0,20}((?:ping6?: |Ping[ -]).{1,500})", re.MULTILINE)


def read(content: Content) -> list[Measurement] | None:
    """Read what ping printed; None if it is none of it.

    Raises
    ------
    ValueError
        If it is, and ping did not run.
    """
    text = content.text
    unix, windows = _COUNTED.search(text), _COUNTED_ON_WINDOWS.search(text)
    counted = unix or windows
    replies = [float(time) for time in _REPLY.findall(text[: counted.start()] if counted else text)]
    if counted is None and not (replies and (_BEGIN.search(text) or _BEGIN_OF_SIX.search(text))):
        failed = _FAILED.search(text)
        if failed is None:
            return None
        raise ValueError(f"ping did not run: {brief(failed[1], 200)}")
    machine, server = _ends(text)
    sent = received = 0
    if counted is not None:
        sent = int(counted[1])
        # A multicast is answered more often than it was sent.
        received = min(sent, int(counted[2]))
        if not sent:
            raise ValueError("ping sent nothing")
    if counted is windows and replies:
        # Windows counts a router's "unreachable" as received; only replies have times.
        received = min(received, len(replies))
    times = _TIMES.search(text)
    average = None
    if times is not None:
        average = float(times[2])
    elif windows is not None and (on_windows := _TIMES_ON_WINDOWS.search(text, windows.end())) is not None:
        average = float(on_windows[3])
    elif replies:
        average = sum(replies) / len(replies)
    if average is None or (sent and not received):
        why = f"no reply to {sent:,} packets came back" if sent else "no reply has a time"
        silent = f"{why}, so neither latency nor loss can be known (many networks let no ping through)"
        return [Measurement("ping", machine=machine, server=server, notes=(silent,))]
    seconds = checked_time(average / 1000, "mean of the round trips")
    many = received or len(replies)
    notes = []
    if average == 0:
        notes.append("Windows writes round trips below 1 ms as 0 ms")
    loss = None
    if sent:
        loss = Loss(
            (sent - received) / sent, f"{sent - received:,} of {sent:,} packets, there and back", sent - received, sent
        )
    else:
        notes.append("the summary is missing, so how many packets got lost is not known")
    round_trip = RoundTrip(seconds, f"{milliseconds(seconds)}, mean of {many:,} replies", many)
    return [Measurement("ping", round_trip=round_trip, loss=loss, machine=machine, server=server, notes=tuple(notes))]


def _ends(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Machine that sent, as far as its address says it, and machine that was asked."""
    asked = [pair for begin in (_OF, _BEGIN, _BEGIN_ON_WINDOWS) for pair in begin.findall(text[:100_000])]
    hosts = {host for pair in asked for host in pair}
    if (six := _BEGIN_OF_SIX.search(text)) is not None:
        return public(six[1]), named(six[2], *hosts)
    own = re.search(r"\) from (\S{1,100}) ", text)
    return public(own[1]) if own else frozenset(), named(*hosts)
