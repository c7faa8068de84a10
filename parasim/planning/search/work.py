"""How much is simulated for an answer: so that one waits a minute for it, not an hour."""

from __future__ import annotations

from sim.engine.result import Result

EVENTS = 4_000_000
"""So many events are simulated for one answer, about: a minute's work of one core."""
_OF_A_START = 2000
"""Setting a simulation up costs as much as so many events, about."""


def affordable(run: Result, most: int, least: int = 1) -> int:
    """How many simulations of a run are done, at most and at least; it depends on the run alone, not on the machine."""
    return max(least, min(most, EVENTS // (_OF_A_START + run.events)))
