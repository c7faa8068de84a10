"""Traces in Perfetto's own format: a sequence of protobuf packets, in nanoseconds and much smaller than JSON.

The few fields that are needed are encoded here: the package `perfetto` is made for reading traces and brings all of
its messages along, and messages compiled by oneself would have to be kept in step with the package `protobuf`.
Numbers of fields are those of `trace_packet.proto`, `track_event.proto` and their like in Perfetto's sources.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from parasim.trace.recording import Process, Slice, Trace

_SEQUENCE = 1
_BEGIN, _END, _COUNTER = 1, 2, 4
_IN_GIVEN_ORDER = 3


class TracePacket:
    """Numbers of the fields of a packet."""

    TIMESTAMP, SEQUENCE, TRACK_EVENT, TRACK_DESCRIPTOR = 8, 10, 11, 60


class TrackDescriptor:
    """Numbers of the fields that describe a process, a track or a counter."""

    UUID, NAME, PROCESS, PARENT, COUNTER, CHILD_ORDERING, RANK = 1, 2, 3, 5, 8, 11, 12
    PROCESS_PID, PROCESS_NAME = 1, 6
    COUNTER_UNIT = 6


class TrackEvent:
    """Numbers of the fields of an event."""

    ANNOTATION, TYPE, TRACK, NAME, COUNTER_VALUE, ARROWS, LAST_OF_ARROWS = 4, 9, 11, 23, 30, 47, 48
    ANNOTATION_NAME, ANNOTATION_WHOLE, ANNOTATION_NUMBER, ANNOTATION_TEXT = 10, 4, 5, 6


def write_perfetto(file: BinaryIO, trace: Trace) -> None:
    """Write a trace as Perfetto's protobuf.

    Parameters
    ----------
    file : binary file
        Where to write.
    trace : Trace
        What to write.
    """
    for rank, process in enumerate(trace.processes()):
        for descriptor in _descriptors(process, rank):
            _packet(file, _bytes(TracePacket.TRACK_DESCRIPTOR, descriptor))
    for slice_ in trace.slices():
        on = _whole(TrackEvent.TRACK, slice_.track)
        _event(file, slice_.start, _whole(TrackEvent.TYPE, _BEGIN) + on + _details(slice_))
        _event(file, slice_.end, _whole(TrackEvent.TYPE, _END) + on)
    for level in trace.levels():
        content = _whole(TrackEvent.TYPE, _COUNTER) + _whole(TrackEvent.TRACK, level.track)
        _event(file, level.time, content + _whole(TrackEvent.COUNTER_VALUE, level.value))


def _descriptors(process: Process, rank: int) -> list[bytes]:
    about = _whole(TrackDescriptor.PROCESS_PID, process.number) + _text(TrackDescriptor.PROCESS_NAME, process.name)
    descriptors = [
        _whole(TrackDescriptor.UUID, process.number)
        + _bytes(TrackDescriptor.PROCESS, about)
        + _whole(TrackDescriptor.CHILD_ORDERING, _IN_GIVEN_ORDER)
        + _whole(TrackDescriptor.RANK, rank)
    ]
    for index, track in enumerate([*process.counters, *process.tracks]):
        unit = _bytes(TrackDescriptor.COUNTER, _text(TrackDescriptor.COUNTER_UNIT, "B/s"))
        descriptors.append(
            _whole(TrackDescriptor.UUID, track.number)
            + _whole(TrackDescriptor.PARENT, process.number)
            + _text(TrackDescriptor.NAME, track.name)
            + (unit if track in process.counters else b"")
            + _whole(TrackDescriptor.RANK, index)
        )
    return descriptors


def _details(slice_: Slice) -> bytes:
    content = [_text(TrackEvent.NAME, slice_.name)]
    for name, value in slice_.facts.items():
        content.append(_bytes(TrackEvent.ANNOTATION, _text(TrackEvent.ANNOTATION_NAME, name) + _value(value)))
    content += (_fixed(TrackEvent.ARROWS, arrow.number) for arrow in slice_.begins)
    content += (_fixed(TrackEvent.LAST_OF_ARROWS, number) for number in slice_.ends)
    return b"".join(content)


def _value(value: int | float | str) -> bytes:
    if isinstance(value, str):
        return _text(TrackEvent.ANNOTATION_TEXT, value)
    if isinstance(value, int):
        return _whole(TrackEvent.ANNOTATION_WHOLE, value)
    return _key(TrackEvent.ANNOTATION_NUMBER, 1) + struct.pack("<d", value)


def _event(file: BinaryIO, time: int, content: bytes) -> None:
    timestamp, sequence = _whole(TracePacket.TIMESTAMP, time), _whole(TracePacket.SEQUENCE, _SEQUENCE)
    _packet(file, timestamp + sequence + _bytes(TracePacket.TRACK_EVENT, content))


def _packet(file: BinaryIO, content: bytes) -> None:
    # A trace is itself a message, whose only field, number 1, are its packets.
    file.write(_bytes(1, content))


def _varint(value: int) -> bytes:
    """Encode a whole number that is not negative: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _whole(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value)


def _fixed(field: int, value: int) -> bytes:
    return _key(field, 1) + struct.pack("<Q", value)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())
