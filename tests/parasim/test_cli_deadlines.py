"""Deadlines and exit statuses, scenarios from standard input, the version, completion."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from parasim import __version__
from parasim.cli.guard import STATUSES, status_of
from parasim_core.sim.errors import DeadlineMissedError, ParaSimError
from parasim_core.train.update.local import DivergedError
from tests.parasim.command_line import Outcome, refused, run

# 2 x (30 s of computing + 1 s up), and 1 s down between: 63 s.
SMALL: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "fleet": [{"uplink": "9MB/s"}],
    "payload": {"upload": "9MB"},
    "compute": {"seconds": 30},
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


def found(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(outcome.out)
    return result


@pytest.mark.parametrize(("within", "met"), [("63s", True), ("62.9s", False), ("2min", True)])
def test_a_run_meets_its_deadline_or_not(within: str, met: bool, small: Path):
    # On the dot counts as met.
    outcome = run("simulate", small, "--within", within, "--format", "json")
    deadline = found(outcome)["deadline"]
    assert outcome.status == 0
    assert (deadline["within"], deadline["met"]) == (within, met)
    assert deadline["margin_s"] == pytest.approx(deadline["within_s"] - 63)
    strict = run("simulate", small, "--within", within, "--fail-on-miss", "--format", "json")
    assert (strict.status, strict.out) == (0 if met else 3, outcome.out)
    assert strict.err == ("" if met else "paraSim: the deadline, 62.9 s after the start, is missed by 0.1 s\n")


def test_a_deadline_by_the_calendar_counts_from_the_start(small: Path):
    start = ("--set", "start=2026-12-04T17:59 Europe/Berlin")
    outcome = run("simulate", small, *start, "--within", "Friday 18:00", "--fail-on-miss")
    assert outcome.status == 3
    assert "starts on Fri 4 Dec 2026 17:59 Europe/Berlin and ends on Fri 4 Dec 2026 18:00 Europe/Berlin" in outcome.out
    assert "missed by 3 s" in outcome.out
    result = found(run("simulate", small, *start, "--within", "Friday 18:01", "--format", "json"))
    assert result["calendar"] == {"starts": "2026-12-04T17:59:00+01:00", "ends": "2026-12-04T18:00:03+01:00"}
    assert (result["deadline"]["within_s"], result["deadline"]["margin_s"]) == (120, 57)


def test_without_a_start_it_counts_from_now(small: Path):
    result = found(run("simulate", small, "--within", "2999-12-04T18:00", "--format", "json"))
    starts = datetime.fromisoformat(result["calendar"]["starts"])
    assert abs(datetime.now().astimezone() - starts) < timedelta(minutes=5)
    assert result["deadline"]["met"]


def test_what_has_no_deadline_and_no_start_says_nothing_of_them(small: Path):
    assert not {"calendar", "deadline"} & found(run("simulate", small, "--format", "json")).keys()
    assert "start" not in run("simulate", small).out


def test_an_explanation_says_when_the_run_ends(small: Path, tmp_path: Path):
    start = ("--set", "start=2026-12-04T17:59", "--out", tmp_path / "out")
    assert "ends on Fri 4 Dec 2026 18:00." in run("explain", small, *start).out
    result = found(run("explain", small, *start, "--format", "json"))
    assert result["calendar"]["ends"] == "2026-12-04T18:00:03"


def test_a_plan_for_a_deadline_by_the_calendar(small: Path, tmp_path: Path):
    question = ("--solve-for", "bandwidth", "--set", "start=2026-12-04T17:59 UTC", "--out", tmp_path / "plan")
    outcome = run("plan", small, *question, "--within", "Friday 18:01", "--format", "json", "--fail-on-miss")
    result = found(outcome)
    assert (outcome.status, result["within_s"]) == (0, 120)
    # 60 s of computing leave 60 s for three messages of 9 MB.
    assert result["answers"][0]["value"] == pytest.approx(450e3, rel=0.02)
    assert any("fedbcd Fri 4 Dec 2026 18:0" in note for note in result["notes"])
    assert result["asked"] == {"within": "Friday 18:01", "solve_for": "bandwidth"}
    missed = run("plan", small, *question, "--within", "59s", "--fail-on-miss")
    assert missed.status == 3
    assert missed.err.startswith("paraSim: nothing that was asked about meets the deadline, 59 s after the start")
    assert "even with unlimited bandwidth" in missed.out


def test_of_several_methods_one_is_enough(small: Path):
    question = ("plan", small, "--within", "64s", "--solve-for", "clients", "--fail-on-miss")
    assert run(*question, "--method", "fedbcd").status == 0
    assert run(*question, "--method", "fedcybgd,fedbcd").status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--fail-on-miss", "--fail-on-miss needs a deadline"),
        ("--within 90", "--within '90' has no unit"),
        ("--within 0s", "--within 0s: must be longer than nothing"),
        ("--within soon", "--within 'soon' is neither a duration nor a time of the calendar"),
        ("--within 2020-01-01T00:00", "is not after the run starts"),
        ("--set start=soon", "start: 'soon' is no time of the calendar"),
    ],
)
def test_what_is_no_deadline_is_refused(arguments: str, said: str, small: Path):
    assert said in refused("simulate", small, *arguments.split())


def typed(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("text", [json.dumps(SMALL), f"# as YAML\n{json.dumps(SMALL)}", "\ufeff" + json.dumps(SMALL)])
@pytest.mark.parametrize("command", ["simulate", "explain", "plan --sensitivity", "sweep --method fedbcd,fedit"])
def test_a_scenario_from_standard_input(
    command: str, text: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name, *options = command.split()
    options += ["--format", "json", "--out", str(tmp_path / "out")]
    typed(monkeypatch, text)
    assert run(name, "-", *options).out == run(name, small, *options).out


def test_its_paths_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "up.csv").write_text("seconds,up_MB_s\n0,9\n9,9\n")
    monkeypatch.chdir(tmp_path)
    typed(monkeypatch, json.dumps(SMALL | {"fleet": [{"uplink": {"trace": "up.csv"}}]}))
    assert found(run("simulate", "-", "--format", "json"))["wall_clock_s"] == pytest.approx(63)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "standard input: is empty"),
        (b"\xff", "standard input: is not UTF-8 text"),
        ("{", "standard input: not well-formed"),
        ("a: [", "standard input: not well-formed"),
        ("roundz: 3", "standard input: roundz: unknown field; did you mean 'rounds'?"),
        (b" " * (8 * 2**20 + 1), "standard input: holds more than 8,388,608 bytes"),
    ],
)
def test_what_is_wrong_with_standard_input_is_said(text: str | bytes, said: str, monkeypatch: pytest.MonkeyPatch):
    typed(monkeypatch, text)
    assert refused("simulate", "-").startswith(said)


def test_exit_statuses_are_those_that_the_help_lists():
    help_ = " ".join(run("--help").out.split())
    for status, meaning in STATUSES.items():
        assert f"{status} {meaning}" in help_
    raised = {ParaSimError: 2, DeadlineMissedError: 3, DivergedError: 4, KeyboardInterrupt: 130, ZeroDivisionError: 1}
    for kind, status in raised.items():
        assert status_of(kind("so"), debug=False) == status


def test_the_version():
    assert run("--version") == Outcome(0, f"paraSim {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("paraSim simu", {"simulate"}),
        ("paraSim simulate --fail", {"--fail-on-miss"}),
        ("paraSim simulate --format ", {"table", "json"}),
        ("paraSim list sch", {"schema"}),
    ],
)
def test_completion_knows_commands_options_and_choices(words: str, expected: set[str]):
    told = {"_PARASIM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-m", "parasim"]
    completed = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=True)
    assert set(completed.stdout.split()) == expected
