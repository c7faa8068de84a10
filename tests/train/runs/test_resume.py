"""A run that is interrupted again and again ends with the bits of one that never was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parasim_core.sim.workload.methods import METHODS
from tests.train.small_runs import Callback, Interrupted, assert_same, ended, stop_after, train

FAILING: dict[str, Any] = {
    "dropout": {"rate": 0.25},
    "failures": {"every": "40s", "repair": "7s"},
    "outages": {"every": "15s", "last": "2s", "transfers": "restart"},
}
VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"method": name} for name in sorted(METHODS)},
    "staleness 2": {"method": {"name": "parablock", "staleness": 2}},
    "error feedback": {"wire": {"upload": {"top_k": 0.2}}, "train": {"error_feedback": True}},
    "quantized both ways, at random": {
        "wire": {"upload": {"bits": 4}, "download": {"bits": 8}},
        "train": {"stochastic_rounding": True},
    },
    "gradient schedule": {"blocks": {"layers": 1, "schedule": "gradient", "gradient_pass": 3}},
    "blocks by their last change": {"blocks": {"layers": 1, "schedule": "change"}, "rounds": 8},
    "blocks by a bandit": {
        "method": {"name": "parablock", "staleness": 2},
        "blocks": {"layers": 1, "schedule": "bandit"},
        "rounds": 12,
    },
    "blocks by their last change with clients that fail": {
        "method": "parablock",
        "blocks": {"layers": 1, "schedule": "change"},
        "rounds": 8,
        "seed": 2,
        "fleet": [{"count": 3, **FAILING}],
        "participation": {"short": "wait"},
    },
    "cohorts": {"participation": {"rounds": [[0, 1], [2], [0, 2], [1], [0, 1, 2]]}},
    "fedcybgd that skips downloads": {"method": "fedcybgd", "cyclic": {"download_fraction": 0.5}, "rounds": 7},
    "fedcybgd from what it had last": {
        "method": {"name": "fedcybgd", "download_fraction": 0.5},
        "rounds": 7,
        "train": {"cyclic": {"unfetched": "last"}, "schedule": "cosine"},
    },
    "fedcybgd with fresh optimizers": {"method": "fedcybgd", "rounds": 7, "train": {"cyclic": {"optimizer": "fresh"}}},
    "without the correction": {"train": {"correction": False}},
    "weighted mean, half the rate": {"method": "fedbcd", "train": {"mean": "weighted", "global_learning_rate": 0.5}},
    "checkpoints of every second round": {"train": {"checkpoint_every": 2}, "rounds": 6},
    **{
        f"{name} with clients that fail": {
            "method": name,
            "rounds": 8,
            "seed": 2,
            "fleet": [{"count": 3, **FAILING}],
            "wire": {"upload": {"top_k": 0.2}},
            "train": {"error_feedback": name != "flora"},
            "participation": {"short": "wait"},
        }
        for name in ("fedbcd", "fedcybgd", "flora", "parablock")
    },
    **{
        f"{name} with clients that fail and are all needed": {
            "method": {"name": name} | ({"staleness": 2} if name == "parablock" else {}),
            "rounds": 8,
            "fleet": [{"count": 3, **FAILING}],
            "participation": {"short": "wait", "quorum": 1},
        }
        for name in ("fedbcd", "parablock")
    },
    "fedbcd with clients that fail again and again": {
        "method": "fedbcd",
        "fleet": [{"count": 3, "dropout": {"rate": 0.7}}],
        "wire": {"upload": {"top_k": 0.2}},
        "train": {"error_feedback": True},
        "participation": {"short": "wait"},
    },
    **{
        f"{name} without the late": {
            "method": name,
            "rounds": 8,
            "fleet": [{"count": 2, **FAILING}, {"count": 1, "speed": 0.3}],
            "participation": {"short": "wait", "quorum": 0.6, "late": late},
        }
        for name, late in (
            ("fedbcd", "discard"),
            ("full-ft", "next-round"),
            ("flora", "next-round"),
            ("parablock", "next-round"),
        )
    },
    **{
        f"{name} with clients that fail": {
            "method": {"name": name, **told, "weights": "polynomial"},
            "rounds": 8,
            "seed": 2,
            "fleet": [{"count": 2, **FAILING}, {"count": 1, "speed": 0.4, **FAILING}],
            "wire": {"upload": {"top_k": 0.2}},
            "train": {"error_feedback": True},
            "participation": {"short": "wait"},
        }
        for name, told in (
            ("fedbuff", {"buffer": 2}),
            ("fedasync", {"max_staleness": 2}),
            ("parablock-async", {"buffer": 2, "concurrency": 2}),
        )
    },
    "parablock-async at several paces": {
        "method": {"name": "parablock-async", "buffer": 2, "max_staleness": 3},
        "rounds": 8,
        "fleet": [{"count": 2}, {"count": 1, "speed": 0.3, "uplink": "10MB/s"}],
    },
    "activation checkpointing": {"train": {"activation_checkpointing": True}},
}


_MIDDLE = (
    "fedbcd with clients that fail again and again",
    "parablock with clients that fail",
    "parablock without the late",
    "parablock-async with clients that fail",
    "parablock-async at several paces",
    "flora without the late",
)


def lives(folder: Path, callback: str, count: int, fields: dict[str, Any]) -> tuple[Any, int]:
    """Run until it ends, interrupted at every `count`-th call of a callback; return also how often."""
    interruptions = 0
    while True:
        stop: Callback = stop_after(count)
        try:
            return train(folder, **fields, **{callback: stop}), interruptions
        except Interrupted:
            interruptions += 1
            assert interruptions < 20


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_after_every_checkpoint(variant: str, tmp_path: Path):
    fields = VARIANTS[variant]
    expected = ended(train(tmp_path / "whole", **fields), tmp_path)
    each = fields.get("train", {}).get("checkpoint_every", 1)
    resumed, interruptions = lives(tmp_path / "pieces", "on_row", each, fields)
    assert interruptions == fields.get("rounds", 5) // each
    assert_same(ended(resumed, tmp_path), expected)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "clients that fail" in name or "the late" in name])
def test_clients_do_fail_in_these_runs(variant: str, tmp_path: Path):
    trained = train(tmp_path / "run", **VARIANTS[variant])
    assert trained.result.provenance["updates"]["lost"] >= 2
    # In some of them, rounds begin anew.
    assert (max(trained.learner.times.values()) > 1) == variant.endswith(("again and again", "all needed", "the late"))


@pytest.mark.parametrize("variant", ["parablock", "flora", "staleness 2", "error feedback", *_MIDDLE])
def test_interrupted_in_the_middle_of_rounds(variant: str, tmp_path: Path):
    fields = {"rounds": 5} | VARIANTS[variant]
    expected = ended(train(tmp_path / "whole", **fields), tmp_path)
    # Where each block has a buffer of its own, more updates come before the first checkpoint.
    resumed, interruptions = lives(tmp_path / "pieces", "on_update", 16 if "async" in variant else 10, fields)
    assert interruptions >= 1
    assert_same(ended(resumed, tmp_path), expected)


def test_a_finished_run_is_not_trained_again(tmp_path: Path):
    expected = ended(train(tmp_path / "run"), tmp_path)
    again = train(tmp_path / "run", on_update=stop_after(1))
    assert_same(ended(again, tmp_path), expected)


def test_kill_minus_nine_anywhere():
    # One process imports torch once and forks a victim for every point; see there.
    done = subprocess.run([sys.executable, "-m", "tests.train.killed"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed at 7 points, same bytes" in done.stdout
    assert "killed at 4 points, same bytes" in done.stdout
