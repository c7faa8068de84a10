"""A local computation in progress."""

from __future__ import annotations

from collections.abc import Mapping

import simpy
from simpy.events import NORMAL

from parasim_core.sim.engine.learner import Promise, Update
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.engine.world import Causes, World

_COMPUTE = Kind.COMPUTE


class Training(simpy.Event):
    """A local computation in progress; its value is the update.

    An update that is only promised is waited for as late as the clock allows, so that a learner with several workers
    can begin others meanwhile: when its training ends, if it is known how long that takes; else at the end of the
    instant in which it began. An aggregation waits for all that are open.

    Parameters
    ----------
    world : World
        The run.
    client, sequence, round : int
        Whose update it is, how many this client has computed before, and of which round.
    versions : mapping of int to int
        What the client knows of the server's items; never changed afterwards.
    causes : tuple of int
        Spans that it waited for.

    Attributes
    ----------
    span : int
        Number of its span; -1 as long as nobody knows how long it takes.
    serial : float
        Part at its start during which nothing can be sent [s]; known with the span.
    """

    def __init__(
        self, world: World, client: int, sequence: int, round: int, versions: Mapping[int, int], causes: Causes
    ):
        # What SimPy's own initialisation does, without the call, for speed; an update that is there is taken at once.
        self.env = world.env
        self.callbacks = []
        self.span = -1
        self.causes = causes
        self._world = world
        self._begun: simpy.Event | None = None
        self._promise: Promise | None = None
        self._of = (client, sequence, round, versions)
        block = world.block(client, round)
        self._blocks = world.named(block)
        computed = world.learner.train(client, round, block)
        if isinstance(computed, Update):
            computed.sequence, computed.versions = sequence, versions
            self._value = computed
            self._last(computed.seconds, computed.serial)
            return
        self._promise = computed
        if computed.computed is not None:
            self._began, self.serial = world.env._now, 0.0
            computed.computed.callbacks.append(self._over)
            return
        world.promised[self] = None
        if computed.duration is None:
            world.end_of_instant.request()
        else:
            self.callbacks.append(Training.redeem)
            self._last(*computed.duration)

    @property
    def update(self) -> Update:
        """The update; waited for, if it is only promised yet."""
        self.redeem()
        update: Update = self._value
        return update

    def redeem(self) -> None:
        """Wait for the update, if it is only promised yet."""
        if self._promise is None:
            return
        promise, self._promise = self._promise, None
        self._world.promised.pop(self, None)
        update = promise.redeem()
        _, update.sequence, _, update.versions = self._of
        self._value = update
        if self.span < 0:
            self._last(update.seconds, update.serial)
            if self._begun is not None:
                self._begun.succeed()

    def begun(self) -> simpy.Event:
        """Happen when it is known how long it takes, where it is not known yet; no time passes."""
        if self._promise is not None and self._promise.computed is not None:
            # It goes on by itself, and nobody knows until it is over.
            return self._world.nothing
        self._begun = self._begun or self.env.event()
        return self._begun

    def sendable(self) -> simpy.Event:
        """Happen when something can be sent beside it, once it has begun."""
        return self.env.timeout(self.serial)

    def _over(self, event: simpy.Event) -> None:
        """Take in what has been computed meanwhile: what waits for it goes on."""
        promise, self._promise = self._promise, None
        assert promise is not None
        update = promise.redeem()
        _, update.sequence, _, update.versions = self._of
        now = self.env._now
        update.seconds = now - self._began
        self._record_until(now, update.serial, self.causes)
        self._ok = True
        self._value = update
        self.env.schedule(self)

    def _record(self, seconds: float, serial: float, causes: Causes) -> None:
        """Record its span, from now on."""
        self._began = self.env._now
        self._record_until(self._began + seconds, serial, causes)

    def _record_until(self, end: float, serial: float, causes: Causes) -> None:
        client, _, round, _ = self._of
        self.span = self._world.timeline.record(
            client, round, _COMPUTE, self._began, end, 0.0, self._blocks, causes, serial
        )

    def _last(self, seconds: float, serial: float) -> None:
        """Record its span, and end so many seconds from now."""
        self.serial = serial
        self._record(seconds, serial, self.causes)
        self._ok = True
        self.env.schedule(self, NORMAL, seconds)
