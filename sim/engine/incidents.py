"""What went wrong in a run, and how its rounds came to be aggregated, where rounds are opened one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Closing(StrEnum):
    """Why a round was aggregated when it was."""

    EVERYONE = "everyone"
    """The updates of all that were left of its clients were in."""
    QUORUM = "quorum"
    """As many as are enough were in."""
    DEADLINE = "deadline"
    """Its deadline had passed."""


class Closed(NamedTuple):
    """How a round ended.

    Attributes
    ----------
    by : Closing
        Why it ended.
    wanted : int
        How many updates were wanted of it.
    received : int
        How many of its own were in.
    """

    by: Closing
    wanted: int
    received: int

    @property
    def short(self) -> bool:
        """Whether fewer were in than were wanted."""
        return self.received < self.wanted


class Vanished(NamedTuple):
    """A client's participation that ended early.

    Attributes
    ----------
    client : int
        Whose.
    round : int
        The newest round that it took part in.
    time : float
        When [s].
    """

    client: int
    round: int
    time: float


@dataclass
class Incidents:
    """What went wrong in a run.

    Attributes
    ----------
    closed : dict of int to Closed
        How each round ended.
    vanished : list of Vanished
        Clients that vanished, in the order of time.
    late : set of int
        Numbers of the spans of updates that were dropped, as they came too late.
    nobody : list of (float, float)
        When a round could not be opened, as nobody was there [s].
    passed : set of float
        When the deadline of a round passed that was short and was opened anew [s].
    """

    closed: dict[int, Closed] = field(default_factory=dict)
    vanished: list[Vanished] = field(default_factory=list)
    late: set[int] = field(default_factory=set)
    nobody: list[tuple[float, float]] = field(default_factory=list)
    passed: set[float] = field(default_factory=set)
