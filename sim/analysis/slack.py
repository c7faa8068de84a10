"""By how much anything that is done in a run could be later without the run ending later."""

from __future__ import annotations

import math

from parasim_core.sim.engine.result import Result


def slack(result: Result) -> list[float]:
    """By how much each span of a run may be delayed without the run ending later [s].

    Parameters
    ----------
    result : Result
        A simulated run.

    Returns
    -------
    list of float
        One per span, 0 on the critical path. Durations are taken as they were: where a server's link is shared,
        a transfer that is delayed also leaves others more of it, or takes more from them.
    """
    spans = result.timeline.spans
    latest_end = [result.wall_clock] * len(spans)
    latest_serial_end = [math.inf] * len(spans)
    latest_start: dict[int, float] = {}
    # Where a whole cohort waits for another, all share one tuple of causes: what follows from it is left to the first.
    # They are told apart by identity, as comparing them would go through the whole cohort for each of its clients.
    first = {id(spans[number].causes): number for number in reversed(range(len(spans)))}
    slacks = [0.0] * len(spans)
    # Causes have lower numbers than what waits for them.
    for number in range(len(spans) - 1, -1, -1):
        span = spans[number]
        start = min(latest_end[number] - (span.end - span.start), latest_serial_end[number] - span.serial)
        slacks[number] = max(0.0, start - span.start)
        if span.beside is not None:
            latest_serial_end[span.beside] = min(latest_serial_end[span.beside], start)
        shared = id(span.causes)
        latest_start[shared] = min(latest_start.get(shared, math.inf), start)
        if first[shared] == number:
            for cause in span.causes:
                latest_end[cause] = min(latest_end[cause], latest_start[shared])
    return slacks
