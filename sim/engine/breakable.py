"""Computations and messages of a client that may be stopped: for good, or for a while.

They stand where a plain client has a `Training` and a `Message`, so that protocols say the same of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import simpy

from parasim_core.sim.engine.message import Message
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.training import Training
from parasim_core.sim.engine.world import Causes
from parasim_core.sim.errors import EndedEarlyError
from parasim_core.sim.failures.interruptions import MOST_ATTEMPTS
from parasim_core.sim.network.timing import go_on


class StoppedSite(Site):
    """What both have to know of their client.

    Attributes
    ----------
    deliveries : dict
        What it sends and receives at present.
    device_down, link_down : bool
        Whether nothing can be computed or sent, and whether nothing can be sent, at present.
    held_up : sequence of (float, float)
        When something that it had to send or receive waited for its device or link [s].
    """

    def __init__(self, *of: Any):
        super().__init__(*of)
        self.deliveries: dict[Delivery, None] = {}
        self.device_down = self.link_down = False
        self.held_up: Sequence[Interval] = ()

    def note(self, sequence: int, *spans: int) -> None:
        """Note what an update was computed and sent in, until it is known whether it comes to anything."""
        self.world.unsettled.setdefault((self.client, sequence), []).extend(spans)

    def drop_out(self) -> None:
        """Vanish."""
        raise NotImplementedError


class Breakable(Training):
    """A computation that may be stopped, for good or for a while.

    Parameters
    ----------
    site : StoppedSite
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

    def __init__(self, site: StoppedSite, round: int, stops: float | None):
        self.finished = False
        self._site = site
        self._stops = stops
        self._cancelled = False
        self._leg: simpy.Event | None = None
        self._attempts = 1
        self._began = self._whole = self._left = self._serial_left = 0.0
        self._sendable: simpy.Event | None = None
        super().__init__(site.world, site.client, site.updates, round, site.known, site.after)

    def sendable(self) -> simpy.Event:
        """Happen when something can be sent beside it, once it has begun."""
        self._sendable = self.env.event()
        self._tell_when_sendable()
        return self._sendable

    def cancel(self) -> None:
        """Stop it for good, if it is not done."""
        self._stop()
        self._cancelled = True
        update = self.update
        update.computed = self.finished

    def interrupt(self, *, resume: bool) -> None:
        """Stop it until `resume` is called; what was done by then is kept, or it begins anew."""
        if self._leg is None:
            return
        self._stop()
        if resume:
            done = self.env.now - self._began
            self._left, self._serial_left = self._left - done, max(0.0, self._serial_left - done)
        else:
            self._left, self._serial_left = self._whole, self.serial
            self._site.world.timeline.wasted.add(self.span)
            self._attempts += 1
            _check(self._attempts, self._site, f"its update of round {self._of[2]}")

    def resume(self) -> None:
        """Go on, if it is not done."""
        if self._leg is None and not self.finished:
            self._compute((self.span,) if self.span >= 0 else self.causes)
            if self._begun is not None and not self._begun.triggered:
                self._begun.succeed()

    def _last(self, seconds: float, serial: float) -> None:
        """Compute for so long from now on [s]."""
        self._whole = self._left = seconds if self._stops is None else seconds * self._stops
        self.serial = self._serial_left = serial
        if not self._cancelled and not self._site.device_down:
            self._compute(self.causes)

    def _compute(self, causes: Causes) -> None:
        self._began = float(self.env.now)
        self._record(self._left, self._serial_left, causes)
        self._site.note(self._of[1], self.span)
        self._leg = self.env.timeout(self._left)
        self._leg.callbacks.append(self._done)
        self._tell_when_sendable()

    def _stop(self) -> None:
        if self._leg is not None:
            self._leg = None
            self._site.world.timeline.end_now(self.span, float(self.env.now))

    def _done(self, leg: simpy.Event) -> None:
        if leg is not self._leg:
            return
        if self._stops is not None:
            self._site.drop_out()
            return
        self._leg = None
        self.finished = True
        self._tell_when_sendable()
        self._ok = True
        self.env.schedule(self)

    def _tell_when_sendable(self) -> None:
        leg, told = self._leg, self._sendable
        if told is None or told.triggered:
            return
        if self.finished:
            # All of it may be serial: at the instant of its end it depends on rounding which of the two comes first.
            told.succeed()
            return
        if leg is None:
            return

        def over(_: simpy.Event) -> None:
            if self._leg is leg and not told.triggered:
                told.succeed()

        left = max(0.0, self._began + self._serial_left - self.env.now)
        self.env.timeout(left).callbacks.append(over)


class Delivery(simpy.Event):
    """A message of a client that may be cut off, and sent anew; it happens when it has arrived.

    Parameters
    ----------
    site : StoppedSite
        Whose.
    begin : callable
        Sends it off, given what was sent of it before and cut off, if it was.

    Attributes
    ----------
    message : Message or None
        What is under way.
    waits_since : float or None
        Since when it waits for the device or link [s].
    """

    def __init__(self, site: StoppedSite, begin: Callable[[Message | None], Message]):
        super().__init__(site.world.env)
        self._site = site
        self._begin = begin
        self._before: Message | None = None
        self._attempts = 1
        self.waits_since: float | None = None
        self.message: Message | None = None
        site.deliveries[self] = None
        self.send()

    def send(self) -> None:
        """Send it off, if it is not under way, and the client can."""
        if self.message is not None:
            return
        if self._site.device_down or self._site.link_down:
            self._waits()
        else:
            self.go_ahead()
            self.message = message = self._begin(self._before)
            message.callbacks.append(self._arrived)

    def cut(self, *, again: bool) -> None:
        """Take it off the network, if it has not arrived."""
        message = self.message
        if message is None and not again:
            self.go_ahead()
        if message is None or not message.under_way:
            return
        timeline = self._site.world.timeline
        before = len(timeline)
        self._attempts += again
        _check(self._attempts, self._site, message.awaited())
        message.cancel()
        for number in range(before, len(timeline)):
            timeline.wasted.add(number)
            if again:
                timeline.repeated(number)
        self._before, self.message = message, None
        if again:
            self._waits()

    def go_ahead(self) -> None:
        """Not wait for its device or link any more."""
        since, self.waits_since = self.waits_since, None
        if since is not None:
            self._site.held_up = (*self._site.held_up, (since, float(self.env.now)))

    def _waits(self) -> None:
        if self.waits_since is None:
            self.waits_since = float(self.env.now)

    def awaited(self) -> str:
        """Say what its owner waits for that waits for this."""
        return self.message.awaited() if self.message is not None else "its device or link, to send or receive again"

    def _arrived(self, message: simpy.Event) -> None:
        if self._site.deliveries.pop(self, self) is not None:
            return
        self._ok, self._value = True, message.value
        go_on(self)


def _check(attempts: int, site: StoppedSite, what: str) -> None:
    """Give up what fails so often that it would hardly ever be done."""
    if attempts > MOST_ATTEMPTS:
        raise EndedEarlyError(
            f"client {site.client} has begun {what} {attempts - 1:,} times by {site.world.env.now:.6g} s: between the "
            "failures of its device and its link there is hardly ever enough time for it"
        )
