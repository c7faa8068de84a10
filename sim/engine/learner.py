"""The interface between a protocol and whatever computes.

A protocol decides when; a learner decides what a local update is and how long it takes. `CostLearner` predicts
the seconds and carries no tensors; the trainer's learner really trains and measures. Protocols do not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from simpy import Event


@dataclass(slots=True)
class Update:
    """What one client computed in one round.

    Attributes
    ----------
    client : int
        Number of the (first) client.
    round : int
        0-based round.
    block : int or None
        0-based block that was trained; None for methods without blocks.
    seconds : float
        Duration of the local computation [s].
    serial : float
        Part of `seconds`, at its start, during which nothing can be sent [s].
    content : object
        What is learned, for learners that learn; a protocol never looks at it.
    sequence : int
        How many updates this client had begun before; noted by the engine.
    versions : mapping of int to int or None
        Version of each of the server's items that it was trained on; noted by the engine.
    received, settled : bool
        Whether the server has it, and whether it has been aggregated or dropped; noted by the engine.
    weight : float
        What a policy multiplies it by when it is aggregated.
    computed : bool
        Whether it was computed to its end; otherwise its client vanished before that.
    """

    client: int
    round: int
    block: int | None
    seconds: float
    serial: float = 0.0
    content: object = None
    sequence: int = 0
    versions: Mapping[int, int] | None = None
    weight: float = 1.0
    received: bool = False
    settled: bool = False
    computed: bool = True

    @property
    def newest(self) -> int:
        """Number of the newest aggregation that it was trained on; -1 for none."""
        return max((self.versions or {}).values(), default=-1)


@dataclass(frozen=True, slots=True)
class Promise:
    """An update that may still be under way: begun, and to be waited for when it is needed.

    Attributes
    ----------
    redeem : callable
        Waits for the update and returns it; called once.
    duration : (float, float) or None
        The update's `seconds` and `serial` [s] where they are known beforehand; None where only computing it tells.
    computed : simpy.Event or None
        Happens when it has been computed, where that goes on beside a clock that is no simulated one.
    """

    redeem: Callable[[], Update]
    duration: tuple[float, float] | None = None
    computed: Event | None = None


class Learner(Protocol):
    """What computes for a protocol."""

    def survey(self, client: int) -> float:
        """Do the full pass of the gradient-based schedule on one client and return its seconds [s]."""

    def schedule(self) -> Sequence[int | None]:
        """Block of each round (None for methods without blocks); asked for once, after any survey.

        An entry may follow from aggregations: it is looked up when the first client begins to train its round.
        """

    def train(self, client: int, round: int, block: int | None) -> Update | Promise:
        """Compute a local update (Algorithm 1) from what the client knows now, or promise it.

        Promises may be redeemed in any order, but all before the next aggregation.
        """

    def aggregate(self, number: int, item: int, updates: Sequence[Update]) -> None:
        """Bring updates into the server's model by its aggregation of that number: a new version of `item`.

        The number is the round's, where rounds are aggregated.
        """

    def drop(self, update: Update) -> None:
        """Learn that an update will never be aggregated."""

    def rest(self, client: int, *, vanished: bool) -> None:
        """Learn that a client will fetch all that it misses before it trains again.

        If it vanished, it keeps the versions that it had and nothing of its own.
        """

    def serve(self, client: int, versions: Mapping[int, int]) -> None:
        """Begin to send versions of items to a client: they have to stay until it receives them."""

    def receive(self, client: int, versions: Mapping[int, int]) -> None:
        """Install versions of items on a client: item to the round that renewed it last.

        The client's own updates that those versions contain are replaced by them: the correction of
        Algorithm 2, line 9.
        """
