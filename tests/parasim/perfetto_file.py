"""Reading Perfetto's protobuf back, knowing the format and nothing of what wrote it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Value = int | bytes


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Numbers and contents of a message's fields: wire types 0 (varint), 1 (eight bytes) and 2 (bytes)."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        length = 8 if key & 7 == 1 else varint()
        assert key & 7 in (1, 2)
        yield key >> 3, message[position : position + length]
        position += length
    assert position == len(message)


def grouped(message: bytes) -> dict[int, list[Any]]:
    """Contents of a message's fields by number."""
    found: dict[int, list[Any]] = {}
    for number, value in fields(message):
        found.setdefault(number, []).append(value)
    return found


def read(path: Path) -> dict[str, Any]:
    """Processes and tracks by uuid, slices with their arrows, and levels of counters, all as plain data."""
    processes: dict[int, str] = {}
    tracks: dict[int, dict[str, Any]] = {}
    slices: list[dict[str, Any]] = []
    levels: list[tuple[int, int, int]] = []
    under_way: dict[int, dict[str, Any]] = {}
    for number, content in fields(path.read_bytes()):
        assert number == 1
        packet = grouped(content)
        for descriptor in map(grouped, packet.get(60, ())):
            [uuid] = descriptor[1]
            assert uuid not in processes
            assert uuid not in tracks
            if 3 in descriptor:
                [about] = map(grouped, descriptor[3])
                assert about[1] == [uuid]
                processes[uuid] = about[6][0].decode()
            else:
                tracks[uuid] = {
                    "name": descriptor[2][0].decode(),
                    "process": descriptor[5][0],
                    "counter": 8 in descriptor,
                }
        for event in map(grouped, packet.get(11, ())):
            [time], [track], [kind] = packet[8], event[11], event[9]
            if kind == 4:
                levels.append((track, time, event[30][0]))
            elif kind == 1:
                assert track not in under_way
                under_way[track] = {
                    "track": track,
                    "name": event[23][0].decode(),
                    "start": time,
                    "facts": dict(map(_annotation, event.get(4, ()))),
                    "begins": [struct.unpack("<Q", value)[0] for value in event.get(47, ())],
                    "ends": [struct.unpack("<Q", value)[0] for value in event.get(48, ())],
                }
            else:
                assert kind == 2
                slices.append(under_way.pop(track) | {"end": time})
    assert not under_way
    return {"processes": processes, "tracks": tracks, "slices": slices, "levels": levels}


def _annotation(message: bytes) -> tuple[str, Any]:
    [name], *values = grouped(message).values()
    [[value]] = values
    return name.decode(), value.decode() if isinstance(value, bytes) else value
