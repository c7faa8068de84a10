"""Trainings that people steer: until a loss, for epochs, longer than before, and with the best round kept."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

import parasim
from parasim.steering import when_reached
from parasim.training import train
from parasim_core.train.runs.checkpoint import saved_rounds
from tests.parasim.command_line import refused, run
from tests.parasim.conftest import SMALL_TRAINING

TIMED = ("--clock", "profile")


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_more_rounds_go_on_and_fewer_are_refused(small_training: Path, tmp_path: Path):
    arguments = ("train", small_training, "--method", "parablock,fedit", *TIMED)
    assert run(*arguments, "--set", "rounds=4", "--out", tmp_path / "whole").status == 0
    assert run(*arguments, "--out", tmp_path / "longer").status == 0
    first = (tmp_path / "longer" / "fedit" / "model" / "model.safetensors").read_bytes()
    longer = run(*arguments, "--set", "rounds=4", "--out", tmp_path / "longer")
    assert longer.status == 0, longer.err
    for name in ("parablock/model/model.safetensors", "fedit/adapter/adapter_model.safetensors"):
        assert (tmp_path / "longer" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (tmp_path / "longer" / "fedit" / "model" / "model.safetensors").read_bytes() != first
    # What was the last round of the shorter run has an accuracy; of the longer one only its own last round.
    longer_rows, whole_rows = rows_of(tmp_path / "longer"), rows_of(tmp_path / "whole")
    assert [row | {"accuracy": ""} for row in longer_rows] == [row | {"accuracy": ""} for row in whole_rows]
    message = refused(*arguments, "--out", tmp_path / "longer")
    assert "rounds for parablock were 4, are 2; rounds for fedit were 4, are 2;" in message
    # One method by itself may have more than the others.
    assert (
        run(*arguments[:2], "--method", "fedit", *TIMED, "--set", "rounds=5", "--out", tmp_path / "longer").status == 0
    )
    assert [row["method"] for row in rows_of(tmp_path / "longer")] == ["parablock"] * 4 + ["fedit"] * 5


def test_a_loss_ends_a_method_and_both_clocks_say_when(small_training: Path, tmp_path: Path):
    arguments = ("train", small_training, "--method", "fedit,fedbcd", "--clock", "both", "--set", "rounds=5")
    assert run(*arguments, "--out", tmp_path / "whole").status == 0
    losses = [float(row["eval_loss"]) for row in rows_of(tmp_path / "whole") if row["method"] == "fedit"]
    target = losses[1]
    first = next(round for round, loss in enumerate(losses) if loss <= target) + 1
    ended = run(*arguments, "--target-loss", repr(target), "--out", tmp_path / "ended")
    assert ended.status == 0, ended.err
    assert sum(row["method"] == "fedit" for row in rows_of(tmp_path / "ended")) == first
    with (tmp_path / "ended" / "fedit" / "clocks.csv").open() as file:
        clocks = list(csv.DictReader(file))
    assert len(clocks) == first
    said = " ".join(ended.out.split())
    assert f"fedit reached a held-out loss of {target:g} after {first} of 5 rounds, in " in said
    assert " as measured and " in said
    record = json.loads((tmp_path / "ended" / "settings.json").read_text())
    assert record["rounds"] == {"fedit": 5, "fedbcd": 5}


def test_a_loss_that_is_not_reached_is_said(small_training: Path, tmp_path: Path):
    outcome = run("train", small_training, "--method", "fedit", *TIMED, "--target-loss", "0.01", "--out", tmp_path)
    assert outcome.status == 0
    lowest = min(float(row["eval_loss"]) for row in rows_of(tmp_path))
    assert f"fedit did not reach a held-out loss of 0.01 in 2 rounds; its lowest is {lowest:.4f}, after" in outcome.out


def test_when_a_loss_was_reached():
    rows = [
        {"eval_loss": loss, "simulated_s": 10.0 * number} for number, loss in enumerate((3.0, None, 2.0, 1.0), start=1)
    ]
    found = when_reached(rows, 2.5, [5.0, 6.0, 7.0, 8.0])
    assert found is not None
    assert (found.rounds, found.seconds, found.profile_seconds, found.loss) == (3, 30.0, 7.0, 2.0)
    assert when_reached(rows, 0.5, []) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target-loss", "-1"), "--target-loss -1: must be positive"),
        (("--epochs", "0"), "--epochs 0: must be positive"),
        (("--epochs", "nan"), "--epochs nan: must be positive"),
        (("--epochs", "2", "--set", "rounds=3"), "--epochs 2: says how many rounds there are, and so does rounds"),
        (("--target-loss", "100"), "--target-loss 100: the base has a held-out loss of "),
    ],
)
def test_goals_that_cannot_be_meant(arguments: tuple[str, ...], message: str, small_training: Path, tmp_path: Path):
    assert message in refused("train", small_training, "--method", "fedit", *TIMED, *arguments, "--out", tmp_path)
    assert not (tmp_path / "fedit").exists()


@pytest.mark.parametrize(
    ("method", "rounds"),
    [
        # 60 examples; a round of all three clients takes 3 x 1 step x 4 examples = 12 of them: 2 x 60 / 12 = 10.
        ("fedbcd", 10),
        # A turn of one client takes 4: 2 x 60 / 4 = 30.
        ("fedcybgd", 30),
        # An aggregation of two clients' updates takes 8: 2 x 60 / 8 = 15.
        ("{name: fedbuff, buffer: 2}", 15),
    ],
)
def test_epochs_are_rounds(method: str, rounds: int, tmp_path: Path):
    path = tmp_path / "scenario.yaml"
    path.write_text(SMALL_TRAINING + f"method: {method}\n")
    assert run("train", path, *TIMED, "--epochs", "2", "--out", tmp_path / "out").status == 0
    assert len(rows_of(tmp_path / "out")) == rounds


def test_the_best_round_is_left_beside_the_last(small_training: Path, tmp_path: Path):
    # With so large a rate every round is worse than the one before: the first one is the best.
    fields = ["train.learning_rate=0.5", "rounds=4"]
    found = train(small_training, method=["fedit"], set=fields, out=tmp_path, clock="profile")
    losses = [float(str(row["eval_loss"])) for row in found.metrics]
    best = min(range(4), key=losses.__getitem__)
    assert best < 3
    assert best in saved_rounds(tmp_path / "fedit" / "checkpoints")
    (said,) = [note for note in found.notes if "was best" in note]
    assert f"fedit was best after {best + 1} rounds, with a held-out loss of {losses[best]:.4f}" in said
    (score,) = parasim.evaluate(tmp_path / "fedit" / "best", tmp_path / "held-out.jsonl")
    assert score.loss == pytest.approx(losses[best], rel=1e-4)
    assert (tmp_path / "fedit" / "best" / "adapter" / "adapter_model.safetensors").is_file()


QUESTIONS = "".join(
    json.dumps({"question": f"How many is {n} and {n}?", "answer": f"#### {2 * n}", "why": f"It is {2 * n}."}) + "\n"
    for n in range(70)
)


def test_evaluation_reads_data_as_the_training_did(tmp_path: Path):
    # By its keys it would be GSM8K; the training was told that the response is another column.
    data, path = tmp_path / "questions.jsonl", tmp_path / "scenario.yaml"
    data.write_text(QUESTIONS)
    told = f"data: {{source: {data}, columns: {{prompt: question, response: why}}, held_out_examples: 6}}"
    path.write_text(
        SMALL_TRAINING.replace("data: {examples: 60, held_out_examples: 10}", told) + "  partition: {kind: iid}\n"
    )
    out = tmp_path / "out"
    assert run("train", path, "--method", "fedit", *TIMED, "--set", "rounds=1", "--out", out).status == 0
    for model in (out, out / "fedit" / "model"):
        by_default = run("evaluate", model, "--data", data, "--format", "json").out
        columns = ("--column", "prompt=question", "--column", "response=why")
        assert by_default == run("evaluate", model, "--data", data, *columns, "--format", "json").out
    as_gsm8k = run("evaluate", out, "--data", data, "--data-format", "gsm8k", "--format", "json").out
    assert json.loads(as_gsm8k)["scores"][0]["loss"] != json.loads(by_default)["scores"][0]["loss"]
    # What the training held out is written in words of its own, other files may be of other kinds.
    held_out = run("evaluate", out, "--data", out / "held-out.jsonl", "--format", "json").out
    assert json.loads(held_out)["scores"][0]["examples"] == 6
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"prompt": "How many is 1 and 1?", "response": "2"}) + "\n")
    assert run("evaluate", out, "--data", other).status == 0


def test_several_devices_train_the_same(small_training: Path, tmp_path: Path):
    arguments = ("train", small_training, "--method", "parablock,fedit", *TIMED)
    assert run(*arguments, "--out", tmp_path / "one").status == 0
    # As a user does, in a process of its own: the workers import what it does.
    command = [sys.executable, "-m", "parasim", *map(str, arguments), "--devices", "cpu,cpu"]
    done = subprocess.run([*command, "--out", tmp_path / "two"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("metrics.csv", "parablock/model/model.safetensors", "fedit/adapter/adapter_model.safetensors"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--devices", "cpu,gpu", *TIMED), "--devices gpu: there is no such device here; allowed are cpu"),
        (("--devices", "cpu,cpu"), "--devices: with --clock measured, updates are trained one after the other"),
        (("--devices", "", *TIMED), "--devices '': holds no values"),
    ],
)
def test_devices_that_cannot_be_meant(arguments: tuple[str, ...], message: str, small_training: Path, tmp_path: Path):
    assert message in refused("train", small_training, "--set", "train.device=cpu", *arguments, "--out", tmp_path)
