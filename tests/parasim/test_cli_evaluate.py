"""`paraSim evaluate`: the figures of the training, and every example accounted for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.parasim.command_line import refused, run

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def out(trained: tuple[Path, str]) -> Path:
    """What training two methods on text left."""
    return trained[0]


def test_evaluate_gives_the_figures_of_the_training(out: Path):
    # The held-out file is what the metrics were measured on: the same loss to float tolerance, for both methods.
    outcome = run("evaluate", out, "--data", out / "held-out.jsonl", "--format", "json")
    assert outcome.status == 0, outcome.err
    with (out / "metrics.csv").open() as file:
        last = {row["method"]: row for row in csv.DictReader(file)}
    scores = {score["model"]: score for score in json.loads(outcome.out)["scores"]}
    assert scores.keys() == last.keys()
    for name, score in scores.items():
        assert score["examples"] == 10
        assert score["loss"] == pytest.approx(float(last[name]["eval_loss"]), rel=1e-4)
        assert score["perplexity"] == pytest.approx(2.718281828459045 ** score["loss"])
        assert score["exact_match"] == float(last[name]["accuracy"])


def test_evaluate_one_model_as_a_table(out: Path):
    outcome = run("evaluate", out / "fedit" / "model", "--data", out / "held-out.jsonl", "--examples", 3)
    assert outcome.status == 0
    assert outcome.out.split()[:5] == ["model", "examples", "loss", "perplexity", "exact"]


def test_evaluate_says_what_it_leaves_out(out: Path, tmp_path: Path):
    # Of four questions one is longer than the sequence: the loss is that of the other three, it counts as wrong.
    lines = (out / "held-out.jsonl").read_text().splitlines()[:3]
    too_long = json.loads(lines[0]) | {"prompt": "how many " * 200}
    few, many = tmp_path / "few.jsonl", tmp_path / "many.jsonl"
    few.write_text("\n".join(lines))
    many.write_text("\n".join([*lines, json.dumps(too_long)]))
    whole = run("evaluate", out, "--data", few, "--sequence-length", 64, "--format", "json")
    assert whole.err == ""
    cut = run("evaluate", out, "--data", many, "--sequence-length", 64, "--format", "json")
    assert cut.err.startswith("fedit, parablock: at 64 tokens 0 of 4 examples truncated, 1 dropped;")
    for one, other in zip(json.loads(whole.out)["scores"], json.loads(cut.out)["scores"], strict=True):
        assert (one["examples"], one["truncation"]["dropped"], one["sequence_length"]) == (3, 0, 64)
        assert (other["examples"], other["truncation"]["dropped"]) == (4, 1)
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-6)
        assert other["exact_match"] * 4 == pytest.approx(one["exact_match"] * 3)
    assert run("evaluate", out / "fedit", "--data", few, "--examples", 9).err == "There are only 3 examples, not 9.\n"


def test_evaluate_takes_columns_of_any_name(out: Path, tmp_path: Path):
    rows = [json.loads(line) for line in (out / "held-out.jsonl").read_text().splitlines()]
    own = tmp_path / "own.jsonl"
    names = {"prompt": "q", "response": "a", "answer": "n"}
    own.write_text("\n".join(json.dumps({names[key]: row[key] for key in names}) for row in rows))
    assert "--column of paraSim evaluate" in refused("evaluate", out, "--data", own)
    columns = [part for field, name in names.items() for part in ("--column", f"{field}={name}")]
    mine = run("evaluate", out, "--data", own, *columns)
    assert mine.out == run("evaluate", out, "--data", out / "held-out.jsonl").out


def test_evaluate_looks_at_images(tmp_path: Path, out: Path):
    # The held-out digits are those of the training, whose seed its record tells; so loss and accuracy are the same.
    settings = ("--set", "rounds=1", "--set", "local.steps=1", "--set", "seed=3", "--method", "fedbcd")
    assert run("train", EXAMPLES / "digits.yaml", *settings, "--out", tmp_path).status == 0
    with (tmp_path / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    for place in (tmp_path, tmp_path / "fedbcd", tmp_path / "fedbcd" / "model"):
        (score,) = json.loads(run("evaluate", place, "--data", "digits", "--format", "json").out)["scores"]
        assert score["examples"] == 360
        assert score["loss"] == pytest.approx(float(row["eval_loss"]), rel=1e-5)
        assert score["exact_match"] == float(row["accuracy"])
        assert score["truncation"] is None
    (other,) = json.loads(run("evaluate", tmp_path, "--data", "digits", "--seed", 4, "--format", "json").out)["scores"]
    assert other["loss"] != score["loss"]
    (few,) = json.loads(run("evaluate", tmp_path, "--data", "digits", "--examples", 7, "--format", "json").out)[
        "scores"
    ]
    assert few["examples"] == 7
    assert "this model looks at images" in refused("evaluate", tmp_path, "--data", out / "held-out.jsonl")
    (tmp_path / "reproduce.json").unlink()
    assert "give its seed (--seed)" in refused("evaluate", tmp_path, "--data", "digits")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sequence-length", 513), "sequence length is 513 tokens, but fedit can read 512 at most"),
        (("--sequence-length", 0), "must be at least 1"),
        (("--column", "promt=q"), "'prompt'"),
        (("--column", "prompt"), "prompt=question"),
        (("--data", "digits"), "this model does not look at images"),
        (("--data", "word-problems"), "evaluate on the held-out.jsonl"),
    ],
)
def test_what_evaluate_refuses_to_do(arguments: tuple[object, ...], message: str, out: Path):
    assert message in refused("evaluate", out / "fedit", "--data", out / "held-out.jsonl", *arguments)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("nowhere/at/all", "held-out.jsonl", "there is no such file or folder"),
        ("fedit/model", "missing.jsonl", "missing.jsonl"),
        ("fedit/adapter", "held-out.jsonl", "holds no config.json"),
    ],
)
def test_what_evaluate_refuses(model: str, data: str, message: str, out: Path):
    assert message in refused("evaluate", out / model, "--data", out / data)
