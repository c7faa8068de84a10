"""What TCP makes of a link: start-up, the rate that loss, window and streams allow, and what the way back costs.

It stands in front of the exact network: a message first waits for its start-up, then shares links like any other, at
most at the rate that its connections allow; and what one direction of a port carries takes of the other.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class StartUp(NamedTuple):
    """How a message begins.

    Attributes
    ----------
    seconds : float
        Until it goes at its full rate, the latency of its path included [s].
    left : float
        Of its bytes on the link, with all headers, those that are then still to be sent [B].
    """

    seconds: float
    left: float


class Connection(Protocol):
    """What TCP makes of one direction of one port."""

    def start_up(self, size: float, rate: float) -> StartUp:
        """How a message of so many bytes [B] begins, on a path that gives it so much at most [B/s of the link]."""

    def limit(self, rate: float) -> float:
        """Most that one message gets of an access link of so much [B/s of the link]."""

    def beside(self, capacity: float, other: float) -> float:
        """What is left of this direction while the other one carries a message [B/s].

        Parameters
        ----------
        capacity, other : float
            Of this direction and of the other one [B/s].
        """
