from __future__ import annotations

from unittest import mock

import pytest
import torch

from parasim_core.train.data.batching import Batching
from parasim_core.train.data.encoding import encode
from parasim_core.train.data.formats import Example
from parasim_core.train.data.partition import split_by_label, split_evenly
from parasim_core.train.data.task import DataError, Task
from parasim_core.train.data.template import Template
from parasim_core.train.data.text import TextTask, check_sequence_length, evaluate_text
from parasim_core.train.models.building import random_model
from parasim_core.train.update.local import LocalSettings, train_locally
from parasim_demonstration.models import demo_config, word_tokenizer
from parasim_demonstration.word_problems import vocabulary, word_problems

TEMPLATE = Template(word_tokenizer(vocabulary()))
TRAINING = encode([Example(**problem) for problem in word_problems(60, seed=0)], TEMPLATE, 64)
HELD_OUT = encode([Example(**problem) for problem in word_problems(10, seed=1)], TEMPLATE, 64)
LABELS = [example.label for example in TRAINING.examples]


def text_task(seed=0, **options) -> Task:
    partition = split_by_label(LABELS, 4, alpha=0.5, seed=0)
    return TextTask(TRAINING, HELD_OUT, partition, Batching(3, 2, seed), **options)


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_resumed_run_draws_the_same_batches():
    whole = text_task()
    drawn = [batch for round in range(4) for batch in whole.batches(2, round)]
    resumed = text_task()
    assert all(same(*pair) for pair in zip(drawn[4:], [*resumed.batches(2, 2), *resumed.batches(2, 3)], strict=True))
    assert not same(drawn[0], next(text_task(seed=1).batches(2, 0)))


def test_a_client_draws_its_own_examples():
    task = text_task()
    for client, size in enumerate(task.examples):
        own = {TRAINING.rows[index].tokens for index in task.partition.clients[client]}
        drawn = set()
        for round in range(-(-size // 6)):
            for batch in task.batches(client, round):
                assert len(batch["input_ids"]) == 3
                for tokens, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
                    drawn.add(tuple(tokens[mask.bool()].tolist()))
        assert drawn == own


def test_evaluation_reports_its_steps_and_checks_what_can_be_checked():
    model = random_model(demo_config(len(TEMPLATE.tokenizer), layers=1), seed=0)
    calls = []
    # 10 examples by 4: 3 batches for the loss, then 3 for the answers.
    task = text_task(evaluation_batch_size=4)
    evaluation = task.evaluate(model, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(step, 6) for step in range(1, 7)]
    assert evaluation.accuracy is not None
    assert evaluation.examples == 10
    assert task.evaluate(model, accuracy=False) == type(evaluation)(evaluation.loss, None, 10)
    unchecked = encode([Example("What is 1?", "1")], TEMPLATE, 64)
    partition = split_evenly(LABELS, 1, seed=0)
    assert TextTask(TRAINING, unchecked, partition, Batching(1, 1)).evaluate(model).accuracy is None


def test_what_is_dropped_counts_as_wrong():
    # A model that is never right: 0 of the 1 question left, and 0 of 2 with the one that fills the sequence. One that
    # always is: 1 of 1, and 1 of 2. The loss is that of what is left.
    model = random_model(demo_config(len(TEMPLATE.tokenizer), layers=1), seed=0)
    short, long = Example("What is 1?", "1", answer="1"), Example("What is 1?" * 20, "1", answer="1")
    alone, both = encode([short], TEMPLATE, 64), encode([short, long], TEMPLATE, 64)
    assert both.dropped == (long,)
    for text, right in (("#### 2", 0), ("#### 1", 1)):
        with mock.patch("parasim_core.train.data.evaluate.generate", lambda *arguments, text=text: [text]):
            one = evaluate_text(model, alone, batch_size=4)
            two = evaluate_text(model, both, batch_size=4)
        assert (one.accuracy, two.accuracy) == (right, right / 2)
        assert one.loss == two.loss
    assert evaluate_text(model, both, batch_size=4, accuracy=False).accuracy is None


def test_a_sequence_length_that_a_model_can_read():
    model = random_model(demo_config(len(TEMPLATE.tokenizer), layers=1), seed=0)
    assert check_sequence_length(model, "demo", 512, "length") == 512
    assert check_sequence_length(model, "demo", None, "length") == 512
    with pytest.raises(DataError, match="length is 513 tokens, but demo can read 512 at most"):
        check_sequence_length(model, "demo", 513, "length")
    model.config.max_position_embeddings = 100
    assert check_sequence_length(model, "demo", None, "length") == 100
    # A module without a configuration names no limit.
    assert check_sequence_length(torch.nn.Linear(1, 1), "line", 10**6, "length") == 10**6


def test_the_loss_is_the_models_own():
    model = random_model(demo_config(len(TEMPLATE.tokenizer), layers=1), seed=0)
    task = text_task()
    batch = next(task.batches(0, 0))
    loss = task.loss(model, batch)
    assert loss.requires_grad
    assert torch.equal(loss, model(**batch).loss)


def test_batches_of_one_accumulated_learn_what_batches_of_two_do():
    # The same examples in the same order, cut into 2 x 2 batches of one or 2 batches of two; answers of 1 to 4 words.
    training = encode([Example(f"What is {n}?", "1 " * n) for n in range(1, 5)], TEMPLATE, 64)
    model = random_model(demo_config(len(TEMPLATE.tokenizer), layers=1), seed=0)
    part, partition = dict(model.named_parameters()), split_evenly(["words"] * 4, 1, seed=0)
    learned = []
    for size, accumulation in ((1, 2), (2, 1)):
        task = TextTask(training, HELD_OUT, partition, Batching(size, 2 * accumulation, 0))
        plan = LocalSettings(1e-2, 2, epsilon=10.0, accumulation=accumulation)
        learned.append(train_locally(model, part, task.batches(0, 0), task.loss, plan))
    assert learned[0].loss == pytest.approx(learned[1].loss, rel=1e-5)
    one, other = (torch.cat([update.delta[name].flatten() for name in part]) for update in learned)
    assert (one - other).norm() < 1e-4 * other.norm()


def test_a_partition_of_other_examples():
    with pytest.raises(DataError, match=r"59 .* 60"):
        TextTask(TRAINING, HELD_OUT, split_evenly(LABELS[1:], 4, seed=0), Batching(3, 2))
