"""The server behind the page: whom it answers, what it refuses, and how it ends."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import pytest

from tests.parasim.app.serving import App, serving
from tests.parasim.command_line import refused

MISSING = [package for package in ("starlette", "uvicorn") if find_spec(package) is None]
needs_extra = pytest.mark.skipif(bool(MISSING), reason=f"the extra 'app' is not installed: {', '.join(MISSING)}")
SMALL = {"model": "llama-3-8b", "compute": {"seconds": 30}, "rounds": 2}


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with serving() as running:
        yield running


def test_without_the_extra_a_line_says_how_to_install_it():
    with mock.patch("parasim.cli.app.find_spec", return_value=None):
        message = refused("app")
    assert "pip install" in message
    assert "starlette" in message


@needs_extra
def test_a_wrong_file_is_refused_before_anything_is_served(tmp_path: Path):
    file = tmp_path / "wrong.yaml"
    file.write_text("rounds: x")
    assert "rounds: must be a number" in refused("app", file)
    assert "unknown field" in refused("app", "--set", "nonsense=1")


@needs_extra
def test_a_taken_port_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in refused("app", "--port", port)
    assert "no.such.host.invalid" in refused("app", "--host", "no.such.host.invalid", "--port", 0)


@needs_extra
def test_the_page_and_its_files(app: App):
    status, body, headers = app.get()
    assert status == 200
    assert b"<title>paraSim</title>" in body
    # Nothing comes from elsewhere, and nothing goes there.
    assert "default-src 'none'" in headers["content-security-policy"]
    assert app.address.startswith("http://127.0.0.1:")
    assert app.get("static/main.js")[0] == 200
    assert app.get("static/../server.py")[0] == 404


@needs_extra
def test_other_names_are_not_answered(app: App):
    # Another page may have a name of its own lead here; the browser then says that name.
    assert app.get(Host="evil.example")[0] == 400


@needs_extra
def test_a_question_is_answered(app: App):
    status, found = app.ask("run", {"fields": SMALL})
    assert status == 200
    assert found["figures"]["rounds"] == 2


@needs_extra
def test_what_is_wrong_with_a_scenario_is_an_answer(app: App):
    status, found = app.ask("run", {"fields": SMALL | {"rounds": 0}})
    assert status == 200
    assert found["problems"][0]["field"] == "rounds"


@needs_extra
@pytest.mark.parametrize(
    ("name", "asked", "headers", "status"),
    [
        ("nothing", {}, {}, 404),
        # What a page of somebody else's may send without asking leave.
        ("run", {"fields": SMALL}, {"Content-Type": "text/plain"}, 415),
        ("run", b"{", {}, 400),
        ("run", b"[" * 100_000, {}, 400),
        ("run", [], {}, 400),
        ("run", {"fields": 3}, {}, 400),
        ("run", b"{", {"Content-Length": str(17 * 2**20)}, 413),
    ],
)
def test_what_is_no_question_is_refused(app: App, name: str, asked: object, headers: dict[str, str], status: int):
    told, found = app.ask(name, asked, **headers)
    assert told == status
    assert found["problems"][0]["text"]


@needs_extra
def test_two_at_once_have_their_own_answers(app: App):
    found: dict[int, float] = {}

    def ask(rounds: int) -> None:
        found[rounds] = app.ask("run", {"fields": SMALL | {"rounds": rounds}})[1]["figures"]["rounds"]

    threads = [threading.Thread(target=ask, args=(rounds,)) for rounds in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {rounds: rounds for rounds in range(1, 9)}


@needs_extra
def test_it_begins_with_a_file_whose_traces_lie_beside_it(tmp_path: Path):
    (tmp_path / "trace.csv").write_text("seconds,uplink_mbit_s\n0,8\n10,16\n")
    file = tmp_path / "mine.yaml"
    file.write_text("model: llama-3-8b\nrounds: 2\ncompute: {seconds: 30}\nfleet: [{uplink: {trace: trace.csv}}]\n")
    with serving(file, "--set", "rounds=3", folder=Path("/")) as running:
        _, body, _ = running.get("begin")
        assert b"mine.yaml" in body
        beginning = json.loads(body)
        fields = beginning["points"][beginning["start"]]
        assert fields["rounds"] == 3
        assert running.ask("run", {"fields": fields, "timeline": True})[1]["figures"]["rounds"] == 3


@needs_extra
def test_an_interruption_ends_it_whatever_is_being_computed():
    with serving() as running:
        running.ask("run", {"fields": SMALL})
        # A question that takes longer than the test.
        long = {"fields": SMALL | {"rounds": 200_000, "method": "fedbuff"}, "timeline": True}
        threading.Thread(target=_in_vain, args=(running, long), daemon=True).start()
        status, err = running.interrupt()
    assert status == 130
    assert err == "paraSim: interrupted\n"


def _in_vain(running: App, asked: object) -> None:
    with suppress(OSError):
        running.ask("run", asked)
