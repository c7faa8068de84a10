"""Why a run takes as long as it does, in a clause: what its critical path consists of."""

from __future__ import annotations

import math

from parasim.explanation import who
from parasim.sentences import say
from sim.fleet import Fleet
from sim.result import Result
from sim.studies.critical import Holder, critical_path
from sim.studies.explain import MOST_NAMED, Share, named
from sim.timeline import SERVER

_WORTH_A_CLAUSE = 0.01


def time_goes(result: Result) -> str:
    """Say what the wall-clock consists of: ``84% computing, 10% uplink and 6% downlink (mostly of rural)``."""
    shares = {holder: seconds / result.wall_clock for holder, seconds in _held(result).items()}
    parts = [
        say("path.share", share=share, resource=_named(result, holder))
        for holder, share in shares.items()
        if share >= _WORTH_A_CLAUSE
    ]
    return say("path.shares", parts=parts) if parts else say("path.no_time")


def in_the_way(result: Result, within: float) -> str:
    """Say what makes a run longer than a deadline: computing alone, or everything there is."""
    held = _held(result)
    if held.get(Holder.COMPUTING, 0.0) > within:
        resource = _named(result, Holder.COMPUTING)
        return say("path.alone", resource=resource, seconds=held[Holder.COMPUTING])
    parts = [
        say("path.seconds", resource=_named(result, holder), seconds=seconds)
        for holder, seconds in held.items()
        if seconds >= _WORTH_A_CLAUSE * result.wall_clock
    ]
    return say("path.takes", wall_clock=result.wall_clock, parts=parts)


def _held(result: Result) -> dict[Holder, float]:
    """Seconds of the critical path by resource, the largest first [s]."""
    seconds: dict[Holder, list[float]] = {}
    for share in _shares(result):
        seconds.setdefault(share.holder, []).append(share.seconds)
    return dict(sorted(((holder, math.fsum(terms)) for holder, terms in seconds.items()), key=lambda item: -item[1]))


def _shares(result: Result) -> tuple[Share, ...]:
    fleet = Fleet(result.scenario.fleet)
    seconds: dict[tuple[Holder, int], float] = {}
    for (holder, client), held in critical_path(result).held().items():
        key = holder, SERVER if client == SERVER else fleet.index(client)
        seconds[key] = seconds.get(key, 0.0) + held
    return tuple(Share(*key, held) for key, held in sorted(seconds.items(), key=lambda item: -item[1]))


def _named(result: Result, holder: Holder) -> str:
    """Name a resource, and whose it is where clients differ."""
    fleet = Fleet(result.scenario.fleet)
    if len(fleet.groups) == 1:
        return holder.value
    groups = named(_shares(result), holder)
    if not 0 < len(groups) <= min(MOST_NAMED, len(fleet.groups) - 1):
        return holder.value
    # Named groups hold the most of it, not always all.
    return say("path.mostly", resource=holder.value, groups=who(groups, fleet))
