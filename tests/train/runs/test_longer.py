"""A run that is made longer ends as one that was so long from the start; and one that ends early, as a shorter one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from parasim_core.train.data.task import Evaluation
from parasim_core.train.runs.checkpoint import CheckpointError, saved_rounds
from parasim_core.train.runs.run import best_learner
from tests.train.runs.test_resume import VARIANTS
from tests.train.small_runs import Interrupted, assert_same, bench, ended, given, stop_after, train
from tests.train.tiny import RandomTokens, weights

GIVEN_BY_ROUND = "cohorts"
"""Whose rounds are listed one by one."""
FALLS_OVER_ALL_TURNS = "fedcybgd from what it had last"


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in (GIVEN_BY_ROUND, FALLS_OVER_ALL_TURNS)])
def test_made_longer(variant: str, tmp_path: Path):
    fields = VARIANTS[variant]
    rounds = fields.get("rounds", 5)
    expected = ended(train(tmp_path / "whole", **fields), tmp_path)
    train(tmp_path / "pieces", **fields | {"rounds": rounds - 3})
    train(tmp_path / "pieces", **fields | {"rounds": rounds - 2})
    assert_same(ended(train(tmp_path / "pieces", **fields), tmp_path), expected)


def test_made_longer_after_an_interruption_on_the_way(tmp_path: Path):
    expected = ended(train(tmp_path / "whole", rounds=6), tmp_path)
    train(tmp_path / "pieces", rounds=4)
    for count in (1, 2):
        with pytest.raises(Interrupted):
            train(tmp_path / "pieces", rounds=6, on_row=stop_after(count))
    assert_same(ended(train(tmp_path / "pieces", rounds=6), tmp_path), expected)


def test_of_a_run_as_short_as_clients_may_be_behind_nothing_is_of_use(tmp_path: Path):
    expected = ended(train(tmp_path / "whole", rounds=3, method={"name": "parablock", "staleness": 2}), tmp_path)
    for rounds in (2, 3):
        longer = train(tmp_path / "pieces", rounds=rounds, method={"name": "parablock", "staleness": 2})
    assert_same(ended(longer, tmp_path), expected)


def test_turns_over_which_the_learning_rate_falls_belong_to_one_number_of_rounds(tmp_path: Path):
    fields = VARIANTS[FALLS_OVER_ALL_TURNS]
    train(tmp_path, **fields)
    with pytest.raises(CheckpointError, match="belongs to another run"):
        train(tmp_path, **fields | {"rounds": 8})


@pytest.mark.parametrize("method", ["parablock", "fedbcd", "fedbuff", "flora", "fedcybgd"])
def test_ends_with_the_round_that_reaches_a_loss(method: str, tmp_path: Path):
    whole = train(tmp_path / "whole", method=method)
    losses = [float(str(row["eval_loss"])) for row in whole.metrics]
    # The loss of the second round, or what is there before; in no case is it the last one.
    target = losses[1]
    first = next(round for round, loss in enumerate(losses) if loss <= target)
    reached = train(tmp_path / "reached", method=method, target=target)
    assert len(reached.metrics) == first + 1
    shorter = ended(train(tmp_path / "shorter", method=method, rounds=first + 1), tmp_path)
    assert_same(ended(reached, tmp_path), shorter)
    # Asked again, nothing more is trained; without the loss, the run goes on as if it had never stopped.
    again = train(tmp_path / "reached", method=method, target=target, on_update=stop_after(1))
    assert_same(ended(again, tmp_path), shorter)
    assert_same(ended(train(tmp_path / "reached", method=method), tmp_path), ended(whole, tmp_path))


def test_without_checkpoints_it_ends_there_too(tmp_path: Path):
    whole = train(tmp_path / "whole")
    target = float(str(whole.metrics[1]["eval_loss"]))
    assert len(train(None, target=target).metrics) <= 2


class Given(RandomTokens):
    """Has the held-out losses that are given."""

    def __init__(self, *losses: float):
        super().__init__(3)
        self.losses = list(losses)

    def evaluate(self, model: nn.Module, *, accuracy: bool = True, progress: Any = None) -> Evaluation:
        """The next one."""
        return Evaluation(self.losses.pop(0), None, 2)


def test_the_best_round_is_kept_beside_the_last(tmp_path: Path):
    given_losses = replace(bench(), task=Given(3.0, 1.0, 2.0, 4.0, 3.5))
    trained = train(tmp_path / "run", on=given_losses)
    # Rounds count from 0: the best one is 1. A longer run would go on from round 3, behind which nobody has begun 5.
    assert saved_rounds(tmp_path / "run") == [1, 3, 4]
    best = best_learner(trained, bench(), tmp_path / "run", given)
    assert best is not None
    expected = ended(train(tmp_path / "short", rounds=2), tmp_path).weights
    assert all(torch.equal(value, expected[name]) for name, value in weights(best.model).items())


def test_there_is_no_best_beside_the_last_if_that_is_the_best(tmp_path: Path):
    trained = train(tmp_path / "run", on=replace(bench(), task=Given(3.0, 1.0, 2.0, 4.0, 1.0)))
    assert best_learner(trained, bench(), tmp_path / "run", given) is None
