"""What a message would have taken alone on its access link, and how long a link on its way carried nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from parasim_core.sim.network.capacity import Course, Varying
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.transport import Connection


class Limits:
    """What TCP lets one message alone have of links; worked out once for all that follow the same course."""

    def __init__(self) -> None:
        self._courses: dict[tuple[Course, float, Connection, float], Course] = {}

    def of(self, capacity: float | Varying, connection: Connection | None, size: float) -> float | Varying:
        """Rate of one message of so many bytes [B] on a link that it has for itself [B/s]."""
        if connection is None:
            return capacity
        if not connection.sized:
            size = math.inf
        if not isinstance(capacity, Varying):
            return min(capacity, connection.limit(capacity, size))
        key = capacity.course, capacity.scale, connection, size
        if key not in self._courses:
            rates = [capacity.scale * rate for rate in capacity.course.rates]
            most = {rate: min(rate, connection.limit(rate, size)) for rate in set(rates)}
            self._courses[key] = Course(capacity.course.times, [most[rate] for rate in rates], capacity.course.period)
        return Varying(self._courses[key], capacity.start)


def alone_and_stalled(
    path: Sequence[Link], alone: Callable[[float | Varying], float | Varying], start: float, end: float, size: float
) -> tuple[float, float]:
    """Send bytes over an access link alone, while nothing on their path is down.

    Parameters
    ----------
    path : sequence of Link
        Links that they crossed, the access link first.
    alone : callable
        Tells what one message alone gets of an access link.
    start, end : float
        When they were on their way [s].
    size : float
        What is sent [B].

    Returns
    -------
    float, float
        How long it sends, and how long a link on the path is down [s].
    """
    own, *above = path
    moments = {start, end}
    for link in (own, *above):
        moments.update(time for time, _ in link.held_between(start, end)[1:])
    for link in above:
        moments.update(_outages(link, start, end))
    sending, stalled, left = [], [], size
    for time, later in pairwise(sorted(moments)):
        if not all(link.capacity_at(time) for link in above):
            stalled.append(later - time)
            continue
        held = own.held_at(time)
        if isinstance(held, Varying):
            down = held.down(time, later)
            stalled.append(down)
            if left:
                most = alone(held)
                assert isinstance(most, Varying)
                through = most.when(time, left)
                sent = through <= later
                sending.append(through - time - held.down(time, through) if sent else later - time - down)
                left = 0.0 if sent else left - most.delivered(time, later)
        elif not held:
            stalled.append(later - time)
        elif left:
            rate = alone(held)
            assert isinstance(rate, float)
            carried = rate * (later - time)
            sending.append(later - time if carried < left else left / rate)
            left = left - carried if carried < left else 0.0
    return math.fsum(sending), math.fsum(stalled)


def _outages(link: Link, start: float, end: float) -> list[float]:
    """Times between two at which what a link follows may go down or come up again [s]."""
    moments = []
    held_then = [*link.held_between(start, end), (end, 0.0)]
    for (since, held), (until, _) in pairwise(held_then):
        if isinstance(held, Varying) and held.course.dead is not None:
            time = max(since, start)
            while (time := held.next_change(time)) < until:
                moments.append(time)
    return moments
