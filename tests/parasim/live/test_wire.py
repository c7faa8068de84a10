"""Whatever a stranger sends is refused in one line, on both sides."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("grpc")

from parasim.live import wire
from parasim.live.agent import Agent, Allowed, capacity_of, course_of, listen
from parasim.live.wire import Caller, LiveError, Secrets
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.network.capacity import Course, Varying

TOKEN = "a token of the tests"


class Recorder:
    """A trainee that notes what it is told."""

    largest = 2_000_000

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def train(self, told: dict) -> dict:
        return {"seconds": 1.0, "loss": 2.0}

    def message(self, told: dict) -> bytes:
        return b"x" * 1_000_000

    def take(self, header: dict, data: bytes) -> None:
        self.taken.append(data)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def trainee() -> Recorder:
    return Recorder()


@pytest.fixture
def address(said: list[str], trainee: Recorder) -> Iterator[str]:
    agent = Agent(Allowed(("demo",), ("digits",)), lambda client, scenario: trainee, said.append)
    server, port = listen("127.0.0.1:0", Secrets(TOKEN), agent, said.append)
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture
def caller(address: str) -> Iterator[Caller]:
    caller = Caller(address, Secrets(TOKEN), "client 0")
    yield caller
    caller.close()


SCENARIO = {"model": "demo", "train": {"data": {"source": "digits"}}}


def hello(caller: Caller, scenario: dict | None = None, **more: object) -> dict:
    return caller.command("hello", 10, **{"client": 0, "scenario": scenario or SCENARIO, "dry": False, **more})


def test_a_wrong_token_is_refused(address: str, said: list[str]) -> None:
    stranger = Caller(address, Secrets("another token, wrong"), "client 0")
    for call in (
        lambda: stranger.command("clock", 10),
        lambda: list(stranger.upload({"bytes": 1}, 10)),
        lambda: stranger.download({"bytes": 0}, iter(()), 10),
    ):
        with pytest.raises(LiveError, match="the token is wrong"):
            call()
    assert said == ["the token is wrong"] * 3
    stranger.close()


def test_another_version_of_the_protocol_is_refused(caller: Caller, said: list[str]) -> None:
    caller._metadata = (caller._metadata[0], (caller._metadata[1][0], "77"))
    with pytest.raises(LiveError, match="protocol version 77 is not 1"):
        caller.command("clock", 10)
    assert len(said) == 1


def test_models_and_data_that_are_not_listed_are_refused(caller: Caller, said: list[str]) -> None:
    with pytest.raises(LiveError, match="model: 'gpt-2' is not among"):
        hello(caller, {**SCENARIO, "model": "gpt-2"})
    with pytest.raises(LiveError, match="'/etc/passwd' is not among"):
        hello(caller, {"model": "demo", "train": {"data": {"source": "/etc/passwd"}}})
    with pytest.raises(LiveError, match="is not among"):
        hello(caller, {"model": {"nested": "thing"}})
    assert all(line.startswith("refused: ") for line in said)


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("train.data.held_out", {"train": {"data": {"source": "digits", "held_out": "FILE"}}}),
        ("trace", {"fleet": [{"count": 2, "uplink": {"trace": "FILE"}}]}),
        ("trace", {"server": {"ingress": {"trace": "FILE"}}}),
        ("file", {"fleet": [{"count": 2, "uplink": "1MB/s", "availability": {"file": "FILE"}}]}),
    ],
)
def test_files_that_a_scenario_names_are_not_read(
    address: str, said: list[str], tmp_path: Path, field: str, more: dict
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("the secret of this machine\n")
    caller = Caller(address, Secrets(TOKEN), "client 0")
    scenario = json.loads(json.dumps({**SCENARIO, **more}).replace("FILE", str(secret)))
    with pytest.raises(LiveError, match=field) as refused:
        hello(caller, scenario)
    assert "the secret" not in f"{refused.value} {said}"
    caller.close()


def test_a_message_arrives_whole(caller: Caller, trainee: Recorder) -> None:
    hello(caller)
    data = bytes(range(256)) * 5_000
    caller.download({"bytes": len(data)}, wire.cut(data, lambda: 100_000), 10)
    assert trainee.taken == [data]
    assert sum(map(len, caller.upload({"bytes": 0, "round": 0}, 10))) == 1_000_000


@pytest.mark.parametrize(("announced", "sent", "why"), [(10, 5, "ended 5 bytes before"), (5, 10, "longer than the 5")])
def test_truncated_and_oversized_messages_are_refused(
    caller: Caller, trainee: Recorder, announced: int, sent: int, why: str
) -> None:
    hello(caller)
    with pytest.raises(LiveError, match=why):
        caller.download({"bytes": announced}, iter([bytes(sent)]), 10)
    assert trainee.taken == []


@pytest.mark.parametrize("size", [-1, 2_000_001, 2**60, "many", None, True, 1.5])
def test_sizes_that_are_none_are_refused(caller: Caller, size: object) -> None:
    hello(caller)
    with pytest.raises(LiveError):
        caller.download({"bytes": size}, iter(()), 10)


def test_a_piece_that_is_too_large_is_refused(caller: Caller) -> None:
    hello(caller)
    with pytest.raises(LiveError):
        caller.download({"bytes": 1 << 22}, iter([bytes(1 << 22)]), 10)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff\xfe", b'{"do": "clock"' + b" " * wire.LARGEST_COMMAND + b"}"]
)
def test_commands_that_are_no_json_objects_are_refused(caller: Caller, data: bytes) -> None:
    with pytest.raises(Exception, match=r"no JSON object|larger than max"):
        caller._command(data, timeout=10, metadata=caller._metadata)


@pytest.mark.parametrize("told", [{}, {"client": "0"}, {"client": 0, "scenario": []}, {"client": 0, "scenario": {}}])
def test_a_hello_that_lacks_something_is_refused(caller: Caller, told: dict) -> None:
    with pytest.raises(LiveError):
        caller.command("hello", 10, **told)


def test_nothing_else_is_done(caller: Caller) -> None:
    with pytest.raises(LiveError, match="'exec' is nothing that an agent does"):
        caller.command("exec", 10, code="print()")


def test_without_a_hello_nothing_is_sent(caller: Caller) -> None:
    hello(caller, dry=True)
    with pytest.raises(LiveError, match="seconds"):
        caller.command("train", 10, round=0, seconds=float(10**9))


def test_who_is_not_there_is_named() -> None:
    nobody = Caller("127.0.0.1:1", Secrets(TOKEN), "client 4")
    with pytest.raises(LiveError, match=r"client 4 \(127\.0\.0\.1:1\): cannot be reached"):
        nobody.connect(0.2)
    nobody.close()


def test_what_is_in_the_clear_goes_through_no_proxy(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    direct = Caller(address, Secrets(TOKEN), "client 0")
    # Nobody is at the proxy's address: what went there would not arrive.
    direct.connect(10)
    direct.close()


def test_only_loopback_is_spoken_with_in_the_clear() -> None:
    with pytest.raises(ScenarioError, match="--certificate"):
        wire.serve(None, "0.0.0.0:0", Secrets(TOKEN), ThreadPoolExecutor(1), print)
    with pytest.raises(ScenarioError, match="--authority"):
        Caller("192.0.2.1:7600", Secrets(TOKEN), "client 0")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_loopback_is_spoken_with_in_the_clear(host: str) -> None:
    assert wire.is_loopback(f"{host}:7600")


@pytest.mark.parametrize(
    "host", ["127.example.org", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0", "[::]", "10.0.0.1"]
)
def test_a_name_that_begins_like_loopback_is_not(host: str) -> None:
    with pytest.raises(ScenarioError, match="--authority"):
        Caller(f"{host}:7600", Secrets(TOKEN), "client 0")


@pytest.mark.parametrize("address", ["7600", "localhost", "localhost:", "host:port", "host:70000", ""])
def test_addresses_have_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ScenarioError, match="HOST:PORT"):
        wire.check_address(address, "--listen")


def test_a_link_is_described_and_read_again() -> None:
    varying = Varying(Course([0.0, 1.0], [1e6, 2e6], 3.0), 0.5, 2.0)
    read = capacity_of(course_of(varying))
    assert isinstance(read, Varying)
    assert [read.rate(t) for t in (0.0, 0.6, 2.6)] == [varying.rate(t) for t in (0.0, 0.6, 2.6)]
    assert capacity_of(course_of(3e6)) == 3e6
    assert capacity_of(course_of(float("inf"))) == float("inf")
    for other in ({}, [], {"times": [1], "rates": [1], "period": None}, {"times": "x", "rates": 3, "period": 0}):
        with pytest.raises(LiveError):
            capacity_of(other)
