"""What a scenario tells every protocol: what messages weigh, and a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from parasim_core.sim.engine.learner import Update


class Sizes(Protocol):
    """What messages weigh [B]."""

    def upload(self, update: Update) -> float:
        """Size of one client's update [B]."""
        ...

    def together(self, update: Update, clients: int) -> float:
        """Size of what an aggregator sends for the updates of so many clients, of which this is one [B]."""
        ...

    def download(self, item: int, changes: int = 1) -> float:
        """Size of the server's current version of an item for a client that misses its last `changes` [B]."""
        ...

    def holds(self, item: int, clients: int) -> None:
        """Learn that a version of an item was made of so many clients' updates."""
        ...

    def item(self, round: int, block: int | None) -> int:
        """Which of the server's items the aggregate of a round is a new version of."""
        ...


@dataclass(frozen=True)
class Rules:
    """The numbers of a scenario that all protocols need; those of one alone are its `Params`.

    Attributes
    ----------
    rounds : int
        Number of rounds.
    seed : int
        Seed of the protocol's own random draws.
    serialization : float
        A client's time to pack or unpack one message [s].
    aggregation : float
        The server's time to aggregate a round [s].
    parallel : bool
        Whether it may aggregate several rounds at once, instead of one after the other.
    sequential : bool
        Whether every update of a round is trained on the aggregate of the one before it.
    blocks_named : bool
        Whether items are blocks, to be named in the timeline.
    surveyed : bool
        Whether a full pass on the first participants precedes round 0.
    own_blocks : int or None
        Where each client has a block of its own, in the order of their numbers, how many there are.
    """

    rounds: int
    seed: int = 0
    serialization: float = 0.0
    aggregation: float = 0.0
    parallel: bool = False
    sequential: bool = False
    blocks_named: bool = True
    surveyed: bool = False
    own_blocks: int | None = None
