"""Execution traces of Chakra: every span is a node, every message two, and everything depends on what it waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.trace import write_trace
from parasim_core.sim.engine.timeline import Kind
from tests.parasim.command_line import refused, run

SCENARIO: dict[str, Any] = {
    "rounds": 3,
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "fleet": [{"count": 3, "uplink": "20MB/s"}],
}
VARINT, LENGTH = 0, 2


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a message as they are on the wire, by their numbers: whole numbers, and bytes of everything else."""
    place = 0

    def whole() -> int:
        nonlocal place
        number = shift = 0
        while True:
            byte = data[place]
            place += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while place < len(data):
        key = whole()
        assert key & 7 in (VARINT, LENGTH)
        value = whole()
        if key & 7 == VARINT:
            yield key >> 3, value
        else:
            yield key >> 3, data[place : place + value]
            place += value


def messages(path: Path) -> list[dict[int, list[Any]]]:
    """Messages of a file, each after its length."""
    found = []
    for body in bodies(path):
        message: dict[int, list[Any]] = {}
        for number, value in fields(body):
            message.setdefault(number, []).append(value)
        found.append(message)
    return found


def bodies(path: Path) -> list[bytes]:
    """The bytes of each message of a file."""
    data, found = path.read_bytes(), []
    while data:
        # Of 7 bits in each byte, the lowest first; the last byte is the first one below 128.
        width = next(place for place, byte in enumerate(data) if byte < 128) + 1
        (size,) = varints(data[:width])
        found.append(data[width : width + size])
        data = data[width + size :]
    return found


def varints(data: bytes) -> list[int]:
    """Whole numbers one after the other."""
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number)
            number = shift = 0
    return numbers


def attributes(message: dict[int, list[Any]], number: int) -> dict[str, Any]:
    """A message's attributes by name: 1 is the name, any other field the value."""
    found = {}
    for raw in message.get(number, ()):
        parts = dict(fields(raw))
        name = bytes(parts.pop(1)).decode()  # type: ignore[arg-type]
        (found[name],) = parts.values()
    return found


def nodes(path: Path) -> list[dict[str, Any]]:
    """Nodes of a file: as the published schema numbers their fields."""
    first, *rest = messages(path)
    assert first[1] == [b"0.0.4"]
    return [
        {
            "id": node.get(1, [0])[0],
            "name": node[2][0].decode(),
            "type": node[3][0],
            "deps": varints(b"".join(node.get(5, []))),
            "start": node.get(6, [0])[0],
            "duration": node.get(7, [0])[0],
            **attributes(node, 10),
        }
        for node in rest
    ]


@pytest.fixture
def _installed() -> None:
    pytest.importorskip("google.protobuf")


def traced(tmp_path: Path, **more: Any) -> tuple[Any, list[list[dict[str, Any]]]]:
    """A run, and the nodes of each of its files."""
    result = parasim.simulate({**SCENARIO, **more})
    write_trace(result, tmp_path / "run.et")
    files = sorted(tmp_path.glob("run.*.et"), key=lambda path: int(path.name.split(".")[1]))
    return result, [nodes(file) for file in files]


@pytest.mark.usefixtures("_installed")
def test_one_round_of_fedbcd_by_hand(tmp_path: Path):
    # Three clients each compute 10 s and send 100 MB at 20 MB/s, 5 s; then the server aggregates. Ranks: 0 to 2, and 3.
    _, ranks = traced(tmp_path, rounds=1, method="fedbcd", blocks={"count": 2})
    assert len(ranks) == 4
    for client in range(3):
        compute, send = ranks[client]
        assert (compute["name"], compute["type"], compute["deps"]) == ("compute 1", 4, [])
        assert (compute["start"], compute["duration"]) == (0, 10_000_000)
        assert (send["name"], send["type"], send["deps"]) == ("upload 1", 5, [compute["id"]])
        assert (send["start"], send["duration"]) == (10_000_000, 5_000_000)
        assert (send["comm_src"], send["comm_dst"], send["comm_size"]) == (client, 3, 100_000_000)
    *received, aggregate = ranks[3]
    assert [(node["name"], node["type"], node["comm_src"]) for node in received] == [
        ("upload 1", 6, 0), ("upload 1", 6, 1), ("upload 1", 6, 2),
    ]  # fmt: skip
    assert (aggregate["name"], aggregate["type"]) == ("aggregate 1", 4)
    assert aggregate["deps"] == [node["id"] for node in received]


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    "more",
    [
        {"method": "parablock", "blocks": {"count": 2}},
        {"method": "fedit"},
        {"method": "fedcybgd", "blocks": {"count": 3}, "rounds": 6},
        {"method": {"name": "fedbuff", "buffer": 2}},
        {
            "method": "fedbcd",
            "blocks": {"count": 2},
            "regions": {"eu": {"uplink": "1GB/s", "aggregates": False}, "us": {"uplink": "1GB/s", "aggregates": True}},
            "fleet": [
                {"count": 2, "uplink": "20MB/s", "region": "eu"},
                {"count": 2, "uplink": "20MB/s", "region": "us"},
            ],
        },
    ],
    ids=lambda more: str(more["method"]) + "regions" * ("regions" in more),
)
def test_every_span_and_every_cause_is_there(more: dict[str, Any], tmp_path: Path):
    result, ranks = traced(tmp_path, **more)
    spans = result.timeline.spans
    messages = [span for span in spans if span.kind in (Kind.UPLOAD, Kind.DOWNLOAD)]
    every = [node for rank in ranks for node in rank]
    # A span of alike clients stands for each of them.
    of = [result.counts.get(span.client, 1) for span in spans]
    assert sum(node["type"] == 4 for node in every) == sum(of) - sum(
        count for span, count in zip(spans, of, strict=True) if span in messages
    )
    sent, received = (
        sorted(
            (node["comm_tag"] or 0, node["comm_src"] or 0, node["comm_dst"] or 0)
            for node in every
            if node["type"] == kind
        )
        for kind in (5, 6)
    )
    assert sent == received
    assert len(sent) > 0
    for rank in ranks:
        by_number = {node["id"]: node for node in rank}
        for node in rank:
            # Whoever runs the nodes in their order has run what each depends on, and that is over.
            assert all(number < node["id"] for number in node["deps"])
            ends = [by_number[number]["start"] + by_number[number]["duration"] for number in node["deps"]]
            assert (
                all(end <= node["start"] + 1 for end in ends) or "download" in node["name"] or "upload" in node["name"]
            )
    # What started later than at the beginning waited for something of its own rank, or came as a message.
    assert all(node["deps"] or node["start"] == 0 or node["type"] == 6 for node in every)


@pytest.mark.usefixtures("_installed")
def test_from_the_command_line(tmp_path: Path):
    outcome = run("simulate", Path(__file__).parents[2] / "examples" / "paper.yaml", "--trace", tmp_path / "run.et")
    assert outcome.status == 0, outcome.err
    ranks = len(list(tmp_path.glob("run.*.et")))
    assert (
        f"Trace: {tmp_path / 'run.0.et'} to run.{ranks - 1}.et, a file for each client, then the server" in outcome.out
    )


@pytest.mark.usefixtures("_installed")
def test_too_many_clients_for_a_file_each(tmp_path: Path):
    path = tmp_path / "many.yaml"
    path.write_text(
        "compute: {seconds: 1}\npayload: {upload: 1MB}\nrounds: 1\nfleet: [{count: 10001}]\nmethod: fedit\n"
    )
    message = refused("simulate", path, "--trace", tmp_path / "run.et")
    assert "would be a file for each of 10,001 clients; there are at most 10,000" in message
    assert not list(tmp_path.glob("*.et"))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    path = tmp_path / "one.yaml"
    path.write_text("compute: {seconds: 1}\npayload: {upload: 1MB}\n")
    message = refused("simulate", path, "--trace", tmp_path / "run.et")
    assert message.startswith("--trace FILE.et needs the extra 'chakra': pip install ")


@pytest.mark.usefixtures("_installed")
def test_the_library_reads_it(tmp_path: Path):
    from parasim.trace.chakra_schema import GlobalMetadata, Node

    traced(tmp_path, method="fedit", rounds=1)
    file = tmp_path / "run.3.et"
    read = GlobalMetadata.FromString(bodies(file)[0])
    assert (read.version, {one.name: one.string_val for one in read.attr}["actor"]) == ("0.0.4", "server")
    assert [node.name for node in map(Node.FromString, bodies(file)[1:])] == [node["name"] for node in nodes(file)]
