from __future__ import annotations

import numpy as np
import pytest
import torch

from train.batching import Batching
from train.models import random_model
from train.partition import split_by_label, split_evenly
from train.task import DataError, Task
from train.vision import ImageTask, digits_config, read_digits


@pytest.fixture(scope="module")
def digits():
    return read_digits(seed=0)


def test_every_digit_is_on_both_sides(digits):
    training, held_out = digits
    assert len(training.classes) + len(held_out.classes) == 1797
    assert len(held_out.classes) == 360
    # Stratified: each digit is a tenth of the data, and of 360 held-out images about 36 are of each.
    assert all(34 <= count <= 38 for count in np.bincount(held_out.classes))
    assert training.pixels.shape == (1437, 1, 8, 8)
    assert (training.pixels.min(), training.pixels.max()) == (-1, 1)
    assert np.array_equal(read_digits(seed=0)[1].pixels, held_out.pixels)
    assert not np.array_equal(read_digits(seed=1)[1].classes, held_out.classes)


def test_larger_images_repeat_their_pixels(digits):
    large = read_digits(side=24, channels=3, seed=0)[0].pixels
    assert large.shape == (1437, 3, 24, 24)
    small = digits[0].pixels
    for offset in range(3):
        assert np.array_equal(large[:, 1:2, offset::3, offset::3], small)


@pytest.mark.parametrize("options", [{"side": 12}, {"channels": 0}, {"held_out": 0.0001}, {"held_out": 1.5}])
def test_digits_that_cannot_be(options):
    with pytest.raises(DataError):
        read_digits(**options)


def test_batches_are_of_the_clients_own_images(digits):
    training, held_out = digits
    task = ImageTask(training, held_out, split_by_label(training.labels, 5, alpha=0.1, seed=0), Batching(16, 3))
    assert sum(task.examples) == 1437
    own = set(training.classes[list(task.partition.client(1))].tolist())
    batches = list(task.batches(1, 4))
    assert [tuple(batch["pixel_values"].shape) for batch in batches] == [(16, 1, 8, 8)] * 3
    assert {label for batch in batches for label in batch["labels"].tolist()} <= own
    again = list(task.batches(1, 4))
    assert all(torch.equal(one["pixel_values"], two["pixel_values"]) for one, two in zip(batches, again, strict=True))
    with pytest.raises(DataError, match="one of 2 images"):
        ImageTask(training, held_out, split_evenly("ab", 2, seed=0), Batching(1, 1))


def test_evaluation_does_not_depend_on_its_batches(digits):
    training, held_out = digits
    model = random_model(digits_config(layers=1), seed=0)
    partition = split_evenly(training.labels, 2, seed=0)
    whole = ImageTask(training, held_out, partition, Batching(1, 1), evaluation_batch_size=360).evaluate(model)
    calls = []
    parts = ImageTask(training, held_out, partition, Batching(1, 1), evaluation_batch_size=100).evaluate(
        model, progress=lambda done, total: calls.append((done, total))
    )
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert parts.accuracy == whole.accuracy
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_small_transformer_learns_the_digits(digits):
    training, held_out = digits
    task: Task = ImageTask(training, held_out, split_evenly(training.labels, 1, seed=0), Batching(32, 400))
    model = random_model(digits_config(layers=2), seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for batch in task.batches(0, 0):
        task.loss(model, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert task.evaluate(model).accuracy > 0.9
