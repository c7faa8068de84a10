"""SimPy's environment on the wall-clock: what other threads do completes its events."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable

from simpy import Environment, Event
from simpy.core import EmptySchedule

from parasim_core.sim.errors import SimulationError

Act = Callable[[], None]
"""What is to happen in the conductor's thread."""


class WallClock(Environment):
    """A clock of seconds since it was started; events happen at their time, and whatever is posted as it comes in.

    Parameters
    ----------
    patience : float
        Longest time without anything happening [s]; whoever waits longer waits in vain.
    """

    def __init__(self, patience: float):
        super().__init__(0.0)
        self._patience = patience
        self._start = time.monotonic()
        self._posted: queue.SimpleQueue[tuple[float, Act]] = queue.SimpleQueue()
        self._awaited: dict[int, str] = {}

    def start(self) -> None:
        """Have the clock begin at zero now."""
        self._start = time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the start [s]; for any thread."""
        return time.monotonic() - self._start

    @property
    def now(self) -> float:
        """The time [s]; never before what has happened."""
        self._now = max(self._now, self.elapsed())
        return self._now

    def awaits(self, what: str) -> Callable[[Act], None]:
        """Announce that another thread will have something done; return what it calls with it, once.

        Parameters
        ----------
        what : str
            What is waited for, in words.
        """
        key = len(self._awaited) and max(self._awaited) + 1
        self._awaited[key] = what

        def post(act: Act) -> None:
            def happen() -> None:
                del self._awaited[key]
                act()

            self._posted.put((self.elapsed(), happen))

        return post

    def step(self) -> None:
        """Do what happens next, as soon as it does.

        Raises
        ------
        EmptySchedule
            If nothing will.
        SimulationError
            If nothing has for too long.
        """
        while self.peek() > self.elapsed():
            if self.peek() == math.inf and not self._awaited:
                raise EmptySchedule
            self._take_in(min(self.peek() - self.elapsed(), self._patience))
        super().step()

    def _take_in(self, most: float) -> None:
        """Wait for something to be posted, so many seconds at most, and have it happen in its turn."""
        try:
            when, act = self._posted.get(timeout=max(most, 0.0))
        except queue.Empty:
            if most < self._patience:
                return
            waits = "; ".join(sorted(self._awaited.values())[:3])
            raise SimulationError(f"nothing has happened for {self._patience:g} s; waited for: {waits}") from None
        event = Event(self)
        event._ok, event._value = True, None
        assert event.callbacks is not None
        event.callbacks.append(lambda _: act())
        self.schedule(event, delay=max(when - self._now, 0.0))
