"""What whoever interrupts a long command is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parasim.cli.progress import stages
from tests.parasim.command_line import refused, run


@pytest.mark.parametrize(("held", "told"), [(None, ""), (".lock", ""), ("fedit/metrics.csv", "what was done is in ")])
def test_a_folder_is_named_when_something_is_in_it(held: str | None, told: str, tmp_path: Path):
    if held is not None:
        (tmp_path / held).parent.mkdir(exist_ok=True)
        (tmp_path / held).touch()
    with pytest.raises(KeyboardInterrupt) as interrupted, stages(tmp_path):
        raise KeyboardInterrupt
    assert str(interrupted.value).startswith(told)
    assert bool(str(interrupted.value)) == bool(told)


LINE = re.compile(
    r"(\S+): round (\d+) of 2, [\d.]+ \w+: training loss [\d.]+, held-out loss [\d.]+(, accuracy [\d.]+%)?"
)


def test_a_training_says_a_line_per_round_where_there_is_no_terminal(small_training: Path, tmp_path: Path):
    arguments = ("train", small_training, "--method", "fedit,fedbcd", "--clock", "profile")
    said = run(*arguments, "--out", tmp_path / "said")
    lines = [LINE.fullmatch(line) for line in said.err.splitlines()]
    assert [line and (line[1], line[2]) for line in lines] == [
        ("fedit", "1"), ("fedit", "2"), ("fedbcd", "1"), ("fedbcd", "2"),
    ]  # fmt: skip
    # What was trained before is not said again; with --quiet, nothing is.
    assert run(*arguments, "--out", tmp_path / "said").err == ""
    assert run("--quiet", *arguments, "--out", tmp_path / "quiet").err == ""
    verbose = run(*arguments, "--verbose", "--out", tmp_path / "verbose")
    assert "training fedbcd: done, after" in verbose.err
    assert [line for line in verbose.err.splitlines() if LINE.fullmatch(line)] == said.err.splitlines()


def test_a_log_file_takes_all_that_is_said_with_the_time(tmp_path: Path):
    log, scenario = tmp_path / "logs" / "run.log", tmp_path / "scenario.yaml"
    scenario.write_text("model: none-such\n")
    quiet = run("validate", "transport", "--quiet", "--log-file", log, "--format", "csv")
    assert quiet.err == ""
    message = refused("simulate", scenario, f"--log-file={log}")
    lines = log.read_text().splitlines()
    moments = [re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* (\w+) +(.*)", line) for line in lines]
    told = [(moment[1], moment[2]) for moment in moments if moment]
    assert len(told) == len(lines)
    assert told[0] == ("began", f"paraSim validate transport --quiet --log-file {log} --format csv")
    assert told[-2:] == [("error", message), ("ended", "status 2")]
    assert "note" in dict(told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quiet", "--verbose"), "--quiet, --verbose: one says less, the other more; give one of them"),
        (("--log-file",), "--log-file: needs a value, such as --log-file run.log"),
        (("--log-file=",), "--log-file: needs a value"),
        (("--log-file", "/"), "--log-file /: cannot be written: Is a directory"),
    ],
)
def test_what_cannot_be_meant(arguments: tuple[str, ...], message: str):
    assert refused("list", "methods", *arguments).startswith(message)
