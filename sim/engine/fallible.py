"""A client that may vanish in the middle of what it does, or fail, and whose rounds are not known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, cast

import simpy

from parasim_core.sim.engine.aggregator import Member
from parasim_core.sim.engine.breakable import Breakable, Delivery, StoppedSite
from parasim_core.sim.engine.incidents import Vanished
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.message import Fetch, Message, Receiver, Upload
from parasim_core.sim.engine.site import Thread
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.training import Training
from parasim_core.sim.engine.world import Process
from parasim_core.sim.failures.dropout import Phase, Vanishing
from parasim_core.sim.failures.interruptions import Interruptions
from parasim_core.sim.network.model import Port
from parasim_core.sim.network.transfer import AccessLink

_NEITHER: frozenset[bool] = frozenset()


class Hazard(NamedTuple):
    """What fails of a client, and what becomes of what it was at."""

    when: Interruptions
    goes_on: bool


class Fallible(StoppedSite):
    """A client that takes part in rounds as they are opened, and may vanish.

    There may be many that took part once. So a client that is at rest has no port, and keeps next to nothing.

    Parameters
    ----------
    attach : callable
        Attaches the client of a number to the network, when it takes part again.
    *of
        Those of `Site`.

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
    delivered : int
        Round of which it sent an update last.
    device, link : Hazard or None
        When its device and its link fail.
    repairs, outages : sequence of (float, float)
        When its device, and its link, was down while it had something to do [s].
    lost : int
        Updates that it had begun and that vanished with it.
    """

    def __init__(self, attach: Callable[[int], Port], *of: Any):
        super().__init__(*of)
        self._attach = attach
        self._attached = True
        self.presence: list[tuple[float, float | None]] = []
        self.latest: simpy.Process | None = None
        self.owed: dict[int, Breakable | None] = {}
        self.fate: Vanishing | None = None
        self.back = 0
        self.delivered = -1
        self.lost = 0
        self.gone: Callable[[Fallible, int, Collection[int]], None] = _nobody_asks
        self.sends_to = self._outbox = _Outbox(self, self.sends_to)
        self.device: Hazard | None = None
        self.link: Hazard | None = None
        self.repairs: Sequence[Interval] = ()
        self.outages: Sequence[Interval] = ()
        # Whether the device, and whether the link, is watched for failures; and how many of them are down.
        self._watched = _NEITHER
        self._down = 0
        self._round = -1
        self._at_work: dict[simpy.Process, None] = {}

    @property
    def present(self) -> bool:
        """Whether it takes part at present."""
        return bool(self.presence) and self.presence[-1][1] is None

    def attended(self, wall_clock: float) -> list[Interval]:
        """When it took part in a run of that length [s]."""
        return [(begin, wall_clock if end is None else end) for begin, end in self.presence]

    @property
    def at_work(self) -> bool:
        """Whether it has anything to do, maybe for a round that is over."""
        return bool(self._at_work)

    def down(self, wall_clock: float) -> list[Interval]:
        """When its device was down, or something waited for its device or link, in a run of that length [s]."""
        waiting = [delivery.waits_since for delivery in self.deliveries]
        intervals = [*self.repairs, *self.held_up, *((since, wall_clock) for since in waiting if since is not None)]
        return [(begin, min(end, wall_clock)) for begin, end in intervals if begin < wall_clock]

    def enter(self, round: int) -> None:
        """Take part in a round from now on."""
        self._round = round
        self.owed[round] = None
        self._outbox.expect(round, self.count)
        if not self._attached:
            self._attached = True
            self.port = self._attach(self.client)
        if not self.present:
            self.presence.append((self.world.env.now, None))
        for hazard, of_device in ((self.device, True), (self.link, False)):
            if hazard is not None and of_device not in self._watched:
                self._watched |= {of_device}
                self.world.env.process(self._watch(hazard, of_device))

    def leave(self, round: int | None = None) -> None:
        """Not take part any more, unless in a round later than that one."""
        if round in (self._round, None) and self.present:
            self._end_presence()
            self._rest()

    def _rest(self) -> None:
        """Let go of all that only those need who take part, unless it does, or something of it is down."""
        if self.present or self._at_work or self._down or self.owed or not self._attached:
            return
        assert self.port.network is not None
        self.port.network.detach(self.port)
        del self.port
        self._attached = False
        self.latest = self.second = self.kept = None
        # A dictionary that was filled once keeps the memory; and most know what others know.
        self.deliveries, self.owed, self._at_work = {}, {}, {}
        self.known = self.world.known.setdefault(tuple(self.known.items()), self.known)

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
        self.world.timeline.incidents.vanished.append(Vanished(self.client, self._round, float(self.world.env.now)))
        for process in self._at_work:
            process.interrupt()
        self._at_work.clear()
        deliveries, self.deliveries = self.deliveries, {}
        for delivery in deliveries:
            delivery.cut(again=False)
        owed, self.owed = self.owed, {}
        self.kept = None
        for training in filter(None, owed.values()):
            self._lose(training)
        self.world.learner.rest(self.client, vanished=True)
        if self.present:
            self._end_presence()
        self.gone(self, back, owed)
        for round in owed:
            self._outbox.lose(round, self.count)
            self.server.lose(round, self.count)
        self._rest()

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

    def due(self, round: int) -> list[Update]:
        """Take what was kept of rounds up to that one; with nothing to send, it vanishes if it was to do so then."""
        kept = super().due(round)
        if not kept:
            self.skips("upload")
        return kept

    def skips(self, phase: Phase) -> None:
        """Vanish now, if it was to do so in a phase of which there is nothing."""
        if self._strikes(phase) is not None:
            self.vanishing()

    def _watch(self, hazard: Hazard, of_device: bool) -> Process:
        """Have the device or the link fail as long as the client has something to do."""
        env = self.world.env
        while True:
            begin, end = hazard.when.following(self.client, float(env.now))
            if begin > env.now:
                yield env.timeout(begin - env.now)
            if not (self.present or self._at_work):
                self._watched -= {of_device}
                return
            restore = self._break(hazard, of_device, end)
            self._down += 1
            yield env.timeout(max(0.0, end - env.now))
            self._down -= 1
            restore()
            self._rest()

    def _break(self, hazard: Hazard, of_device: bool, end: float) -> Callable[[], None]:
        """Have the device or the link be down from now on; what is returned has it work again."""
        down = float(self.world.env.now), end
        if of_device:
            self.repairs = (*self.repairs, down)
        else:
            self.outages = (*self.outages, down)
        if of_device:
            self.device_down = True
            for training in filter(None, self.owed.values()):
                training.interrupt(resume=hazard.goes_on)
        elif hazard.goes_on:
            port, network = self.port, self.port.network
            assert network is not None
            uplink, downlink = port.uplink, port.downlink
            network.set_capacity(port, 0.0, 0.0)
            return lambda: network.set_capacity(port, uplink, downlink)
        else:
            self.link_down = True
        for delivery in list(self.deliveries):
            delivery.cut(again=True)
        return self._repaired if of_device else self._reconnected

    def _repaired(self) -> None:
        self.device_down = False
        for training in filter(None, self.owed.values()):
            training.resume()
        self._send_anew()

    def _reconnected(self) -> None:
        self.link_down = False
        self._send_anew()

    def _send_anew(self) -> None:
        for delivery in list(self.deliveries):
            delivery.send()

    def send(self, thread: Thread, update: Update) -> simpy.Event:
        """Send an update off, as often as it takes."""
        send = self._sender(Upload, "upload", thread)
        return Delivery(self, lambda _: send(update))

    def bring(self, thread: Thread, items: Sequence[int]) -> simpy.Event:
        """Have the server's versions of some items sent here, as often as it takes."""
        send = self._sender(self.downloads, "download", thread)
        if self.device_down or self.link_down:
            # What it misses is decided now: what it has of the rest must stay until it can receive.
            self.world.learner.serve(self.client, {})
        return Delivery(self, lambda before: send(items, before.versions if isinstance(before, Fetch) else None))

    def _sender(self, kind: Callable[..., Any], phase: str, thread: Thread) -> Callable[..., Message]:
        share = self._strikes(phase)
        return partial(kind, thread) if share is None else partial(_cut_off(cast("Any", kind)), share, thread)

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
        self._rest()

    def _lose(self, training: Breakable) -> None:
        training.cancel()
        self.lost += 1
        update = training.update
        self.server.cut_off.pop((update.client, update.sequence), None)
        self.world.waste(update)
        self.world.learner.drop(update)

    def _end_presence(self) -> None:
        self.presence[-1] = (self.presence[-1][0], self.world.env.now)


class FallibleMember(Fallible, Member):
    """The same below the aggregator of a region."""


def _nobody_asks(site: Fallible, back: int, owed: Collection[int]) -> None:
    return


class _Outbox:
    """Where a client's updates go, and that they are not owed any more."""

    __slots__ = ("_site", "_to")

    def __init__(self, site: Fallible, to: Receiver):
        self._site = site
        self._to = to

    def receive(self, update: Update, span: int, clients: int) -> None:
        """Pass an update on."""
        self._site.owed.pop(update.round, None)
        self._site.delivered = update.round
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

    def __init__(self, share: float, *message: Any):
        self._part = share
        super().__init__(*message)

    def _travel(self, access: AccessLink) -> None:
        self.size = float(int(self.size * self._part))
        super()._travel(access)

    def arrive(self) -> None:
        """Vanish."""
        site = self.thread.site
        assert isinstance(site, Fallible)
        site.drop_out()


@cache
def _cut_off(kind: type[Message]) -> Callable[..., Message]:
    """Make of a kind of message one that is cut off."""
    return type(kind.__name__, (_CutOff, kind), {})
