"""How training examples are split over clients: i.i.d., or by a Dirichlet draw over labels.

Labels are a column of the data or, for data without one, clusters of its texts. A partition knows its labels,
so that the table of clients by labels, its picture and the file on disk all come from one place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parasim_core.sim.support.atomic_files import write_atomically
from parasim_core.sim.support.streams import stream
from parasim_core.train.data.task import DataError


@dataclass(frozen=True)
class Partition:
    """Which examples belong to which client: disjoint, complete, and no client without any.

    Parameters
    ----------
    clients : tuple of tuple of int
        The examples of each client, ascending.
    labels : tuple of str
        The label of each example.

    Raises
    ------
    DataError
        If an example is missing or given twice, or a client has none.
    """

    clients: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        given = sorted(example for client in self.clients for example in client)
        if given != list(range(len(self.labels))):
            raise DataError(f"a partition must give each of its {len(self.labels)} examples to one client")
        if not all(self.clients):
            raise DataError(f"client {self.clients.index(())} has no training example")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Examples n_i of every client."""
        return tuple(map(len, self.clients))

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Count examples by label and client.

        Returns
        -------
        dict of str to tuple of int
            For every label, in the order of the alphabet, how many of its examples each client has.
        """
        held = [Counter(self.labels[example] for example in client) for client in self.clients]
        return {label: tuple(count[label] for count in held) for label in sorted(set(self.labels))}

    def save(self, path: Path) -> None:
        """Write the partition as JSON: clients, labels and, for whoever reads it, the counts.

        Parameters
        ----------
        path : Path
            The file, replaced as a whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        text = json.dumps({"counts": self.counts(), "clients": self.clients, "labels": self.labels})
        write_atomically(path, lambda file: file.write(text + "\n"))


def split_evenly(labels: Sequence[str], clients: int, *, seed: int) -> Partition:
    """Split at random, i.i.d.: client sizes differ by at most one.

    Parameters
    ----------
    labels : sequence of str
        The label of each example; only kept for the counts.
    clients : int
        Number of clients N.
    seed : int
        Seed of the scenario.

    Returns
    -------
    Partition
        The split.

    Raises
    ------
    DataError
        If there are fewer examples than clients.
    """
    _check(labels, clients, 1)
    order = stream(seed, "partition").permutation(len(labels))
    return _partition([part.tolist() for part in np.array_split(order, clients)], labels)


def split_by_label(labels: Sequence[str], clients: int, *, alpha: float, seed: int, minimum: int = 1) -> Partition:
    """Split every label over the clients in Dirichlet proportions.

    For each label, p ~ Dirichlet(alpha, ..., alpha) over the N clients says which share of its examples each
    client gets (Yurochkin et al., 2019). A large alpha comes close to i.i.d., a small one gives a label to
    hardly more than one client.

    Parameters
    ----------
    labels : sequence of str
        The label of each example.
    clients : int
        Number of clients N.
    alpha : float
        Concentration, positive and finite.
    seed : int
        Seed of the scenario.
    minimum : int
        Examples that every client has at least. Where the draw gives fewer, the missing ones come one at a
        time, at random, from whichever client has most: exactly as many move as are missing.

    Returns
    -------
    Partition
        The split.

    Raises
    ------
    DataError
        If there are fewer examples than clients x minimum.
    """
    _check(labels, clients, minimum)
    generator = stream(seed, "partition")
    parts: list[list[int]] = [[] for _ in range(clients)]
    for label in sorted(set(labels)):
        own = generator.permutation([index for index, other in enumerate(labels) if other == label])
        shares = _dirichlet(generator, alpha, clients)
        cuts = np.rint(np.cumsum(shares)[:-1] * len(own)).astype(int)
        for part, examples in zip(parts, np.split(own, cuts), strict=True):
            part.extend(examples.tolist())
    for part in parts:
        while len(part) < minimum:
            largest = max(parts, key=len)
            part.append(largest.pop(int(generator.integers(len(largest)))))
    return _partition(parts, labels)


def _dirichlet(generator: np.random.Generator, alpha: float, clients: int) -> NDArray[np.float64]:
    # At a tiny alpha plain gamma draws are all zero. Gamma(alpha) = Gamma(alpha + 1) * U^(1/alpha), and the
    # logarithm of that does not underflow.
    logarithms = np.log(generator.gamma(alpha + 1, size=clients))
    logarithms += np.log1p(-generator.random(clients)) / alpha
    shares = np.exp(logarithms - logarithms.max())
    return np.asarray(shares / shares.sum())


def _partition(parts: Sequence[Sequence[int]], labels: Sequence[str]) -> Partition:
    return Partition(tuple(tuple(sorted(part)) for part in parts), tuple(labels))


def _check(labels: Sequence[str], clients: int, minimum: int) -> None:
    if len(labels) < clients * minimum:
        raise DataError(
            f"{len(labels)} examples cannot give each of {clients} clients {minimum}: give more data or fewer clients"
        )
