"""What messages took, by the resource that held them: links of each level, latency, and what TCP costs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from parasim_core.sim.analysis.critical_path import Holder, length, pieces_of, sharing_of
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result


def messages_of(result: Result) -> list[dict[str, Any]]:
    """Seconds of the messages of each group's mean client and of each region's aggregator, by resource.

    Parameters
    ----------
    result : Result
        A simulated run.

    Returns
    -------
    list of dict
        `name`, and `seconds` by the name of each resource that held any message of the run [s]: all that messages
        took, whether or not something was computed at the same time.
    """
    fleet, sharing = Fleet.of(result.scenario), sharing_of(result)
    held: dict[int, dict[Holder, float]] = {}
    for number, span in enumerate(result.timeline.spans):
        if span.spent:
            owner = span.client if span.client < 0 else fleet.index(span.client)
            own = held.setdefault(owner, defaultdict(float))
            for piece in pieces_of(number, span, sharing):
                own[piece.holder] += length([piece]) * result.counts.get(span.client, 1)
    resources = [holder for holder in Holder if any(own.get(holder) for own in held.values())]
    owners = [(index, fleet.name(index), group.count) for index, group in enumerate(fleet.groups)]
    owners += [(number, fleet.actor(number), 1) for number in fleet.aggregators.values()]
    return [
        {"name": name, "seconds": {r.value: held.get(owner, {}).get(r, 0.0) / count for r in resources}}
        for owner, name, count in owners
    ]
