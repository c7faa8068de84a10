"""When a client's link carries nothing, or its device is down: interruptions of one length, after random times.

From the end of one to the next it takes an exponentially distributed time: the next instant of a Poisson process. An
instant that falls into an interruption changes nothing. After instants that lie further apart than an interruption is
long, all are over, so that nothing before them has to be known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures.marks import Marks
from parasim_core.sim.support.streams import Stream

MOST_ATTEMPTS = 1_000
"""So often an update is begun anew before a run is given up."""


class Interruption(NamedTuple):
    """From when until when something is down [s]."""

    begin: float
    end: float


class Interruptions:
    """Interruptions of each client. Nothing is down when a run begins.

    Parameters
    ----------
    seed : int
        The scenario's.
    name : str
        The random stream.
    every : float
        Mean time from the end of one to the beginning of the next [s].
    length : float
        How long each takes [s].
    """

    def __init__(self, seed: int, name: Stream, every: float, length: float) -> None:
        self.every = every
        self.length = length
        self._marks = Marks(seed, name, 1 / every)

    def following(self, client: int, time: float) -> Interruption:
        """Find the interruption that is under way at a time [s], not yet at its end; if there is none, the next one."""
        begin = self._certain(client, time)
        while (end := begin + self.length) <= time:
            # Its end is a time at which nothing is down.
            begin = self._marks.after(client, end)
        return Interruption(begin, end)

    def between(self, client: int, start: float, end: float) -> Iterator[Interruption]:
        """Find all that are under way at some time from `start` on and before `end` [s], in their order."""
        found = self.following(client, start)
        while found.begin < end:
            yield found
            found = Interruption(begin := self._marks.after(client, found.end), begin + self.length)

    def _certain(self, client: int, time: float) -> float:
        """Find an instant that begins an interruption: at the latest, the first one after a time [s]."""
        found = self._marks.before(client, time, 0.0)
        if found < 0:
            return self._marks.after(client, max(time, 0.0))
        while (before := self._marks.before(client, math.nextafter(found, 0), 0.0)) >= 0:
            if before + self.length <= found:
                return found
            found = before
        return found


class Computed(NamedTuple):
    """How computing went.

    Attributes
    ----------
    end : float
        When it was done [s].
    down : float
        How long the device was down meanwhile [s].
    wasted : float
        Computing that was begun anew [s].
    failures : int
        How often it was interrupted, a repair under way at its start included.
    """

    end: float
    down: float = 0.0
    wasted: float = 0.0
    failures: int = 0


def compute(failures: Interruptions, client: int, start: float, seconds: float, *, resume: bool) -> Computed:
    """Compute on a device that fails.

    Parameters
    ----------
    failures : Interruptions
        Of the devices.
    client : int
        Whose device.
    start : float
        When it is to begin [s].
    seconds : float
        How long it takes undisturbed [s].
    resume : bool
        Whether it goes on where it was; otherwise it begins anew.

    Raises
    ------
    SimulationError
        If it was begun anew so often that it would hardly ever be done.
    """
    time, left, down, wasted = start, seconds, 0.0, 0.0
    for number in range(MOST_ATTEMPTS):
        begin, end = failures.following(client, time)
        if begin >= time + left:
            return Computed(time + left, down, wasted, number)
        done = max(begin - time, 0.0)
        down += end - max(begin, time)
        if resume:
            left -= done
        else:
            wasted += done
        time = end
    raise SimulationError(
        f"client {client}: an update of {seconds:g} s is not done after {MOST_ATTEMPTS:,} failures of its device, "
        f"which fails every {failures.every:g} s and begins anew"
    )
