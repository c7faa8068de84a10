"""Training from several seeds: each as by itself, together their mean and spread."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from parasim.figures.bands import draw_bands
from parasim.figures.style import FigureError
from parasim.seeds import over_seeds
from tests.parasim.command_line import refused, run

TIMED = ("--clock", "profile")


def row(round: int, loss: float | None, seconds: float = 1.0) -> dict[str, object]:
    bytes_moved = {"uploaded_bytes": 8, "downloaded_bytes": 8}
    measured = {"simulated_s": seconds, "train_loss": 1.0, "eval_loss": loss, "accuracy": None}
    return {"method": "fedit", "round": round} | measured | bytes_moved


def test_mean_and_standard_deviation():
    # Losses 1, 2 and 6: mean 3, deviations -2, -1, 3, so sd = sqrt((4 + 1 + 9) / 2) = sqrt(7).
    first, second = over_seeds([[row(0, 1.0), row(1, 5.0)], [row(0, 2.0)], [row(0, 6.0, seconds=4.0)]])
    assert (first["seeds"], first["eval_loss_mean"]) == (3, 3.0)
    assert first["eval_loss_sd"] == pytest.approx(7**0.5)
    # 1, 1 and 4 s.
    assert first["simulated_s_mean"] == 2.0
    assert (first["accuracy_mean"], first["accuracy_sd"]) == (None, None)
    # Of one run, no spread is known.
    assert (second["round"], second["seeds"], second["eval_loss_mean"], second["eval_loss_sd"]) == (1, 1, 5.0, None)


def test_nothing_to_draw_where_no_round_is_everybodys(tmp_path: Path):
    with pytest.raises(FigureError):
        draw_bands(over_seeds([[row(0, 1.0)], []]), 2, tmp_path)


def test_seeds_are_trained_side_by_side_and_added_to(small_training: Path, tmp_path: Path):
    arguments = ("train", small_training, "--method", "fedit,fedbcd", *TIMED)
    outcome = run(*arguments, "--seeds", "2", "--out", tmp_path / "seeds")
    assert outcome.status == 0, outcome.err
    assert run(*arguments, "--set", "seed=1", "--out", tmp_path / "one").status == 0
    with (tmp_path / "one" / "metrics.csv").open() as file:
        alone = file.read()
    assert (tmp_path / "seeds" / "seed-1" / "metrics.csv").read_text() == alone
    rows = {}
    for seed in (0, 1):
        with (tmp_path / "seeds" / f"seed-{seed}" / "metrics.csv").open() as file:
            rows[seed] = list(csv.DictReader(file))
    with (tmp_path / "seeds" / "seeds.csv").open() as file:
        together = list(csv.DictReader(file))
    assert [each["method"] for each in together] == ["fedit"] * 2 + ["fedbcd"] * 2
    for number, each in enumerate(together):
        one, other = (float(rows[seed][number]["eval_loss"]) for seed in (0, 1))
        assert each["seeds"] == "2"
        assert one != other
        assert float(each["eval_loss_mean"]) == pytest.approx((one + other) / 2)
        # Of two values, the standard deviation is their distance over the root of two.
        assert float(each["eval_loss_sd"]) == pytest.approx(abs(one - other) / 2**0.5)
    for name in ("training.png", "training.svg", "reproduce.json"):
        assert (tmp_path / "seeds" / name).is_file()
    assert f"{float(together[1]['eval_loss_mean']):.4f}" in outcome.out
    # A third one: what was trained is not trained again.
    before = (tmp_path / "seeds" / "seed-1" / "fedit" / "model" / "model.safetensors").read_bytes()
    assert run(*arguments, "--seeds", "3", "--out", tmp_path / "seeds").status == 0
    assert (tmp_path / "seeds" / "seed-2" / "metrics.csv").is_file()
    assert (tmp_path / "seeds" / "seed-1" / "fedit" / "model" / "model.safetensors").read_bytes() == before
    # With and without seeds in one folder, one would write over what the other shows.
    assert "holds a training with --seeds (seed-0, ...)" in refused(*arguments, "--out", tmp_path / "seeds")
    assert "holds a training without --seeds (fedbcd, fedit)" in refused(
        *arguments, "--seeds", "2", "--out", tmp_path / "one"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "1"), "--seeds 1: must be at least 2"),
        (("--seeds", "2", "--trace", "t.json"), "--trace: shows one run, and --seeds trains several"),
    ],
)
def test_seeds_that_cannot_be_meant(arguments: tuple[str, ...], message: str, small_training: Path, tmp_path: Path):
    assert message in refused("train", small_training, *arguments, "--out", tmp_path)
