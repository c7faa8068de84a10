"""Traces as JSON, in the trace event format of Chrome, one event a line.

Times are whole microseconds: the viewer keeps nanoseconds and would round fractions in its own way, so that slices
which follow one another could overlap. Events of a slice follow it directly, because an arrow belongs to the slice
that was the last to begin on its track.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from parasim.trace.recording import Trace

_encode = json.JSONEncoder(separators=(",", ":")).encode
_ARROW = {"cat": "cause", "name": "cause"}


def write_chrome(file: BinaryIO, trace: Trace) -> None:
    """Write a trace as JSON.

    Parameters
    ----------
    file : binary file
        Where to write.
    trace : Trace
        What to write.
    """
    file.write(b'{"displayTimeUnit":"ms","traceEvents":[\n')
    separator = b""
    for event in _events(trace):
        file.write(separator + _encode(event).encode())
        separator = b",\n"
    file.write(b"\n]}\n")


def _events(trace: Trace) -> Iterator[dict[str, Any]]:
    server = None
    counters: dict[int, str] = {}
    for place, process in enumerate(trace.processes()):
        pid = process.number
        yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": process.name}}
        yield {"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": place}}
        for index, track in enumerate(process.tracks):
            on = {"ph": "M", "pid": pid, "tid": track.number}
            yield on | {"name": "thread_name", "args": {"name": track.name}}
            yield on | {"name": "thread_sort_index", "args": {"sort_index": index}}
        if process.counters:
            server, counters = pid, {track.number: track.name for track in process.counters}
    for slice_ in trace.slices():
        where = {"pid": slice_.process, "tid": slice_.track}
        start, end = slice_.start // 1000, slice_.end // 1000
        yield {"ph": "X", **where, "ts": start, "dur": end - start, "name": slice_.name, "args": slice_.facts}
        for number in slice_.ends:
            yield {"ph": "f", "bp": "e", **where, "ts": start, "id": number, **_ARROW}
        for arrow in slice_.begins:
            yield {"ph": "s", **where, "ts": arrow.time // 1000, "id": arrow.number, **_ARROW}
    for level in trace.levels():
        time, name = level.time // 1000, counters[level.track]
        yield {"ph": "C", "pid": server, "ts": time, "name": name, "args": {"B/s": level.value}}
