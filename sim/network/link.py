"""Links in one direction: what they can carry now, and what they could before."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter

from parasim_core.sim.network.capacity import Varying, rate_at


class Link:
    """One direction of a link: what it can carry now, and what it could before.

    Parameters
    ----------
    capacity : float or Varying
        [B/s], `inf` for unlimited.
    name : str
        What it is called in messages, with its article.

    Attributes
    ----------
    capacity : float
        Now [B/s]; of one that varies, when it was last looked at.
    course : Varying or None
        What it follows from now on, if it varies.
    """

    __slots__ = ("capacity", "changes", "course", "name")

    def __init__(self, capacity: float | Varying, name: str = "a link") -> None:
        self.name = name
        self.course: Varying | None = None
        # Times [s] and what held from then on, all that there was; nothing of a link that was never told anything new.
        self.changes: list[tuple[float, float | Varying]] | tuple[()] = ()
        if isinstance(capacity, Varying):
            self.course, self.capacity = capacity, capacity.rate(0.0)
        else:
            self.capacity = float(capacity)

    def change(self, now: float, capacity: float | Varying) -> None:
        """Note a new capacity [B/s] from `now` [s] on."""
        self.changes = self.changes or [(-math.inf, self.course or self.capacity)]
        self.changes.append((now, capacity))
        self.course = capacity if isinstance(capacity, Varying) else None
        self.capacity = rate_at(capacity, now)

    @property
    def history(self) -> Sequence[tuple[float, float | Varying]]:
        """Times [s] and the capacities that held from then on, in order."""
        return self.changes or [(-math.inf, self.course or self.capacity)]

    def held_between(self, start: float, end: float) -> Sequence[tuple[float, float | Varying]]:
        """What held at any time from `start` to before `end`, which is not in the future [s]."""
        history = self.history
        first = bisect_right(history, start, key=_first) - 1
        return history[first : bisect_left(history, end, first + 1, key=_first)]

    def held_at(self, time: float) -> float | Varying:
        """Capacity that held at a time which is not in the future, after what it was told in that instant [B/s]."""
        history = self.history
        return history[bisect_right(history, time, key=_first) - 1][1]

    def fastest(self, start: float, end: float) -> float:
        """Most that it can have carried at any time from `start` to `end`, which is not in the future [B/s]."""
        held = [capacity for _, capacity in self.held_between(start, end)]
        return max(capacity.peak if isinstance(capacity, Varying) else capacity for capacity in held)

    def capacity_at(self, time: float) -> float:
        """Rate at a time that is not in the future, after the changes of that instant [B/s]."""
        return rate_at(self.held_at(time), time)

    def dead_from(self) -> float:
        """Time from which on it carries nothing for ever, as far as it has been told [s]; inf if there is none."""
        time, capacity = self.history[-1]
        if isinstance(capacity, Varying):
            return max(time, capacity.dead_from)
        return math.inf if capacity else max(time, 0.0)


_first = itemgetter(0)
