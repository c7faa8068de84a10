"""`paraSim plan`: one question at a time; tables, JSON, files, and refusals in one line."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from pathlib import Path

import pytest

import parasim
from parasim.cli.plan import print_plan
from parasim.planning.answer import Answer, Plan
from parasim.text import deadline_clock
from parasim_core.sim.workload.methods import METHODS
from tests.parasim.command_line import refused, run
from tests.parasim.conftest import TIGHT

# FedBCD: 40 s + 700 MB / bandwidth.
SMALL = (
    "method: fedbcd\nrounds: 4\npayload: {upload: 100MB}\ncompute: {seconds: 10}\nfleet: [{count: 3, uplink: 10MB/s}]\n"
)
QUESTION = ("--within", "70s", "--solve-for", "bandwidth")
SHAPE = {"method", "feasible", "value", "unit", "wall_clock_s", "because", "checked", "more"}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_the_table(small: Path):
    outcome = run("plan", small, *QUESTION)
    assert outcome.status == 0
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines[0] == "Least bandwidth of every client, up and down, with which the run ends within 70 s."
    row = "fedbcd 110 s 23.34 MB/s 70 s 23.33 MB/s: 0.00429 s late 57% computing, 24% uplink and 18% downlink"
    assert row in lines
    assert "Found by exact replay" in outcome.out
    assert "Computing times are given" in outcome.out


def test_json_has_one_shape_for_all_questions(small: Path):
    for question in (QUESTION, ("--hide-communication", "--method", "parablock,fedbcd")):
        plan = json.loads(run("plan", small, *question, "--format", "json").out)
        assert set(plan) >= {"question", "answers"}
        for answer in plan["answers"]:
            assert set(answer) == SHAPE
            assert answer["feasible"] == (answer["value"] is not None)
            assert all(set(check) == {"value", "wall_clock_s", "holds"} for check in answer["checked"])
            assert answer["value"] is None or math.isfinite(answer["value"])


def test_nothing_that_meets_it_is_an_answer():
    outcome = run("plan", "--within", "20min", "--solve-for", "bandwidth", "--format", "json")
    assert outcome.status == 0
    [answer] = json.loads(outcome.out)["answers"]
    assert (answer["method"], answer["feasible"], answer["value"]) == ("parablock", False, None)


def test_all_methods_those_that_cannot_run_are_named(small: Path):
    question = ("plan", "--method", "all", *QUESTION, "--set", "fleet.0.count=50", "--format", "json")
    answers = {answer["method"]: answer for answer in json.loads(run(*question).out)["answers"]}
    assert set(answers) == set(METHODS)
    assert "32 layers" in answers["fedcybgd"]["because"]
    assert not answers["fedcybgd"]["feasible"]


@pytest.mark.parametrize(
    ("question", "picture"),
    [
        (QUESTION, "deadline"),
        (("--within", "100s", "--solve-for", "rounds"), "deadline"),
        (("--hide-communication", "--method", "parablock"), "hiding"),
        (("--break-even", "parablock,fedbcd"), "break_even"),
    ],
)
def test_files(small: Path, tmp_path: Path, question: tuple[str, ...], picture: str):
    out = tmp_path / "out"
    printed = run("plan", small, *question, "--out", out, "--format", "json")
    plan = json.loads((out / "plan.json").read_text())
    assert plan == json.loads(printed.out)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [f"{picture}.png", f"{picture}.svg", "plan.csv", "plan.json", "reproduce.json"]
    )
    with (out / "plan.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [answer["method"] for answer in plan["answers"]]
    assert [row["value"] for row in rows] == [
        "" if answer["value"] is None else str(answer["value"]) for answer in plan["answers"]
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--solve-for"),
        (("--within", "25min"), "--solve-for"),
        (("--solve-for", "bandwidth"), "--within"),
        (("--solve-for", "bandwidht", "--within", "1h"), "'bandwidth'"),
        (("--within", "0s", "--solve-for", "rounds"), "--within 0s"),
        (("--within", "25", "--solve-for", "rounds"), "--within '25'"),
        (("--within", "1 fortnight", "--solve-for", "rounds"), "'fortnight'"),
        (("--within", "25min", "--sensitivity"), "--sensitivity"),
        (("--sensitivity", "--budget", "5USD"), "--budget and --sensitivity"),
        (("--break-even", "parablock"), "--break-even"),
        (("--break-even", "parablock,fedot"), "'fedit'"),
        (("--break-even", "fedit,fedit"), "stands twice"),
        (("--break-even", "parablock,fedit", "--method", "flora"), "--method"),
        (("--hide-communication", "--method", ","), "--method"),
        (("--confidence", "90%"), "--confidence"),
        (("--hide-communication", "--set", "fleet.0.uplnk=1MB/s"), "'uplink'"),
        (("none.yaml", "--sensitivity"), "no such file"),
    ],
)
def test_mistakes_are_refused_in_one_line(arguments: tuple[str, ...], message: str):
    refusal = refused("plan", *arguments)
    assert message in refusal
    assert "\n" not in refusal


def test_answers_of_one_method_are_told_apart_where_reasons_stand_below(monkeypatch: pytest.MonkeyPatch):
    answers = [
        Answer("fedbcd", True, 1.0, "USD", 1.0, because, row=("", "h100", links))
        for because, links in (("cheapest", "1 Gbit/s"), ("fastest", "10 Gbit/s"))
    ]
    monkeypatch.setattr("parasim.text.PIPE_WIDTH", 80)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_plan(Plan(parasim.load("examples/paper.yaml"), "What?", answers, ("block", "device", "links")))
    lines = printed.getvalue().splitlines()
    assert "fedbcd, h100, 1 Gbit/s: cheapest" in lines
    assert "fedbcd, h100, 10 Gbit/s: fastest" in lines


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (4 * 3600, "4 h"),
        (1500, "25 min"),
        (1500 * (1 + 1e-9), "25 min"),
        (5400, "90 min"),
        (61, "61 s"),
        (1501, "25.0 min"),
    ],
)
def test_deadlines_are_written_without_a_fraction(seconds: float, written: str):
    assert deadline_clock(seconds) == written


def test_nothing_is_written_where_nothing_can_be(small: Path, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    assert "is not a directory" in refused("plan", small, *QUESTION, "--out", tmp_path / "taken")


@pytest.mark.parametrize(
    "question",
    [("--within", "4h", "--solve-for", "bandwidth"), ("--break-even", "parablock,fedbcd"), ("--hide-communication",)],
)
def test_what_does_not_fit_is_said_once(tmp_path: Path, question: tuple[str, ...]):
    (tmp_path / "tight.yaml").write_text(TIGHT)
    said = "Does not fit: clients of desks need at least 32.6 GB for a local update, but rtx-4090 has 25.8 GB."
    notes = json.loads(run("plan", tmp_path / "tight.yaml", *question, "--format", "json").out)["notes"]
    assert notes.count(said) == 1
    assert " ".join(run("plan", tmp_path / "tight.yaml", *question).out.split()).count(said) == 1


def test_memory_is_that_of_the_answer(tmp_path: Path):
    # Blocks of 2 layers fit 40 GB; the widest that meets the deadline do not.
    (tmp_path / "roomy.yaml").write_text(TIGHT.replace("RTX 4090", "a100-40gb"))
    question = ("--within", "4h", "--solve-for", "block-width", "--format", "json")
    plan = json.loads(run("plan", tmp_path / "roomy.yaml", *question).out)
    assert plan["answers"][0]["value"] == 32
    assert [note for note in plan["notes"] if note.startswith("Does not fit: clients of desks need at least 1")]
    assert "memory" not in json.loads(run("simulate", tmp_path / "roomy.yaml", "--format", "json").out)["provenance"]
