from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.data.partition import Partition, split_by_label, split_evenly
from parasim_core.train.data.task import DataError

_labels = st.lists(st.sampled_from("abcd"), min_size=1, max_size=60)
_alpha = st.floats(1e-9, 1e9)


def check(partition, labels, clients, minimum=1):
    # Disjoint and complete: every example exactly once. Non-empty: at least `minimum` each.
    assert sorted(sum(partition.clients, ())) == list(range(len(labels)))
    assert len(partition.clients) == clients
    assert min(partition.sizes) >= minimum


def test_counts_by_hand():
    partition = Partition(((0, 3), (1, 2)), ("b", "a", "a", "b"))
    assert partition.sizes == (2, 2)
    assert partition.counts() == {"a": (0, 2), "b": (2, 0)}


@given(_labels, st.data(), st.integers(0, 99))
def test_even_split(labels, data, seed):
    clients = data.draw(st.integers(1, len(labels)))
    partition = split_evenly(labels, clients, seed=seed)
    check(partition, labels, clients)
    assert max(partition.sizes) - min(partition.sizes) <= 1
    assert partition == split_evenly(labels, clients, seed=seed)


@given(_labels, st.data(), _alpha, st.integers(0, 99))
def test_label_split(labels, data, alpha, seed):
    clients = data.draw(st.integers(1, len(labels)))
    minimum = data.draw(st.integers(1, len(labels) // clients))
    partition = split_by_label(labels, clients, alpha=alpha, seed=seed, minimum=minimum)
    check(partition, labels, clients, minimum)
    assert partition == split_by_label(labels, clients, alpha=alpha, seed=seed, minimum=minimum)


@given(_labels, st.data(), st.floats(1e-9, 10), st.integers(0, 99))
def test_as_few_examples_move_as_are_missing(labels, data, alpha, seed):
    # With minimum m, the clients that the draw left short of 1 or m receive exactly what they miss; the draw
    # itself is the same, so clients that had at least m before keep a subset of their own.
    clients = data.draw(st.integers(1, len(labels)))
    minimum = data.draw(st.integers(1, len(labels) // clients))
    before = split_by_label(labels, clients, alpha=alpha, seed=seed)
    after = split_by_label(labels, clients, alpha=alpha, seed=seed, minimum=minimum)
    for was, now in zip(before.clients, after.clients, strict=True):
        if len(was) > minimum:
            assert set(now) <= set(was)
        else:
            assert len(now) == minimum


def test_a_large_alpha_is_close_to_even():
    # 4 labels x 1000 examples over 10 clients: Dirichlet(1e9) gives each 100 of each label, to rounding.
    counts = split_by_label("abcd" * 1000, 10, alpha=1e9, seed=0).counts()
    assert all(abs(count - 100) <= 1 for row in counts.values() for count in row)


def test_a_small_alpha_concentrates():
    # 4 labels over 10 clients: Dirichlet(1e-6) gives each label to one client. Those clients, at most 4, keep
    # all but the 6 or more examples that the empty ones are given.
    partition = split_by_label("abcd" * 1000, 10, alpha=1e-6, seed=0)
    counts = partition.counts()
    assert all(max(row) >= 990 for row in counts.values())
    assert sum(size == 1 for size in partition.sizes) >= 6


def test_too_few_examples():
    with pytest.raises(DataError, match="3 examples cannot give each of 4 clients 1"):
        split_evenly("abc", 4, seed=0)
    with pytest.raises(DataError, match="3 examples cannot give each of 2 clients 2"):
        split_by_label("abc", 2, alpha=1, seed=0, minimum=2)


@pytest.mark.parametrize("clients", [((0,), ()), ((0,), (0, 1)), ((0,), (2,))])
def test_no_partition(clients):
    with pytest.raises(DataError):
        Partition(clients, ("a", "b")[: max(map(len, clients))])


def test_saved_whole(tmp_path):
    partition = split_by_label("abcd" * 10, 5, alpha=0.5, seed=0)
    path = tmp_path / "partition.json"
    partition.save(path)
    saved = json.loads(path.read_text())
    assert Partition(tuple(map(tuple, saved["clients"])), tuple(saved["labels"])) == partition
    assert saved["counts"] == {key: list(row) for key, row in partition.counts().items()}
    assert list(tmp_path.iterdir()) == [path]
