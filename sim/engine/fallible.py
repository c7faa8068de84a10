"""A client that may vanish in the middle of what it does, and whose rounds are not known beforehand.

Whatever it computes or sends can be stopped: `Breakable` and `Delivery` stand where a plain client has a computation
and a message, so that protocols say the same of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, cast

import simpy

from sim.engine.aggregator import Member
from sim.engine.learner import Update
from sim.engine.message import Message, Receiver, Upload
from sim.engine.site import Site, Thread
from sim.engine.timeline import Interval
from sim.engine.training import Training
from sim.engine.world import Process
from sim.failures.dropout import Vanishing
from sim.network.timing import go_on
from sim.network.transfer import AccessLink


class Breakable(Training):
    """A computation that may be stopped.

    Parameters
    ----------
    site : Fallible
        Whose.
    round : int
        Of which round.
    stops : float or None
        Share of it after which the client vanishes.

    Attributes
    ----------
    finished : bool
        Whether it was computed to its end.
    """

    def __init__(self, site: Fallible, round: int, stops: float | None):
        self.finished = False
        self._site = site
        self._stops = stops
        self._cancelled = False
        self._leg: simpy.Event | None = None
        super().__init__(site.world, site.client, site.updates, round, site.known, site.after)

    def cancel(self) -> None:
        """Stop it for good, if it is not done."""
        if self._leg is not None:
            self._leg = None
            self._site.world.timeline.end_now(self.span, float(self.env.now))
        self._cancelled = True
        update = self.update
        update.computed = self.finished

    def _last(self, seconds: float, serial: float) -> None:
        """Compute for so long from now on [s]."""
        self.serial = serial
        if not self._cancelled:
            self._compute(seconds if self._stops is None else seconds * self._stops)

    def _compute(self, seconds: float) -> None:
        self._record(seconds, self.serial)
        self._site.note(self._of[1], self.span)
        self._leg = self.env.timeout(seconds)
        self._leg.callbacks.append(self._done)

    def _done(self, leg: simpy.Event) -> None:
        if leg is not self._leg:
            return
        if self._stops is not None:
            self._site.drop_out()
            return
        self._leg = None
        self.finished = True
        self._ok = True
        self.env.schedule(self)


class Delivery(simpy.Event):
    """A message of a client that may be cut off; it happens when it has arrived.

    Parameters
    ----------
    site : Fallible
        Whose.
    begin : callable
        Sends it off.
    """

    def __init__(self, site: Fallible, begin: Callable[[], Message]):
        super().__init__(site.world.env)
        self._site = site
        site.deliveries[self] = None
        self.message = message = begin()
        message.callbacks.append(self._arrived)

    def cut(self) -> None:
        """Take it off the network, if it has not arrived."""
        if self.message.under_way:
            timeline = self._site.world.timeline
            before = len(timeline.spans)
            self.message.cancel()
            timeline.wasted.update(range(before, len(timeline.spans)))

    def awaited(self) -> str:
        """Say what its owner waits for that waits for this."""
        return self.message.awaited()

    def _arrived(self, message: simpy.Event) -> None:
        if self._site.deliveries.pop(self, self) is not None:
            return
        self._ok, self._value = True, message.value
        go_on(self)


class Fallible(Site):
    """A client that takes part in rounds as they are opened, and may vanish.

    Attributes
    ----------
    presence : list of (float, float or None)
        When it takes part [s]; without an end, up to now.
    latest : simpy.Process or None
        What it does for the round that it was chosen for last.
    owed : dict of int to Breakable or None
        Rounds for which the server waits for its update, with its computation, once that has begun.
    fate : Vanishing or None
        How its participation will end, unless as it should.
    back : int
        Number of the opening from which on it can take part again then.
    deliveries : dict
        What it sends and receives at present.
    lost : int
        Updates that it had begun and that vanished with it.
    """

    def __init__(self, *of: Any):
        super().__init__(*of)
        self.presence: list[tuple[float, float | None]] = []
        self.latest: simpy.Process | None = None
        self.owed: dict[int, Breakable | None] = {}
        self.fate: Vanishing | None = None
        self.back = 0
        self.deliveries: dict[Delivery, None] = {}
        self.lost = 0
        self.gone: Callable[[Fallible, int], None] = lambda site, back: None
        self.sends: Callable[[Thread, Update], simpy.Event] = self._send
        self._receives, self.fetches = self.fetches, self._fetch
        self.sends_to = self._outbox = _Outbox(self, self.sends_to)
        self._round = -1
        self._at_work: dict[simpy.Process, None] = {}

    @property
    def present(self) -> bool:
        """Whether it takes part at present."""
        return bool(self.presence) and self.presence[-1][1] is None

    def attended(self, wall_clock: float) -> list[Interval]:
        """When it took part in a run of that length [s]."""
        return [(begin, wall_clock if end is None else end) for begin, end in self.presence]

    def enter(self, round: int) -> None:
        """Take part in a round from now on."""
        self._round = round
        self.owed[round] = None
        self._outbox.expect(round, self.count)
        if not self.present:
            self.presence.append((self.world.env.now, None))

    def leave(self, round: int | None = None) -> None:
        """Not take part any more, unless in a round later than that one."""
        if round in (self._round, None) and self.present:
            self._end_presence()

    def work(self, generator: Process) -> simpy.Process:
        """Begin a process that ends when the client vanishes."""
        process = self.world.env.process(self._until_gone(generator))
        self._at_work[process] = None
        return process

    def vanish(self, back: int = 0) -> None:
        """Stop everything at once: nothing of it reaches the server, which learns of it now.

        Parameters
        ----------
        back : int
            Number of the opening from which on it can take part again.
        """
        self.fate = None
        for process in self._at_work:
            process.interrupt()
        self._at_work.clear()
        deliveries, self.deliveries = self.deliveries, {}
        for delivery in deliveries:
            delivery.cut()
        owed, self.owed = self.owed, {}
        self.kept = None
        for training in filter(None, owed.values()):
            self._lose(training)
        if self.present:
            self._end_presence()
        self.gone(self, back)
        for round in owed:
            self._outbox.lose(round, self.count)
            self.server.lose(round, self.count)

    def drop_out(self) -> None:
        """Vanish as its fate says."""
        self.vanish(self.back)

    def train(self, round: int) -> Training:
        """Compute the local update of a round; the event's value is the update."""
        self.owed[round] = training = Breakable(self, round, self._strikes("compute"))
        self.updates += 1
        training.callbacks.append(self._trained)
        return training

    def nothing_to_fetch(self) -> simpy.Event:
        """Go on at once, or vanish at once, if it was to do so while it fetches."""
        if self._strikes("download") is None:
            return self.world.nothing
        return self.vanishing()

    def vanishing(self) -> simpy.Event:
        """Vanish now, as its fate says; what is returned never happens."""
        self.world.env.timeout(0).callbacks.append(lambda _: self.drop_out())
        return self.world.env.event()

    def note(self, sequence: int, *spans: int) -> None:
        """Note what an update was computed and sent in, until it is known whether it comes to anything."""
        self.world.unsettled.setdefault((self.client, sequence), []).extend(spans)

    def _send(self, thread: Thread, update: Update) -> simpy.Event:
        return Delivery(self, self._begin(Upload, "upload", thread, update))

    def _fetch(self, thread: Thread, items: Sequence[int]) -> simpy.Event:
        return Delivery(self, self._begin(self._receives, "download", thread, items))

    def _begin(
        self, kind: Callable[[Thread, Any], Any], phase: str, thread: Thread, what: Any
    ) -> Callable[[], Message]:
        share = self._strikes(phase)
        return (
            partial(kind, thread, what) if share is None else partial(_cut_off(cast("Any", kind)), share, thread, what)
        )

    def _strikes(self, phase: str) -> float | None:
        """Share of a phase that is left of it, if the client vanishes in it."""
        if self.fate is None or self.fate.phase != phase:
            return None
        return self.fate.fraction

    def _until_gone(self, generator: Process) -> Process:
        try:
            yield from generator
        except simpy.Interrupt:
            return
        self._at_work.pop(cast("simpy.Process", self.world.env.active_process), None)

    def _lose(self, training: Breakable) -> None:
        training.cancel()
        self.lost += 1
        update = training.update
        self.server.cut_off.pop((update.client, update.sequence), None)
        self.world.learner.drop(update)

    def _end_presence(self) -> None:
        self.presence[-1] = (self.presence[-1][0], self.world.env.now)


class FallibleMember(Fallible, Member):
    """The same below the aggregator of a region."""


class _Outbox:
    """Where a client's updates go, and that they are not owed any more."""

    def __init__(self, site: Fallible, to: Receiver):
        self._site = site
        self._to = to

    def receive(self, update: Update, span: int, clients: int) -> None:
        """Pass an update on."""
        self._site.owed.pop(update.round, None)
        self._site.note(update.sequence, span)
        self._to.receive(update, span, clients)

    def expect(self, round: int, clients: int) -> None:
        """Tell an aggregator on the way that so many updates of a round will come."""
        if isinstance(self._site, Member):
            self._site.aggregator.expect([round], clients)

    def lose(self, round: int, clients: int) -> None:
        """Tell an aggregator on the way that so many updates of a round will not come."""
        if isinstance(self._site, Member):
            self._site.aggregator.lose(round, clients)


class _CutOff(Message):
    """A message whose client vanishes when so much of it has got through."""

    def __init__(self, share: float, thread: Any, what: Any):
        self._part = share
        super().__init__(thread, what)  # type: ignore[call-arg]

    def _travel(self, access: AccessLink) -> None:
        self.size = float(int(self.size * self._part))
        super()._travel(access)

    def arrive(self) -> None:
        """Vanish."""
        site = self.thread.site
        assert isinstance(site, Fallible)
        site.drop_out()


@cache
def _cut_off(kind: type[Message]) -> Callable[[float, Thread, Any], Message]:
    """Make of a kind of message one that is cut off."""
    return type(kind.__name__, (_CutOff, kind), {})
