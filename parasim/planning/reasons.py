"""Why a plan's answer is what it is: what the critical path of a run consists of, in a clause."""

from __future__ import annotations

import math

from parasim.explanation import who
from parasim.text import clock
from sim.fleet import Fleet
from sim.result import Result
from sim.studies.critical import Holder, critical_path
from sim.studies.explain import MOST_NAMED, Share, named
from sim.timeline import SERVER

_WORTH_A_CLAUSE = 0.01


def time_goes(result: Result) -> str:
    """Say what the wall-clock consists of: ``84% computing, 10% uplink and 6% downlink (mostly of rural)``."""
    held, wall_clock = _held(result), result.wall_clock
    parts = [
        f"{seconds / wall_clock:.0%} {_named(result, holder)}"
        for holder, seconds in held.items()
        if seconds >= _WORTH_A_CLAUSE * wall_clock
    ]
    return _listed(parts) if parts else "the run takes no time"


def in_the_way(result: Result, within: float) -> str:
    """Say what makes a run longer than a deadline: computing alone, or everything there is."""
    held, wall_clock = _held(result), result.wall_clock
    if held.get(Holder.COMPUTING, 0.0) > within:
        return f"{_named(result, Holder.COMPUTING)} alone takes {clock(held[Holder.COMPUTING])}"
    parts = [
        f"{_named(result, holder)} {clock(seconds)}"
        for holder, seconds in held.items()
        if seconds >= _WORTH_A_CLAUSE * wall_clock
    ]
    return f"it takes {clock(wall_clock)}: {_listed(parts)}"


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
    groups = named(_shares(result), holder)
    if len(fleet.groups) == 1 or not 0 < len(groups) <= min(MOST_NAMED, len(fleet.groups) - 1):
        return holder.value
    # Named groups hold the most of it, not always all.
    return f"{holder.value} (mostly of {who(groups, fleet)})"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
