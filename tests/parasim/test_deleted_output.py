"""An ``--out`` that is deleted, replaced or emptied under a long command is noticed, with a status that says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import parasim.sweeping
from tests.parasim.command_line import Outcome, run

GRID = ("--bandwidth", "1MB/s,2MB/s,3MB/s", "--method", "fedbcd,parablock")
SMALL = "{rounds: 2, fleet: [{count: 2}], payload: {upload: 1MB}, compute: {seconds: 1}}"


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def remade(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


LOSSES = [shutil.rmtree, emptied, remade]
Lose = Callable[[Path], object]


def missed(outcome: Outcome) -> None:
    """Assert that a command ended with one line about what was deleted."""
    assert outcome.status == 2, outcome
    assert outcome.err.count("\n") == 1
    assert "deleted" in outcome.err or "No such file" in outcome.err


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("after", [0, 3, 5])
def test_a_sweep(lose: Lose, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "small.yaml").write_text(SMALL)
    figures, calls = parasim.sweeping.figures, []

    def disturbed(data, **how):
        calls.append(1)
        if len(calls) == after + 1:
            lose(tmp_path / "out")
        return figures(data, **how)

    monkeypatch.setattr(parasim.sweeping, "figures", disturbed)
    missed(run("sweep", tmp_path / "small.yaml", *GRID, "--jobs", "1", "--out", tmp_path / "out"))
    # The same command again has all runs.
    again = run("sweep", tmp_path / "small.yaml", *GRID, "--jobs", "1", "--out", tmp_path / "out", "--format", "csv")
    assert again.status == 0, again.err
    assert len(again.out.splitlines()) == 7


@pytest.mark.parametrize(("after", "lose"), zip([1, 4, 7], LOSSES, strict=True))
def test_a_training(lose: Lose, after: int, small_training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from parasim_core.train.federated.learner import TorchLearner

    update, calls = TorchLearner.train, []

    def disturbed(*arguments):
        calls.append(1)
        if len(calls) == after:
            lose(tmp_path / "out")
        return update(*arguments)

    monkeypatch.setattr(TorchLearner, "train", disturbed)
    arguments = ("train", small_training, "--method", "fedbcd,fedit", "--clock", "profile", "--out", tmp_path / "out")
    missed(run(*arguments, "--quiet"))
    outcome = run(*arguments)
    assert outcome.status == 0, outcome.err
    for name in ("settings.json", "held-out.jsonl", "metrics.csv", "base", "fedbcd/model", "fedit/model"):
        assert (tmp_path / "out" / name).exists()


def test_a_profile_that_is_deleted_while_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import parasim_core.calibration.measuring.calibrate as module

    write, calls = module.write_json, []

    def disturbed(path, *arguments):
        write(path, *arguments)
        calls.append(1)
        if len(calls) == 2:
            shutil.rmtree(tmp_path / "out")

    monkeypatch.setattr(module, "write_json", disturbed)
    missed(run("calibrate", "--model", "demo", "--budget", "1s", "--out", tmp_path / "out" / "profile.json"))
