"""Labels for texts that have none: clusters of what they are about, for a Dirichlet split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from parasim_core.train.data.task import DataError

_LARGEST_VOCABULARY = 20_000
_TOPICS = 64


def cluster_texts(texts: Sequence[str], clusters: int, *, seed: int) -> list[str]:
    """Cluster texts by their words: TF-IDF, latent semantic analysis, k-means.

    Parameters
    ----------
    texts : sequence of str
        What to cluster, such as prompts.
    clusters : int
        How many clusters k.
    seed : int
        Seed of both the analysis and k-means.

    Returns
    -------
    list of str
        The label of each text, ``cluster 0`` (the largest) to ``cluster k-1``, whatever the number of cores; texts
        that are too much alike form fewer than k.

    Raises
    ------
    DataError
        If there are fewer texts than clusters, no cluster is asked for, the texts hold no word, or they form one
        cluster where several are asked for.
    """
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if not 1 <= clusters <= len(texts):
        raise DataError(f"{len(texts)} texts cannot form {clusters} clusters")
    # Sums come out the same to the last bit only if one thread adds them up in one order.
    with threadpool_limits(1):
        words = TfidfVectorizer(sublinear_tf=True, stop_words="english", max_features=_LARGEST_VOCABULARY)
        try:
            weights = words.fit_transform(texts)
        except ValueError:
            raise DataError("the texts hold no word to cluster them by") from None
        if weights.shape[1] > _TOPICS:
            weights = TruncatedSVD(_TOPICS, random_state=seed).fit_transform(weights)
        with warnings.catch_warnings():
            # Fewer different texts than clusters: the labels show it, and who uses them says it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = KMeans(clusters, n_init=4, random_state=seed).fit_predict(normalize(weights))
    if clusters > 1 and len(set(found)) == 1:
        raise DataError(
            f"the {len(texts)} texts are too much alike to form {clusters} clusters: they form only one; "
            "split them at random (train.partition.kind=iid)"
        )
    ranks = np.argsort(np.argsort(-np.bincount(found, minlength=clusters), kind="stable"))
    return [f"cluster {ranks[cluster]}" for cluster in found]
