"""What a shape has to do with whoever decides during a run who takes part: `attendance.py`, `dispatcher.py`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import simpy

from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.selection import Places
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.engine.world import Process

T = TypeVar("T")
Awaiting = Generator[simpy.Event, Any, T]
TakePart = Callable[[Any, int], Process]
"""Gives what a client does for a round."""
Admit = Callable[[int, Sequence[Fallible]], None]
"""Has further clients begin a round."""


class Chosen(NamedTuple):
    """Participants of a round, or further ones, and how many were wanted, if more were chosen than that."""

    sites: list[Fallible]
    wanted: int


class RoundOpener(Protocol):
    """Chooses who takes part when a round opens."""

    @property
    def by_themselves(self) -> bool:
        """Whether clients need not wait for others of the round before to be done."""
        ...

    def rounds(self, take_part: TakePart) -> Process:
        """Open one round after the other, each when the one before it is aggregated; then the run is over."""
        ...

    def admits(self, admit: Admit) -> None:
        """Say how further clients begin a round that is opened anew."""
        ...

    def choose(self, round: int) -> Awaiting[Chosen]:
        """Choose the participants of a round among those that are there; if nobody is, wait for them."""
        ...

    def sessions(self, client: int, start: float, end: float) -> Sequence[Interval]:
        """When a client is there between two times [s], whether or not it takes part."""
        ...

    def announce(self, round: int, chosen: Chosen) -> None:
        """Open a round: from now on its clients take part, and its deadline runs."""
        ...

    def close(self, round: int) -> None:
        """Learn that a round is aggregated."""
        ...

    def doom(self, site: Fallible, round: int) -> None:
        """Have a client's participation in a round end as was drawn."""
        ...

    def skip(self, site: Fallible, round: int) -> None:
        """Have a client not take part in a round that nobody waits for it in any more."""
        ...

    def fated(self, site: Fallible, round: int, acting: Process) -> Process:
        """Have a client act in a round, unless it vanishes."""
        ...


class Dispatching(Protocol):
    """Gives places to work at to clients that are there, where they have no numbered rounds."""

    @property
    def clients(self) -> int:
        """Clients of the fleet, there or not."""
        ...

    def places(self, number: int, turn: Callable[[Any], Process], *, waits: bool) -> Places:
        """Make the places, given what a client does that has got one, and whether it then waits for a newer model."""
        ...

    def work(self) -> Process:
        """Begin, and end the run with the last aggregation."""
        ...

    def participate(self, site: Any) -> None:
        """Begin what a client does for its next update, which ends as is drawn."""
        ...
