"""What is left of messages: changes, and values that begin afresh in every round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.sections import Compression
from tests.train.small_runs import bench, train
from tests.train.tiny import RandomTokens, tiny_model, weights
from train.data.task import Evaluation
from train.models.blocks import flatten
from train.update.messages import Messages

whole_messages = st.lists(st.integers(-1000, 1000), min_size=7, max_size=7).map(
    lambda values: {"a": torch.tensor(values[:3]).float(), "b": torch.tensor(values[3:]).float().view(2, 2)}
)


class TheSameTokens(RandomTokens):
    """One batch for everyone, always, that is measured on too: it can be learned by heart."""

    def batches(self, client: int, round: int):
        """That batch."""
        return super().batches(0, 0)

    def evaluate(self, model, *, accuracy=True, progress=None):
        """Loss on it."""
        with torch.no_grad():
            return Evaluation(self.loss(model, next(self.batches(0, 0))).item(), None, 2)


def test_flora_learns_with_top_k(tmp_path: Path):
    # Over the whole message, three in ten of the values are all A's: B, which grows from zero, would stay zero at the
    # server, and with it every product B A.
    task = TheSameTokens(3, steps=8)
    options = {"method": "flora", "rounds": 4, "local": {"steps": 8}, "wire": {"upload": {"top_k": 0.3}}}
    trained = train(tmp_path, {"learning_rate": 2e-3}, on=replace(bench(), task=task), **options)
    before = task.evaluate(tiny_model()).loss
    losses = [float(str(row["eval_loss"])) for row in trained.metrics]
    assert before > losses[0] > losses[-1]
    trained.learner.trained.adapter.remove()
    changed = {
        name for name, value in weights(trained.learner.model).items() if not value.equal(weights(tiny_model())[name])
    }
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


def test_values_owe_nothing():
    # A and B of the next round start elsewhere: what was left out of these says nothing about those.
    values = {"a": torch.tensor([1.0, 2.0])}
    for are_values, second in ((False, [2.5, 0.0]), (True, [0.0, 2.0])):
        messages = Messages(Compression(top_k=0.5), Compression(), error_feedback=True, values=are_values)
        assert messages.send(0, 0, 0, values)["a"].tolist() == [0.0, 2.0]
        # With the 1 that is owed, 1.5 is 2.5.
        assert messages.send(0, 0, 1, {"a": torch.tensor([1.5, 2.0])})["a"].tolist() == second


@given(st.lists(whole_messages, min_size=1, max_size=6), st.floats(0.01, 1))
def test_error_feedback_loses_nothing(deltas, fraction):
    # sum of sent + residual = sum of deltas; whole numbers below 2^24 add up exactly in float32.
    messages = Messages(Compression(top_k=fraction), Compression(), error_feedback=True)
    total = sum(flatten(messages.send(0, 0, round, delta)) for round, delta in enumerate(deltas))
    assert torch.equal(total + flatten(messages.residuals[0, 0]), sum(flatten(delta) for delta in deltas))


def test_error_feedback_sends_at_last_what_top_k_always_drops():
    # k = 1 of (3, 2) every round. Without feedback the second entry never arrives. With it: round 1 sends 3 and
    # owes 2; round 2 has (3, 4), sends 4 and owes 3.
    messages = Messages(Compression(top_k=0.5), Compression(), error_feedback=True)
    sent = [messages.send(0, 0, round, {"a": torch.tensor([3.0, 2.0])})["a"].tolist() for round in range(2)]
    assert sent == [[3.0, 0.0], [0.0, 4.0]]
    assert messages.residuals[0, 0]["a"].tolist() == [3.0, 0.0]


def test_what_was_dropped_is_sent_with_the_next_message():
    # The 3 that was sent is dropped: (3, 2) is owed, and with (1, 3) that is (4, 5). Without memory it is lost.
    for remembers, second in ((True, [0.0, 5.0]), (False, [0.0, 3.0])):
        messages = Messages(Compression(top_k=0.5), Compression(), error_feedback=remembers)
        messages.take_back(0, 0, messages.send(0, 0, 0, {"a": torch.tensor([3.0, 2.0])}))
        assert messages.send(0, 0, 1, {"a": torch.tensor([1.0, 3.0])})["a"].tolist() == second
