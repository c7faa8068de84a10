"""Which clients vanish in the middle of a round, at what, and for how long."""

from __future__ import annotations

from typing import Literal, NamedTuple

from parasim_core.sim.support.streams import KeyedStream

Phase = Literal["download", "compute", "upload"]
"""What a client is at: fetching what it misses, computing, or sending its update."""
_PHASES: dict[str, tuple[Phase, ...]] = {
    "compute": ("compute",),
    "exchange": ("download", "upload"),
    "any": ("download", "compute", "compute", "upload"),
}
"""Phases of each choice, drawn with equal chances."""


class Vanishing(NamedTuple):
    """How a client's participation ends early.

    Attributes
    ----------
    phase : str
        What it is at.
    fraction : float
        Which part of that it has done: of the seconds of computing, or of the bytes; at least 0 and below 1.
    away : int
        Rounds until it can take part again, at least 1.
    """

    phase: Phase
    fraction: float
    away: int


class Dropouts:
    """Says of each participation whether its client vanishes.

    Parameters
    ----------
    seed : int
        The scenario's.
    rate : float
        Share of the participations that end so, from 0 to 1.
    during : str
        ``compute``, ``exchange`` or ``any``: either with the same chance.
    back_after : int
        Rounds that it is away, at least 1.
    """

    def __init__(
        self, seed: int, rate: float, during: Literal["any", "compute", "exchange"] = "any", back_after: int = 1
    ) -> None:
        self._rate = rate
        self._phases = _PHASES[during]
        self._away = back_after
        self._numbers = KeyedStream(seed, "dropout")

    def draw(self, client: int, number: int) -> Vanishing | None:
        """Draw how a client's participation in a round (or its update of a number) ends early; None if it does not.

        Whoever vanishes at some rate does so at any higher one, and at the same place.
        """
        if not self._rate:
            return None
        vanishes, phase, fraction = self._numbers.uniform(3, client, number)
        if vanishes >= self._rate:
            return None
        return Vanishing(self._phases[int(phase * len(self._phases))], fraction, self._away)
