"""How much is simulated for an answer where nothing can be replayed: so that one waits a minute for it, not an hour."""

from __future__ import annotations

from parasim_core.sim.engine.result import Result
from parasim_core.sim.replay.conditions import shared_or_varying

EVENTS = 5_000_000
"""So many events are simulated for one answer, about: a minute's work of one core."""
OF_A_START = 2000
"""Setting a simulation up costs as much as so many events, about."""


def affordable(run: Result, most: int, least: int = 1) -> int:
    """How many simulations of a run are done for an answer.

    Parameters
    ----------
    run : Result
        What is to be simulated again and again.
    most, least : int
        That many at most, and at least. All of them where links neither vary nor are shared below the server, nor
        carry TCP, as such runs are short.

    Returns
    -------
    int
        It depends on the run alone, not on the machine.
    """
    if not shared_or_varying(run.scenario):
        return most
    return max(least, min(most, EVENTS // (OF_A_START + run.events)))
