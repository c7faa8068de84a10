"""When a server aggregates, and whose updates: policies that know neither clock nor network.

A server tells its policy of every update that it receives; the policy answers with a batch to be aggregated, with the
reason for which the update is dropped, or with nothing yet.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from parasim_core.sim.engine.learner import Update
from parasim_core.sim.errors import ScenarioError, shown


class Received(NamedTuple):
    """An update that has arrived.

    Attributes
    ----------
    update : Update
        What arrived.
    span : int
        Number of its upload's span.
    clients : int
        How many it stands for.
    """

    update: Update
    span: int
    clients: int = 1


class Batch(NamedTuple):
    """Updates that are aggregated together, as the aggregation of that number."""

    number: int
    received: Sequence[Received]


class Dropped(NamedTuple):
    """Why an update will never be aggregated."""

    reason: str


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def at_least(share: float, clients: int) -> int:
    """Clients that are a share of some: rounded up, but not because 0.07 x 100 is a little more than 7."""
    return math.ceil(share * clients - 1e-9)


class Aggregation:
    """Base of all policies: by default, nothing is ever aggregated and nothing is late."""

    deadline: float | None = None
    """Seconds from a round's opening to `due` [s]; None if there is no such thing."""
    waits_for_all: bool = False
    """Whether nothing happens before a round's last update is in, so that they may as well arrive as one."""
    collapsible: bool = False
    """Whether alike clients may arrive as one: it does not matter which of them is counted."""

    def expect(self, round: int, clients: int, wanted: int | None = None) -> None:
        """Learn how many clients take part in a round, and how many were wanted, if these are more than that."""

    def lost(self, round: int, clients: int) -> Batch | None:
        """Learn that so many clients will not send their updates of a round any more."""
        return None

    def missing(self, round: int) -> int:
        """How many further clients a round needs to be aggregated, beyond those who take part in it; 0 or less if none.

        Of a round that nothing is expected of yet, it is one at least.
        """
        return 0

    def short(self, round: int) -> bool:
        """Whether a round cannot be aggregated unless further clients are expected."""
        return self.missing(round) > 0

    def receive(self, received: Received) -> Batch | Dropped | None:
        """Take in an update."""
        raise NotImplementedError

    def due(self, round: int) -> Batch | None:
        """Learn that a round's deadline has passed."""
        return None

    def waiting(self, round: int) -> str:
        """Say what a round still waits for."""
        return "it waits for updates"

    def left_over(self) -> Sequence[Received]:
        """Updates that a later round would have taken, were there one."""
        return ()


class AllExpected(Aggregation):
    """A round is aggregated when every client that takes part in it has sent its update.

    Parameters
    ----------
    strict : bool
        Whether those that are left are not enough where some vanish.
    """

    waits_for_all = True
    collapsible = True

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._received: dict[int, list[Received]] = {}
        self._outstanding: dict[int, int] = {}
        self._least: dict[int, int] = {}

    def expect(self, round: int, clients: int, wanted: int | None = None) -> None:
        """Wait for so many; for so many more, if the round is open and not left by all."""
        if self._outstanding.get(round) or round in self._received:
            self._outstanding[round] += clients
            return
        self._outstanding[round] = clients
        if self._strict:
            self._least[round] = clients

    def lost(self, round: int, clients: int) -> Batch | None:
        """Wait for fewer; if all that are left are in, they make the batch."""
        self._outstanding[round] -= clients
        return self._complete(round)

    def missing(self, round: int) -> int:
        """Those without whom nobody is left, or not all that were wanted."""
        return self._least.get(round, 1) - self._in(round) - self._outstanding.get(round, 0)

    def receive(self, received: Received) -> Batch | None:
        """Take in an update; the last one of its round makes the batch."""
        round = received.update.round
        self._received.setdefault(round, []).append(received)
        self._outstanding[round] -= received.clients
        return self._complete(round)

    def _complete(self, round: int) -> Batch | None:
        if self._outstanding[round] or self.missing(round) > 0:
            return None
        return Batch(round, self._received.pop(round))

    def _in(self, round: int) -> int:
        return sum(received.clients for received in self._received.get(round, ()))

    def waiting(self, round: int) -> str:
        """Count who is missing."""
        arrived = self._in(round)
        return f"{arrived} of {arrived + max(0, self.missing(round)) + self._outstanding.get(round, 0)} updates are in"


@dataclass
class Quorum(Aggregation):
    """A round is aggregated when a share of its clients have sent their updates, or when its deadline has passed.

    Where fewer are left, they are enough, and where nobody is in at the deadline, the first to arrive is, unless it is
    strict. Late clients go on from where they are, so that a shape that sets this policy ends its run with `Run.stop`,
    and opens its rounds with `Server.open` for a deadline.

    Attributes
    ----------
    least : float
        Share of the clients wanted that is enough, above 0 and at most 1.
    deadline : float or None
        Seconds from the round's opening [s].
    late : str
        What becomes of later updates: ``discard``, or ``next-round`` to have them aggregated with the next one.
    strict : bool
        Whether fewer are never enough: a round that does not come to it, or not by its deadline, is short.
    """

    least: float = 1.0
    deadline: float | None = None
    late: Literal["discard", "next-round"] = "discard"
    strict: bool = False
    _enough: dict[int, int] = field(default_factory=dict)
    _outstanding: Counter[int] = field(default_factory=Counter)
    _received: dict[int, list[Received]] = field(default_factory=dict)
    _closed: set[int] = field(default_factory=set)
    _overdue: set[int] = field(default_factory=set)
    _late: list[Received] = field(default_factory=list)
    _in: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if not _is_number(self.least) or not 0 < self.least <= 1:
            raise ScenarioError(f"quorum: least {shown(self.least)}: a number above 0, at most 1")
        if self.deadline is not None and not (_is_number(self.deadline) and 0 <= self.deadline < math.inf):
            raise ScenarioError(f"quorum: deadline {shown(self.deadline)}: seconds, not negative, or None")
        if self.late not in ("discard", "next-round"):
            raise ScenarioError(f"quorum: late {self.late!r}: allowed are discard, next-round")

    def expect(self, round: int, clients: int, wanted: int | None = None) -> None:
        """Learn how many clients take part, and of how many the share is taken if these are more than that.

        Of a round that is open and not left by all, these are further ones, and the share is of those wanted before.
        """
        if not (self._in[round] or self._outstanding[round]):
            self._enough[round] = at_least(self.least, clients if wanted is None else wanted)
        self._outstanding[round] += clients
        self._overdue.discard(round)

    def lost(self, round: int, clients: int) -> Batch | None:
        """Wait for fewer; if all that are left are in, they are enough."""
        self._outstanding[round] -= clients
        return self._close(round) if self._in[round] and self._complete(round) else None

    def missing(self, round: int) -> int:
        """Those without whom nobody is left, or not enough if it is strict."""
        if round in self._closed:
            return 0
        least = self._enough.get(round, 1) if self.strict else 1
        return least - self._in[round] - self._outstanding[round]

    def short(self, round: int) -> bool:
        """Whether too many are missing, or its deadline has passed with less than is enough."""
        return super().short(round) or (self.strict and round in self._overdue)

    def receive(self, received: Received) -> Batch | Dropped | None:
        """Take in an update, late or not."""
        round = received.update.round
        self._outstanding[round] -= received.clients
        if round in self._closed:
            if self.late == "discard":
                return Dropped("late: its round had been aggregated")
            self._late.append(received)
            return None
        self._received.setdefault(round, []).append(received)
        self._in[round] += received.clients
        return self._close(round) if self._complete(round) else None

    def due(self, round: int) -> Batch | None:
        """Aggregate what there is, if that may be less than is enough."""
        if round in self._closed:
            return None
        if self.strict or not self._received.get(round):
            self._overdue.add(round)
            return None
        return self._close(round)

    def waiting(self, round: int) -> str:
        """Count who is in."""
        return f"{self._in[round]} updates are in, {self._enough.get(round, 0)} are enough"

    def left_over(self) -> Sequence[Received]:
        """Late ones after the last round."""
        return self._late

    def _complete(self, round: int) -> bool:
        """Whether enough are in, or all that will ever be, of a round that is open."""
        if round in self._closed:
            return False
        if self.strict:
            return self._in[round] >= self._enough[round]
        enough = 1 if round in self._overdue else self._enough.get(round, 0)
        return self._in[round] >= enough or self._outstanding[round] == 0

    def _close(self, round: int) -> Batch:
        self._closed.add(round)
        self._overdue.discard(round)
        batch = Batch(round, [*self._late, *self._received.pop(round)])
        self._late = []
        return batch


def weight_of_stale(rule: str, decay: float, grace: int) -> Callable[[int], float]:
    """Weight of an update that is s aggregations old.

    Parameters
    ----------
    rule : str
        ``constant``: 1. ``polynomial``: (1 + s)^-decay. ``hinge``: 1 up to `grace`, then 1 / (1 + decay (s - grace)).
    decay : float
        Not negative.
    grace : int
        Aggregations.

    Notes
    -----
    Source: Xie, Koyejo and Gupta, "Asynchronous Federated Optimization" (arXiv 1903.03934), section 5.2.
    """
    if rule == "polynomial":
        return lambda staleness: float((1 + staleness) ** -decay)
    if rule == "hinge":
        return lambda staleness: 1 / (1 + decay * max(0, staleness - grace))
    return lambda staleness: 1.0


@dataclass
class Buffer(Aggregation):
    """Every so many updates are aggregated, whoever sent them.

    Attributes
    ----------
    size : int
        Updates per aggregation.
    bound : int or None
        Staler updates are dropped.
    weigh : callable
        Weight of an update, given its staleness.
    by_block : bool
        Whether each block has a buffer of its own, instead of one for all updates.
    """

    size: int
    bound: int | None = None
    weigh: Callable[[int], float] = lambda staleness: 1.0
    by_block: bool = False
    _received: dict[int | None, list[Received]] = field(default_factory=dict)
    _in: Counter[int | None] = field(default_factory=Counter)
    _batches: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise ScenarioError(f"buffer: size {shown(self.size)}: a whole number of updates, at least 1")
        if self.bound is not None and not (isinstance(self.bound, int) and self.bound >= 0):
            raise ScenarioError(f"buffer: bound {shown(self.bound)}: a whole number of aggregations, or None")

    def receive(self, received: Received) -> Batch | Dropped | None:
        """Take in an update; the one that fills the buffer makes the batch."""
        # Aggregations that have begun count, too: they come between what it was trained on and its own.
        staleness = self._batches - 1 - received.update.newest
        if self.bound is not None and staleness > self.bound:
            return Dropped(f"more than {self.bound} aggregations stale")
        received.update.weight = self.weigh(staleness)
        buffer = received.update.block if self.by_block else None
        self._received.setdefault(buffer, []).append(received)
        self._in[buffer] += received.clients
        if self._in[buffer] < self.size:
            return None
        del self._in[buffer]
        self._batches += 1
        return Batch(self._batches - 1, self._received.pop(buffer))

    def left_over(self) -> Sequence[Received]:
        """What never filled a buffer."""
        return [received for buffer in self._received.values() for received in buffer]

    def waiting(self, round: int) -> str:
        """Count what is in the fullest buffer."""
        which = "the fullest buffer" if self.by_block else "the buffer"
        return f"{max(self._in.values(), default=0)} of {self.size} updates are in {which}"


class Immediate(Buffer):
    """Every update is aggregated by itself, when it arrives."""

    def __init__(self, bound: int | None = None, weigh: Callable[[int], float] = lambda staleness: 1.0):
        super().__init__(1, bound, weigh)
