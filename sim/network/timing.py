"""Two tools on SimPy's clock that fluid networks need: an alarm that can be moved, and the end of an instant."""

from __future__ import annotations

import math
from collections.abc import Callable

from simpy import Environment, Event
from simpy.events import EventPriority

LAST = EventPriority(2)
"""Priority of events that come after all ordinary ones of the same time."""

CLOCK_SLACK = 2.0**-50
"""Relative width of four units in the last place: times closer than this are the same to the clock."""


class Alarm:
    """Calls a function at a time that may be moved as often as wanted.

    SimPy's timeouts cannot be cancelled. So a new one is started only when the alarm moves to an earlier
    time; when it moves to a later one, the running timeout finds on expiry that it is too early and starts anew.

    Parameters
    ----------
    env : Environment
        The clock.
    action : callable
        What to call when the alarm goes off.
    """

    __slots__ = ("_action", "_env", "_expiry", "_timeout", "due")

    def __init__(self, env: Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self._timeout: Event | None = None
        self._expiry = math.inf
        self.due = math.inf
        """When the alarm goes off [s]; `inf` when it is not set."""

    def set(self, due: float) -> None:
        """Move the alarm to the time `due` [s], now at the earliest; `inf` switches it off."""
        self.due = due
        if due < self._expiry:
            self._start()

    def _start(self) -> None:
        now: float = self._env.now
        delay = self.due - now if self.due > now else 0.0
        self._timeout = timeout = self._env.timeout(delay)
        timeout.callbacks.append(self._expire)
        # The clock will show this sum, which can be one rounding away from the time asked for.
        self.due = self._expiry = now + delay

    def _expire(self, timeout: Event) -> None:
        if timeout is not self._timeout:
            return
        self._timeout = None
        self._expiry = math.inf
        if self._env.now >= self.due:
            self.due = math.inf
            self._action()
        elif self.due < math.inf:
            self._start()


class EndOfInstant(Event):
    """Calls a function once, after everything else that happens at the present time.

    One event that is used again and again: SimPy takes its callbacks away when it is processed, and they are given
    back when it is scheduled anew.

    Parameters
    ----------
    env : Environment
        The clock.
    action : callable
        What to call, with this event.
    """

    def __init__(self, env: Environment, action: Callable[[Event], None]) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self._actions = [action]
        self.callbacks = None  # type: ignore[assignment]  # SimPy's way to say that it is not scheduled

    def request(self) -> None:
        """Have the function called at the end of this instant, however often this is asked for."""
        if self.callbacks is None:
            self.callbacks = self._actions
            self.env.schedule(self, LAST)
