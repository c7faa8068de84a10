"""Synchronous rounds as any simulator can be told them: the cases on which formulas are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from parasim.core.sim.engine.result import Result
from parasim.core.sim.engine.timeline import Kind


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

    A round's download is the one that brings the model from which the round begins.
    """
    (group,) = result.scenario.fleet
    uplink, downlink = group.uplink, group.downlink
    assert isinstance(uplink, float)
    assert isinstance(downlink, float)
    amounts: dict[tuple[int, int], dict[Kind, float]] = {}
    for span in result.timeline.spans:
        if span.client >= 0:
            own = amounts.setdefault((span.round + (span.kind is Kind.DOWNLOAD), span.client), {})
            own[span.kind] = own.get(span.kind, 0.0) + (
                span.end - span.start if span.kind is Kind.COMPUTE else span.size
            )
    rounds: list[list[Work]] = [[] for _ in range(result.scenario.rounds)]
    for (number, client), own in amounts.items():
        moved = own.get(Kind.UPLOAD, 0.0), own.get(Kind.DOWNLOAD, 0.0)
        work = Work(own.get(Kind.COMPUTE, 0.0), *moved, uplink, downlink)
        rounds[number] += [work] * result.counts[client]
    return Case(rounds)
