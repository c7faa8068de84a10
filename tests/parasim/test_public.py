"""The public API: one style, the names of the command line, numbers with units, and code of one's own."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.methods import Synchronous
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.workload.methods import METHODS
from tests.parasim.command_line import refused, run

SMALL: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "fleet": [{"count": 2, "uplink": "1MB/s"}],
    "payload": {"upload": "1MB"},
    "compute": {"seconds": 3},
}
OWN = """
from parasim.methods import Method, Synchronous, register

class Sketch:
    def bytes_up(self, scenario, architecture):
        return 2e6

    def bytes_down(self, scenario, architecture):
        return 1e6

register(Method("sketched", Synchronous, "everything", "sends a sketch", sends=Sketch()))
"""


def in_a_process(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, where methods may be registered."""
    command = [sys.executable, "-m", "parasim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize(
    "given", [{"rounds": 4}, "rounds=4", ["rounds=4"], [("rounds", 4)], {"rounds": "3", "rounds ".strip(): 4}]
)
def test_fields_are_set_in_any_of_these_ways(given: Any):
    assert parasim.load(SMALL, given).rounds == 4
    assert parasim.simulate(SMALL, set=given).scenario.rounds == 4


@pytest.mark.parametrize("given", [[4], [("rounds", 4, 5)], {4: "rounds"}])
def test_what_sets_no_field_is_refused(given: Any):
    with pytest.raises(ScenarioError, match="rounds=16"):
        parasim.simulate(SMALL, set=given)


def test_functions_have_the_names_of_the_command_line():
    of_both = {
        parasim.sweep: ("set", "method", "bandwidth", "batch_size", "model", "vary", "out", "plot", "jobs"),
        parasim.plan: ("set", "method", "within", "solve_for", "budget", "confidence", "out", "jobs"),
        parasim.memory: ("set", "method", "device"),
        parasim.simulate: ("set", "out", "collapse"),
        parasim.train: ("set", "method", "out", "clock", "target_loss", "epochs", "deltas", "devices", "log"),
    }
    for function, names in of_both.items():
        assert [name for name in names if name not in inspect.signature(function).parameters] == []


def test_python_leaves_the_files_of_the_command(tmp_path: Path):
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    calls: dict[str, Any] = {
        "simulate": lambda out: parasim.simulate(tmp_path / "small.json", out=out),
        "explain": lambda out: parasim.explain(tmp_path / "small.json", out=out),
        "plan": lambda out: parasim.plan(tmp_path / "small.json", within="12s", solve_for="bandwidth", out=out),
        "sweep": lambda out: parasim.sweep(tmp_path / "small.json", bandwidth="1MB/s,2MB/s", out=out),
    }
    options = {"plan": ["--within", "12s", "--solve-for", "bandwidth"], "sweep": ["--bandwidth", "1MB/s,2MB/s"]}
    for name, call in calls.items():
        call(tmp_path / "python" / name)
        assert run(name, tmp_path / "small.json", *options.get(name, []), "--out", tmp_path / name).status == 0
        of_command = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        of_python = {path.name: path.read_bytes() for path in (tmp_path / "python" / name).iterdir()}
        assert of_python.keys() == of_command.keys()
        # How it was made is another; all else is the same.
        assert [file for file in of_command if of_python[file] != of_command[file]] == ["reproduce.json"]


def test_frames_hold_numbers_and_say_their_units():
    result = parasim.simulate(SMALL)
    groups = result.to_dataframe()
    assert groups.loc[0, "compute_s"] == 6.0
    assert groups.attrs["units"]["compute_s"] == "s"
    spans = result.timeline.to_dataframe()
    uploads = spans[spans["kind"] == "upload"]
    # Two clients in two rounds, simulated once: 1 MB at 1 MB/s each time.
    assert (uploads["end_s"] - uploads["start_s"]).tolist() == [1.0, 1.0]
    assert spans.attrs["units"] == {name: "B" if name == "bytes" else "s" for name in spans.attrs["units"]}
    table = parasim.sweep(SMALL, bandwidth=["1MB/s", "2MB/s"])
    swept = table.to_dataframe()
    assert swept["bandwidth"].tolist() == [1e6, 2e6]
    assert swept.attrs["units"]["bandwidth"] == "B/s"
    plan = parasim.plan(SMALL, within="12s", solve_for="bandwidth").to_dataframe()
    assert plan["value"].dtype == float
    assert plan.attrs["units"]["value"] == "B/s"


def test_pictures_show_and_save_themselves(tmp_path: Path):
    table = parasim.sweep(SMALL, bandwidth="1MB/s,2MB/s")
    picture = table.plot("line")
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert picture.save(tmp_path / "lines.svg").read_text().startswith("<?xml")
    with pytest.raises(parasim.ParaSimError, match="sweep a quantity"):
        parasim.sweep(SMALL, method="fedbcd,parablock").plot("line")


def test_a_method_of_ones_own_reaches_the_command_line(tmp_path: Path):
    (tmp_path / "my_method.py").write_text(OWN)
    fields = {name: value for name, value in SMALL.items() if name != "payload"}
    (tmp_path / "mine.json").write_text(json.dumps(fields | {"method": "sketched"}))
    # Two rounds: 3 s, 2 MB up in 2 s; 1 MB down in 1 s, 3 s, 2 s: 11 s.
    found = in_a_process("simulate", "mine.json", "--import", "my_method.py", "--format", "json", cwd=tmp_path)
    assert json.loads(found.stdout)["wall_clock_s"] == pytest.approx(11.0)
    # Worker processes know it too, and a module is found in the current folder.
    sweep = ("sweep", "mine.json", "--import", "my_method", "--vary", "seed=1,2,3,4", "--jobs", "2", "--out", "sw")
    swept = in_a_process(*sweep, "--format", "csv", cwd=tmp_path)
    assert swept.stdout.count("sketched") == 4, swept.stderr
    trained = in_a_process("train", "--import", "my_method.py", "--method", "sketched", "--out", "t", cwd=tmp_path)
    assert (trained.returncode, "not trained" in trained.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "there is no such file"), ("1 / 0", "ZeroDivisionError"), ("import nothing_here", "nothing_here")],
)
def test_code_that_cannot_be_imported_is_named(text: str | None, told: str, tmp_path: Path):
    if text is not None:
        (tmp_path / "bad.py").write_text(text)
    found = in_a_process("list", "methods", "--import", "bad.py", cwd=tmp_path)
    assert (found.returncode, told in found.stderr, "Traceback" in found.stderr) == (2, True, False)


def test_packages_offer_methods_as_entry_points(tmp_path: Path):
    # As an installed package has it: its metadata beside its code on the path.
    (tmp_path / "offers.py").write_text(OWN)
    info = tmp_path / "offers-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[parasim.methods]\nsketched = offers\n")
    fields = {name: value for name, value in SMALL.items() if name != "payload"} | {"method": "sketched"}
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import parasim; "
    code += f"print(parasim.simulate({fields!r}).wall_clock)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert float(found.stdout) == pytest.approx(11.0), found.stderr


class _Weighs:
    def __init__(self, up: object, down: object = 0.0):
        self.up, self.down = up, down

    def bytes_up(self, scenario: Any, architecture: Any) -> Any:
        return self.up

    def bytes_down(self, scenario: Any, architecture: Any) -> Any:
        return self.down


@pytest.mark.parametrize("sends", [object(), "everything"])
def test_what_does_not_say_its_bytes_is_refused(sends: Any):
    with pytest.raises(ScenarioError, match="it needs bytes_up and bytes_down"):
        parasim.Method("odd", Synchronous, parasim.Trains.BLOCK, "", sends=sends)


@pytest.mark.parametrize("size", [-1, float("nan"), float("inf"), "1MB", True])
def test_what_says_no_number_of_bytes_is_refused(size: object, monkeypatch: pytest.MonkeyPatch):
    method = parasim.Method("odd", Synchronous, parasim.Trains.EVERYTHING, "", sends=_Weighs(size))
    monkeypatch.setitem(METHODS, "odd", method)
    fields = {name: value for name, value in SMALL.items() if name != "payload"}
    with pytest.raises(ScenarioError, match="not a number of bytes"):
        parasim.simulate(fields | {"method": "odd"})


def test_a_payload_that_is_given_goes_before(monkeypatch: pytest.MonkeyPatch):
    method = parasim.Method("odd", Synchronous, parasim.Trains.EVERYTHING, "", sends=_Weighs(5e6))
    monkeypatch.setitem(METHODS, "odd", method)
    assert parasim.simulate(SMALL | {"method": "odd"}).total("uploaded") == 2 * 2 * 1e6


def test_import_needs_a_value():
    assert "--import: needs a value" in refused("list", "methods", "--import")


def test_results_are_short_where_they_are_looked_at() -> None:
    result = parasim.simulate(SMALL)
    assert repr(result).startswith("Result(")
    assert len(repr(result)) < 200
    table = parasim.sweep(SMALL, bandwidth=["1MB/s", "2MB/s"])
    assert len(repr(table).splitlines()) < 12
    assert len(repr(table.plot())) < 100
    assert len(repr(parasim.plan(SMALL, within="25s", solve_for="bandwidth")).splitlines()) < 12
