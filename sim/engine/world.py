"""What all actors of a run share: the clock, the network, the learner, and what happened so far."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol

import simpy

from parasim_core.sim.engine.learner import Learner, Update
from parasim_core.sim.engine.rules import Rules, Sizes
from parasim_core.sim.engine.timeline import Timeline
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.model import Network
from parasim_core.sim.network.timing import EndOfInstant

Process = Generator[simpy.Event, Any, None]
Causes = tuple[int, ...]
"""Numbers of the spans that something waited for."""


class Signal(simpy.Event):
    """Something that processes wait for; its value is the causes of whatever happens next.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    what : callable
        Says in words what is waited for, should the run stand still.
    """

    def __init__(self, env: simpy.Environment, what: Callable[[], str]):
        super().__init__(env)
        self.what = what


class Redeemable(Protocol):
    """A computation whose result is only promised yet."""

    @property
    def span(self) -> int:
        """Number of its span; -1 as long as nobody knows how long it takes."""
        ...

    def redeem(self) -> None:
        """Wait for its result."""
        ...


class World:
    """The state that actors share.

    Attributes
    ----------
    timeline : Timeline
        Spans so far.
    schedule : sequence of int or None
        Block of each round, once it is known.
    shared_links : mapping of Link to int
        Whose the shared links are, if that is noted: see `Timeline.bound`.
    promised : dict
        Computations whose updates are only promised yet, in the order in which they began.
    unsettled : dict of (client, sequence) to list of int
        Where rounds are opened one by one, the spans of every update that has not been aggregated.
    known : dict
        Versions of the server's items that clients at rest know.
    """

    def __init__(
        self,
        env: simpy.Environment,
        network: Network,
        learner: Learner,
        sizes: Sizes,
        rules: Rules,
        timeline: Timeline,
    ):
        self.env = env
        self.network = network
        self.learner = learner
        self.sizes = sizes
        self.rules = rules
        self.timeline = timeline
        self.shared_links: Mapping[Link, int] = {}
        self.schedule: Sequence[int | None] = ()
        self.promised: dict[Redeemable, None] = {}
        self.unsettled: dict[tuple[int, int], list[int]] = {}
        self.known: dict[tuple[tuple[int, int], ...], Mapping[int, int]] = {}
        self._names: dict[int, tuple[int, ...]] = {}
        self.end_of_instant = EndOfInstant(env, self._redeem_unknown)
        # What is yielded where there is nothing to wait for: an event that is over.
        self.nothing = simpy.Event(env)
        self.nothing._ok, self.nothing._value = True, None
        self.nothing.callbacks = None  # type: ignore[assignment]

    def block(self, client: int, round: int) -> int | None:
        """Block that a client trains in a round.

        Clients that compute more updates than there are rounds begin the schedule again.
        """
        if self.rules.own_blocks is not None:
            return client % self.rules.own_blocks
        return self.schedule[round % len(self.schedule)]

    def named(self, block: int | None) -> tuple[int, ...]:
        """Name a block in a span, where the method trains blocks."""
        if block is None or not self.rules.blocks_named:
            return ()
        # One and the same for all spans: there may be millions of these.
        return self._names.setdefault(block, (block,))

    def waste(self, update: Update) -> None:
        """Note that an update will never be aggregated."""
        if self.unsettled:
            self.timeline.wasted.update(self.unsettled.pop((update.client, update.sequence), ()))

    def redeem(self) -> None:
        """Wait for all updates that are only promised yet, in the order in which they were."""
        for training in list(self.promised):
            training.redeem()

    def _redeem_unknown(self) -> None:
        """Wait for those of which nobody knows how long they take: the clock cannot go on before."""
        for training in list(self.promised):
            if training.span < 0:
                training.redeem()
