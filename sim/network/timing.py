"""Tools on SimPy's clock that fluid networks need: alarms that can be moved, ends of instants, and patience."""

from __future__ import annotations

import math
from collections.abc import Callable

from simpy import Environment, Event, Process
from simpy.events import EventPriority

from parasim_core.sim.errors import DeadLinkError

LAST = EventPriority(2)
"""Priority of events that come after all ordinary ones of the same time."""
AFTER_ALL = EventPriority(3)
"""Of those that come after what ends in that instant, too."""

CLOCK_SLACK = 2.0**-50
"""Relative width of four units in the last place: times closer than this are the same to the clock."""

AFTER = 1 + CLOCK_SLACK
"""A time by this is after all that is the same to the clock."""


class Alarm:
    """Calls a function at the end of an instant that may be moved as often as wanted.

    What SimPy has scheduled cannot be cancelled. So a new event is scheduled only when the alarm moves to an
    earlier time; when it moves to a later one, the waiting event finds that it is too early and starts anew.

    Parameters
    ----------
    env : Environment
        The clock.
    action : callable
        What to call when the alarm goes off.
    """

    __slots__ = ("_action", "_env", "_expiry", "_waiting", "due")

    def __init__(self, env: Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self._waiting: Event | None = None
        self._expiry = math.inf
        self.due = math.inf
        """When the alarm goes off [s]; `inf` when it is off."""

    def set(self, due: float) -> None:
        """Move the alarm to the time `due` [s], now at the earliest; `inf` switches it off."""
        self.due = due
        if due < self._expiry:
            self._start()

    def _start(self) -> None:
        now: float = self._env.now
        delay = self.due - now if self.due > now else 0.0
        self._waiting = _Triggered(self._env, self._expire)
        self._env.schedule(self._waiting, LAST, delay)
        # The clock will show this sum, which can be one rounding away from the time asked for.
        self.due = self._expiry = now + delay

    def _expire(self, event: Event) -> None:
        if event is not self._waiting:
            return
        self._waiting = None
        self._expiry = math.inf
        if self._env.now >= self.due:
            self.due = math.inf
            self._action()
        elif self.due < math.inf:
            self._start()


class Patience:
    """Ends runs in which links go up and down for ever, and nothing gets through because they are never up together.

    Raises
    ------
    DeadLinkError
        By `wait`, if so many changes in a row let nothing through.
    """

    CHANGES = 1_000_000

    def __init__(self) -> None:
        self._begun = 0.0
        self.changes = 0

    def wait(self, now: float, end: float, change: float) -> None:
        """Count a change of some link ahead [s], unless the end of a transfer is in sight [s]."""
        if end < math.inf or change == math.inf:
            self.changes = 0
            return
        if not self.changes:
            self._begun = now
        self.changes += 1
        if self.changes > self.CHANGES:
            raise DeadLinkError(
                f"nothing gets through since {self._begun:.6g} s, in {self.CHANGES:,} changes of capacities: the links "
                "of a path are never up together"
            )


class EndOfInstant:
    """Calls a function once, after everything else that happens at the present time.

    Parameters
    ----------
    env : Environment
        The clock.
    action : callable
        What to call.
    """

    __slots__ = ("_action", "_env", "_pending")

    def __init__(self, env: Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self._pending = False

    def request(self) -> None:
        """Have the function called at the end of this instant, however often this is asked for."""
        if not self._pending:
            self._pending = True
            self._env.schedule(_Triggered(self._env, self._happen), LAST)

    def _happen(self, _: Event) -> None:
        self._pending = False
        self._action()


def after_delay(env: Environment, delay: float, action: Callable[[Event], None]) -> None:
    """Call a function in so many seconds [s], after everything else that happens then."""
    env.schedule(_Triggered(env, action), AFTER_ALL, delay)


def go_on(event: Event) -> None:
    """Let whoever waits for a triggered event go on.

    A single process that waits for it does so at once: by way of SimPy's queue it would be the very next thing to
    happen, at the cost of one more event for every transfer.

    Parameters
    ----------
    event : Event
        Has its value, and is not scheduled.
    """
    callbacks = event.callbacks
    if len(callbacks) == 1 and isinstance(getattr(callbacks[0], "__self__", None), Process):
        event.callbacks = None  # type: ignore[assignment]
        callbacks[0](event)
    else:
        event.env.schedule(event)


class _Triggered(Event):
    """An event that only has to be scheduled to happen, and then calls a function."""

    def __init__(self, env: Environment, action: Callable[[Event], None]) -> None:
        # Like SimPy's own events of this kind, without a call of the base class, for speed.
        self.env = env
        self.callbacks = [action]
        self._ok = True
        self._value = None
