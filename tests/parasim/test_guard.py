"""What nobody foresaw ends in one line: foreign exceptions, streams that cannot be written, odd places to run from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import parasim
from parasim import Method, Trains, register
from parasim.cli.guard import without
from parasim.cli.main import main
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.workload.methods import METHODS
from tests.parasim.command_line import Outcome, refused, run

SMALL = """
rounds: 3
fleet: [{count: 3}]
payload: {upload: 1MB}
compute: {seconds: 1}
"""
HOME = Path(parasim.__file__).parents[1]
COMMAND = f"{sys.executable} -m parasim"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def shell(line: str, folder: Path, **variables: str) -> Outcome:
    """Run a line of a shell in a folder, with paraSim found as if it were installed."""
    environment = os.environ | {"PYTHONPATH": f"{HOME}:{HOME / 'examples'}"} | variables
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def one_line(outcome: Outcome, status: int) -> str:
    """What a command said as it ended."""
    assert outcome.status == status, outcome
    assert outcome.err.startswith("paraSim: ")
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("paraSim: ").removesuffix("\n")


class OwnError(BaseException):
    """Not even an `Exception`, as those of libraries in Rust; and with nothing to say."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


ERRORS = {
    "ZeroDivisionError": lambda: 1 / 0,
    "KeyError": lambda: {}["uplink"],
    "RecursionError": lambda: (lambda f: f(f))(lambda f: f(f)),
    "MemoryError": lambda: (_ for _ in ()).throw(MemoryError()),
    "OSError": lambda: (_ for _ in ()).throw(OSError("the licence server is away")),
    "ValueError": lambda: (_ for _ in ()).throw(ValueError("many\nlines\n" * 10_000)),
    "OwnError": lambda: (_ for _ in ()).throw(OwnError()),
}


@pytest.fixture(params=ERRORS)
def raised(request: pytest.FixtureRequest):
    """Register a user's method whose shape raises; the name of what it raises."""

    class Broken(Synchronous):
        def start(self) -> None:
            ERRORS[request.param]()

    register(Method("broken", Broken, Trains.EVERYTHING, "raises"))
    yield request.param
    del METHODS["broken"]


@pytest.mark.parametrize("command", ["simulate", "explain", "sweep"])
def test_a_users_own_shape_that_raises(command: str, raised: str, small: Path, tmp_path: Path):
    arguments = (command, small, "--set", "method=broken", "--out", tmp_path / "out")
    said = one_line(run(*arguments), 1)
    assert raised in said
    assert "--debug" in said
    assert len(said) < 500


@pytest.mark.parametrize("place", [0, 1, 4])
def test_the_traceback_is_shown_to_who_asks(place: int, small: Path, monkeypatch: pytest.MonkeyPatch):
    class Broken(Synchronous):
        def start(self) -> None:
            raise ZeroDivisionError("of my own")

    monkeypatch.setitem(METHODS, "broken", Method("broken", Broken, Trains.EVERYTHING, "raises"))
    arguments: list[object] = ["simulate", small, "--set", "method=broken"]
    outcome = run(*arguments[:place], "--debug", *arguments[place:])
    assert outcome.status == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert 'raise ZeroDivisionError("of my own")' in outcome.err
    assert outcome.err.splitlines()[-1].startswith("paraSim: unexpected ZeroDivisionError (test_guard.py, line ")


def test_options_that_go_with_all_commands_are_taken_out_wherever_they_stand():
    assert without("--debug", ["simulate", "--debug", "a"]) == (["simulate", "a"], True)
    assert without("--quiet", ["simulate", "a"]) == (["simulate", "a"], False)
    assert without("--debug", ["simulate", "--", "--debug"]) == (["simulate", "--", "--debug"], False)


@pytest.mark.parametrize("arguments", ["simulate small.yaml", "simulate small.yaml --format json", "list", "--help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_that_is_full(arguments: str, unbuffered: str, small: Path):
    outcome = shell(f"{COMMAND} {arguments} > /dev/full", small.parent, PYTHONUNBUFFERED=unbuffered)
    assert "standard output" in one_line(outcome, 2)


def test_results_are_complete_though_nothing_could_be_printed(small: Path):
    line = "sweep small.yaml --bandwidth 1MB/s,2MB/s --out out"
    assert shell(f"{COMMAND} {line} > /dev/full", small.parent).status == 2
    left = {path.name for path in (small.parent / "out").iterdir()}
    assert left == {"results.csv", "sweep.json", "runtime.png", "runtime.svg", "reproduce.json"}


def test_streams_that_are_closed(small: Path):
    assert "standard output is closed" in one_line(shell(f"{COMMAND} simulate small.yaml >&-", small.parent), 2)
    # Nothing of an error may end up among results.
    silent = shell(f"{COMMAND} simulate none.yaml 2>&-", small.parent)
    assert (silent.status, silent.out) == (2, "")
    # No file may take the place of a closed stream, and receive what somebody prints.
    for out, streams in (("out", ""), ("closed", "<&- 2>&-")):
        assert shell(f"{COMMAND} simulate small.yaml --out {out} {streams}", small.parent).status == 0
    for name in ("result.json", "timeline.csv"):
        assert (small.parent / "closed" / name).read_bytes() == (small.parent / "out" / name).read_bytes()


def test_a_reader_that_has_enough(small: Path):
    # More is printed than a pipe holds, of which one line is read.
    fleet = ", ".join(f"{{name: n{number}}}" for number in range(400))
    arguments = f"simulate small.yaml --format json --set 'fleet=[{fleet}]'"
    outcome = shell(f"{COMMAND} {arguments} | head -1; exit ${{PIPESTATUS[0]}}", small.parent)
    assert (outcome.status, outcome.out, outcome.err) == (1, "{\n", "")


def test_names_that_the_terminal_cannot_show(small: Path):
    outcome = shell(f"{COMMAND} simulate small.yaml --set name=größer", small.parent, PYTHONIOENCODING="ascii")
    assert outcome.status == 0
    assert outcome.out.startswith("gr\\xf6\\xdfer: ")


def test_a_current_folder_that_was_deleted(small: Path):
    gone = f"mkdir gone; cd gone; rmdir ../gone; {COMMAND}"
    for arguments in ("simulate ../small.yaml --out out", f"sweep {small}", "train", "calibrate --model demo"):
        assert "the current folder was deleted" in one_line(shell(f"{gone} {arguments}", small.parent), 2)
    assert shell(f"{gone} --help", small.parent).status == 0


def test_a_backend_of_matplotlib_that_does_not_exist(small: Path):
    outcome = shell(f"{COMMAND} explain small.yaml --out out", small.parent, MPLBACKEND="nonsense")
    assert outcome.status == 0, outcome.err
    assert (small.parent / "out" / "gantt.svg").exists()


@pytest.mark.parametrize("name", ["yaml", "numpy", "json", "csv", "random", "rich", "ruamel", "matplotlib", "PIL"])
def test_a_users_file_of_a_librarys_name(name: str, small: Path):
    (small.parent / f"{name}.py").write_text("raise SystemExit('the wrong file')\n")
    outcome = shell(f"{COMMAND} explain small.yaml --out out", small.parent)
    assert outcome.status == 0, outcome.err


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "small.yaml", "--out", LONG),
        ("simulate", "small.yaml", "--out", f"a/{LONG}/b"),
        ("simulate", "small.yaml", "--out", "a/" * 3000),
        ("simulate", "small.yaml", "--trace", f"{LONG}.json"),
        ("simulate", LONG),
        ("simulate", f"{LONG}.yaml"),
        ("simulate", "small.yaml", "--set", f"model={LONG}"),
        ("simulate", "model.yaml", "--set", f"compute.profile={LONG}"),
        ("simulate", "model.yaml", "--set", f"compute.profile={LONG}.json"),
        ("sweep", "small.yaml", "--out", LONG),
        ("plan", "small.yaml", "--hide-communication", "--out", LONG),
        ("report", LONG),
        ("report", "results", "--out", LONG),
        ("calibrate", "--model", "demo", "--out", LONG),
        ("train", "--out", LONG),
        ("train", "--data", LONG, "--out", "out"),
        ("train", "--model", LONG, "--out", "out"),
        ("evaluate", LONG, "--data", "small.yaml"),
        ("evaluate", "demo", "--data", f"{LONG}.jsonl"),
        ("validate", "compute", "--out", LONG),
        ("validate", "compute", "--profile", LONG, "--out", "out"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "LONG")[:60],
)
def test_names_that_no_file_can_have(arguments: tuple[str, ...], small: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(small.parent)
    Path("results").mkdir()
    Path("model.yaml").write_text("model: demo\nrounds: 1\n")
    message = refused(*arguments)
    assert "\n" not in message
    assert len(message) < 1000
    assert not Path("a").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("a" * 5000,),
        ("a\nb\x1b[31m" * 500,),
        ("simulate", "--" + "a" * 5000),
        ("simulate", "small.yaml", "b" * 5000),
        ("simulate", "small.yaml", "--format", "c\n" * 5000),
        ("list", "d" * 5000),
        ("calibrate", "--model", "demo", "--out", "x.json", "--seed", "e" * 5000),
    ],
    ids=lambda arguments: " ".join(arguments)[:30].encode("unicode_escape").decode(),
)
def test_what_was_typed_is_quoted_briefly(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "argv", ["paraSim", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert len(message) < 500
    assert message.removesuffix("\n").isprintable()
