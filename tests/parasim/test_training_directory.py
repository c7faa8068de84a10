"""What `paraSim train` leaves in a directory that something was trained in before, and what it says about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.parasim.command_line import refused, run
from tests.parasim.conftest import SMALL_TRAINING
from tests.parasim.pictures import words

TIMED = ("--clock", "profile")
QUESTIONS = "".join(
    json.dumps({"prompt": f"How many is {n} and {n}?", "response": f"{2 * n}"}) + "\n" for n in range(70)
)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scenario") / "small.yaml"
    path.write_text(SMALL_TRAINING.replace("held_out_examples: 10}", "held_out_examples: 6}\n  partition: {kind: iid}"))
    return path


@pytest.fixture(scope="module")
def trained(small: Path, tmp_path_factory) -> Path:
    """Overlapped LoRA, trained for two rounds."""
    out = tmp_path_factory.mktemp("trained")
    outcome = run("train", small, "--method", "overlapped-lora", *TIMED, "--out", out)
    assert outcome.status == 0, outcome.err
    return out


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "out"))


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", ["overlapped-lora", "fedbcd"])
@pytest.mark.parametrize(
    ("arguments", "differences"),
    [
        (("--data", "questions.jsonl"), "train.data.source was word-problems, is questions.jsonl"),
        (("--set", "local.steps=2", "--set", "seed=1"), "local.steps was 1, is 2; seed was 0, is 1"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_touched(
    method: str, arguments: tuple[str, ...], differences: str, small: Path, out: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("questions.jsonl").write_text(QUESTIONS)
    before = files(out)
    message = refused("train", small, "--method", method, *TIMED, *arguments, "--out", out)
    assert f"belongs to another run (overlapped-lora): {differences}; choose another --out" in message
    assert files(out) == before


def test_a_methods_own_settings_are_compared_with_its_own(small: Path, out: Path):
    arguments = ("train", small, "--out", out, "--method", "overlapped-lora")
    before = files(out)
    message = refused(*arguments, *TIMED, "--set", "lora.rank=3", "--set", "method.staleness=2")
    assert "method.staleness for overlapped-lora was 1, is 2; lora.rank for overlapped-lora was 2, is 3;" in message
    assert "--clock for overlapped-lora was profile, is measured" in refused(*arguments)
    assert files(out) == before


def test_data_that_changed_under_their_name_are_refused(small: Path, tmp_path: Path):
    data, out = tmp_path / "questions.jsonl", tmp_path / "out"
    data.write_text(QUESTIONS)
    arguments = ("train", small, "--method", "fedbcd", *TIMED, "--data", data, "--out", out)
    assert run(*arguments).status == 0
    before = files(out)
    data.write_text(QUESTIONS[QUESTIONS.index("\n") + 1 :])
    assert "belongs to another run (fedbcd): the examples changed;" in refused(*arguments)
    assert files(out) == before


def test_a_method_that_is_added_keeps_the_others_results(small: Path, out: Path):
    before = (out / "metrics.csv").read_text()
    outcome = run("train", small, "--method", "fedbcd", *TIMED, "--out", out)
    assert outcome.status == 0, outcome.err
    after = (out / "metrics.csv").read_text()
    assert after.startswith(before)
    assert after.count("\nfedbcd,") == 2
    assert "overlapped-lora" in words(out / "training.svg")
    assert "Metrics and charts also show what was trained here before: overlapped-lora." in outcome.out
    # The first one again: nothing changes, whoever comes first in the file.
    assert run("train", small, "--method", "overlapped-lora", *TIMED, "--out", out).status == 0
    assert (out / "metrics.csv").read_text() == after


@pytest.mark.parametrize("spoilt", ["a digit", "a loss of its own", "everything", "gone"])
def test_metrics_of_methods_that_are_not_trained_again_are_those_of_their_checkpoints(
    spoilt: str, small: Path, out: Path
):
    metrics = out / "metrics.csv"
    before = metrics.read_text()
    first = before.splitlines()[1]
    # method, round, seconds, losses, accuracy, bytes: the loss of round 0 is the fourth.
    fields = first.split(",")
    spoils = {
        "a digit": before.replace(
            first, ",".join([*fields[:3], fields[3].translate({ord("2"): "7"}) + "1", *fields[4:]])
        ),
        "a loss of its own": before.replace(first, ",".join([*fields[:3], "0.001", *fields[4:]])),
        "everything": "not a table",
    }
    if spoilt == "gone":
        metrics.unlink()
    else:
        assert spoils[spoilt] != before
        metrics.write_text(spoils[spoilt])
    outcome = run("train", small, "--method", "fedbcd", *TIMED, "--out", out)
    assert outcome.status == 0, outcome.err
    assert metrics.read_text().startswith(before)


def test_damaged_checkpoints_of_methods_that_are_not_trained_again_are_refused_and_nothing_is_touched(
    small: Path, out: Path
):
    record = out / "overlapped-lora" / "checkpoints" / "round-000001" / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"metrics": []}, indent=2) + "\n")
    before = files(out)
    message = refused("train", small, "--method", "fedbcd", *TIMED, "--out", out)
    assert "overlapped-lora/checkpoints/round-000001: is damaged (record.json: was altered)" in message
    assert files(out) == before


def test_a_checkpoint_in_another_methods_folder_is_not_believed(small: Path, out: Path):
    assert run("train", small, "--method", "fedbcd", *TIMED, "--out", out).status == 0
    shutil.rmtree(out / "fedbcd" / "checkpoints")
    shutil.copytree(out / "overlapped-lora" / "checkpoints", out / "fedbcd" / "checkpoints")
    message = refused("train", small, "--method", "overlapped-lora", *TIMED, "--out", out)
    assert "round-000001: is damaged (it is not of fedbcd)" in message


def test_updates_of_a_finished_run_cannot_be_kept_any_more(small: Path, out: Path):
    outcome = run("train", small, "--method", "overlapped-lora", *TIMED, "--deltas", "--out", out)
    assert outcome.status == 0
    assert "--deltas: 0 of 6 updates are in" in outcome.out
    assert not (out / "overlapped-lora" / "deltas").exists()


def test_the_base_is_measured_and_can_be_measured_again(trained: Path, small: Path):
    base = json.loads((trained / "base.json").read_text())
    outcome = run("evaluate", trained / "base", "--data", trained / "held-out.jsonl", "--format", "json")
    assert outcome.status == 0, outcome.err
    (score,) = json.loads(outcome.out)["scores"]
    assert score["loss"] == pytest.approx(base["eval_loss"], rel=1e-4)
    assert score["exact_match"] == base["accuracy"]
    adapter = json.loads((trained / "overlapped-lora" / "adapter" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(trained / "base")


def test_all_files_are_readable_to_the_same_people(trained: Path):
    assert len({path.stat().st_mode for path in trained.rglob("*") if path.is_file()}) == 1


def test_the_table_keeps_its_words_on_a_narrow_terminal(small: Path, out: Path, monkeypatch):
    monkeypatch.setattr("parasim.text.PIPE_WIDTH", 80)
    lines = run("train", small, "--method", "overlapped-lora", *TIMED, "--out", out).out.splitlines()
    headings = "method wall-clock exposed held-out loss accuracy uploaded downloaded"
    assert set(headings.split()) <= set(" ".join(lines[:2]).split())
    row = next(line for line in lines if line.startswith("overlapped-lora  "))
    assert row.endswith("kB")
    assert max(map(len, lines[:4])) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "parablock,fedbcd,parablock"), "parablock named twice"),
        (("--method", ""), "--method"),
        (("--model", ""), "model"),
        (("--data", ""), "data.source"),
        (("--method", "fedbcd", "--set", "method.buffer=2"), "fedbuff"),
    ],
)
def test_slips_are_refused(arguments: tuple[str, ...], message: str, small: Path, tmp_path: Path):
    assert message in refused("train", small, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_not_there(small: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused("train", small, "--set", "train.device=cuda", "--out", tmp_path / "out")
    assert message.startswith("train.device: is cuda, but PyTorch")


def test_a_checkpoint_whose_tensors_are_another_methods(small: Path, out: Path):
    assert run("train", small, "--method", "fedbcd", *TIMED, "--out", out).status == 0
    tensors = "checkpoints/round-000001/tensors.safetensors"
    shutil.copy(out / "overlapped-lora" / tensors, out / "fedbcd" / tensors)
    assert "round-000001: is damaged" in refused("train", small, "--method", "fedbcd", *TIMED, "--out", out)


@pytest.mark.parametrize(
    "text", ['{"eval_loss": "x", "accuracy": null}', '{"eval_loss": 1e999}', "[]", "[" * 9999, "\xff"]
)
def test_figures_of_the_base_that_are_damaged(text: str, small: Path, out: Path):
    (out / "base.json").write_text(text, encoding="latin-1")
    assert "base.json: is damaged" in refused("train", small, "--method", "overlapped-lora", *TIMED, "--out", out)


@pytest.mark.parametrize("figure", ["eval_loss", "accuracy"])
def test_figures_of_the_base_in_which_a_digit_changed(figure: str, small: Path, out: Path):
    base = json.loads((out / "base.json").read_text())
    (out / "base.json").write_text(json.dumps(base | {figure: 0.125}))
    assert "base.json: is damaged (was altered)" in refused(
        "train", small, "--method", "overlapped-lora", *TIMED, "--out", out
    )


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "pretraining.json", "SHA256SUMS"]
)
@pytest.mark.parametrize("digit", [b"1", b"2"])
def test_a_base_in_which_a_digit_changed(name: str, digit: bytes, small: Path, out: Path):
    path = out / "base" / name
    content = path.read_bytes()
    assert digit in content
    path.write_bytes(content.replace(digit, b"3", 1))
    assert f"{out / 'base'}: is damaged" in refused("train", small, "--method", "overlapped-lora", *TIMED, "--out", out)


def test_a_round_that_never_was_is_not_gone_on_from(small: Path, out: Path):
    # The instance: losses, seconds or "round": 99 in the record of a checkpoint.
    record = out / "overlapped-lora" / "checkpoints" / "round-000001" / "record.json"
    whole = json.loads(record.read_text())
    for changed in ({"round": 99}, {"metrics": []}, {"merges": [[0, 1.0]]}):
        record.write_text(json.dumps(whole | changed, indent=2) + "\n")
        message = refused("train", small, "--method", "overlapped-lora", *TIMED, "--out", out)
        assert "round-000001: is damaged (record.json: was altered)" in message


def test_a_diverged_model_is_one_line(small: Path, tmp_path: Path):
    arguments = ("--set", "train.global_learning_rate=1e20", "--method", "fedbcd", "--set", "rounds=1")
    outcome = run("train", small, *TIMED, *arguments, "--out", tmp_path)
    assert outcome.status == 4
    [message] = outcome.err.splitlines()
    assert message.startswith("paraSim: fedbcd: the global model diverged in round 0")
    assert not (tmp_path / "fedbcd").exists()
