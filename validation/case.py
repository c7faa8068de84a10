"""Synchronous rounds as any simulator can be told them: the cases on which formulas are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind


class Work(NamedTuple):
    """What one client does in one round.

    Attributes
    ----------
    seconds : float
        Computing [s].
    up, down : float
        Bytes that it sends, and that it receives [B].
    uplink, downlink : float
        Its own link [B/s].
    """

    seconds: float
    up: float
    down: float
    uplink: float
    downlink: float


@dataclass(frozen=True)
class Case:
    """A run.

    Attributes
    ----------
    rounds : sequence of sequence of Work
        Of every round, the work of each client that takes part.
    ingress, egress : float
        What the server's link carries to it, and from it [B/s].
    latency : float
        Of every message [s].
    """

    rounds: Sequence[Sequence[Work]]
    ingress: float = math.inf
    egress: float = math.inf
    latency: float = 0.0


def of_simgrid(case: Mapping[str, Any], latency: float) -> Case:
    """One of SimGrid's cases (`validation.references.simgrid`)."""
    up, down = case["bytes_up"], case["bytes_down"]
    links = list(zip(case["up_Bps"], case["down_Bps"], strict=True))
    rounds = [
        [Work(seconds, up, down, *link) for seconds, link in zip(computing, links, strict=True)]
        for computing in case["compute_s"]
    ]
    return Case(rounds, case["server_ingress"], case["server_egress"], latency)


def of_result(result: Result) -> Case:
    """What the clients of a simulated run of one group with constant links did, without when they did it.

    A round of a client is a computation and its upload, and what it downloaded since the computation before; what it
    downloaded after its last one counts there.
    """
    (group,) = result.scenario.fleet
    uplink, downlink = group.uplink, group.downlink
    assert isinstance(uplink, float)
    assert isinstance(downlink, float)
    rounds: list[list[Work]] = [[] for _ in range(result.scenario.rounds)]
    for client, spans in result.timeline.by_client():
        computing = [span for span in spans if span.kind is Kind.COMPUTE]
        up = {span.round: span.size for span in spans if span.kind is Kind.UPLOAD}
        down = dict.fromkeys((span.round for span in computing), 0.0)
        for span in spans:
            if span.kind is Kind.DOWNLOAD:
                down[next((one for one in computing if one.start >= span.end), computing[-1]).round] += span.size
        for span in computing:
            work = Work(span.end - span.start, up[span.round], down[span.round], uplink, downlink)
            rounds[span.round] += [work] * result.counts[client]
    return Case(rounds)
