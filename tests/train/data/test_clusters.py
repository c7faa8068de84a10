from __future__ import annotations

import pytest

from parasim_core.train.data.clusters import cluster_texts
from parasim_core.train.data.task import DataError

# Scikit-learn's remarks are for programmers: none may reach the user.
pytestmark = pytest.mark.filterwarnings("error")

FRUIT = ["apples and pears", "pears and plums", "ripe apples, ripe plums", "plums apples pears"]
METAL = ["copper wire", "copper and tin", "tin wire bends"]


def test_two_subjects_are_two_clusters():
    # No word is shared, so the clusters are the subjects; the larger one comes first.
    labels = cluster_texts([*FRUIT, *METAL], 2, seed=0)
    assert labels == ["cluster 0"] * 4 + ["cluster 1"] * 3


def test_many_words_are_reduced_and_the_seed_decides():
    # 30 texts of 100 words each, more words than topics.
    texts = [" ".join(f"word{(7 * text + 11 * word) % 301}" for word in range(100)) for text in range(80)]
    labels = cluster_texts(texts, 5, seed=3)
    assert labels == cluster_texts(texts, 5, seed=3)
    assert set(labels) == {f"cluster {number}" for number in range(5)}
    sizes = [labels.count(f"cluster {number}") for number in range(5)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("clusters", [0, 5])
def test_as_many_clusters_as_cannot_be(clusters):
    with pytest.raises(DataError, match="4 texts cannot form"):
        cluster_texts(FRUIT, clusters, seed=0)


def test_texts_that_are_alike():
    # Two different texts are two clusters, whoever asks for three; one text, many times over, is none to split by.
    assert set(cluster_texts([FRUIT[0], METAL[0]] * 4, 3, seed=0)) == {"cluster 0", "cluster 1"}
    assert cluster_texts(FRUIT[:1] * 4, 1, seed=0) == ["cluster 0"] * 4
    with pytest.raises(DataError, match="the 4 texts are too much alike to form 3 clusters: they form only one"):
        cluster_texts(FRUIT[:1] * 4, 3, seed=0)


def test_texts_without_words():
    with pytest.raises(DataError, match="no word"):
        cluster_texts(["", "?", "the"], 2, seed=0)
