"""Capacities of links as the network takes them: constant, or a course of rates from steps or a recorded trace."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from parasim_core.sim.network.capacity import Course, Varying
from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.links import Capacity, Steps, Traced
from parasim_core.sim.scenario.sessions import recorded_sessions
from parasim_core.sim.scenario.trace_files import recorded
from parasim_core.sim.support.streams import stream

if TYPE_CHECKING:
    from parasim_core.sim.scenario.scenario import Scenario


def capacity(link: Capacity | None, seed: int, *owner: int, clock: float | None = None) -> float | Varying:
    """Capacity of one direction of a link, for the network.

    Parameters
    ----------
    link : Capacity or None
        As the scenario has it; None is unlimited.
    seed : int
        The scenario's, for starts that are drawn.
    *owner : int
        Whose link it is: a client's number, or such with a further number that tells sites and regions from clients.
        Both directions of one owner begin at the same place of a trace.
    clock : float or None
        Time of day at which the run begins [s]; not needed for links that do not go by it.

    Returns
    -------
    float or Varying
        [B/s]; a number where it never changes.

    Raises
    ------
    ScenarioError
        If a trace cannot be read.
    """
    if link is None:
        return math.inf
    if not isinstance(link, Steps | Traced):
        return link
    course, start = _course(link), link.start or 0.0
    if start == "random":
        assert course.period is not None
        # Drawn as a share of the trace, so that two of one length begin together whatever they are called.
        start = float(stream(seed, "trace", *owner).random()) * course.period
    elif start == "time-of-day":
        assert clock is not None
        start = clock
    scale = link.scale if isinstance(link, Traced) else 1.0
    varying = Varying(course, start, scale)
    return varying if varying.constant is None else varying.constant


def mean_rate(link: Capacity | None) -> float:
    """One number for a direction of a link: its mean over time; inf for a link that is unlimited [B/s].

    Raises
    ------
    ScenarioError
        If a trace cannot be read.
    """
    if link is None:
        return math.inf
    if isinstance(link, Traced):
        return _course(link).mean * link.scale
    return _course(link).mean if isinstance(link, Steps) else link


def scaled(link: Capacity, factor: float) -> Capacity:
    """Multiply a link's rates, whenever they hold, by a factor."""
    if isinstance(link, Traced):
        return link.model_copy(update={"scale": link.scale * factor})
    if isinstance(link, Steps):
        return link.model_copy(update={"steps": tuple((time, rate * factor) for time, rate in link.steps)})
    return link * factor


def with_mean(link: Capacity, mean: float) -> Capacity:
    """Give a link another mean rate [B/s]; one that varies keeps its course."""
    return scaled(link, mean / mean_rate(link)) if varies(link) else mean


def rate_text(link: Capacity) -> str:
    """Write a direction of a link as people do: ``10MB/s``, or ``mean 1.94MB/s`` of one that varies."""
    mean = mean_rate(link)
    return f"mean {units.format_bandwidth(float(f'{mean:.3g}'))}" if varies(link) else units.format_bandwidth(mean)


def varies(link: Capacity | None) -> bool:
    """Whether a link has different capacities at different times."""
    return isinstance(link, Steps | Traced) and len(_course(link).rates) > 1


def starts_at_random(link: Capacity | None) -> bool:
    """Whether each client begins elsewhere in a trace."""
    return isinstance(link, Traced) and link.start == "random"


def _course(link: Steps | Traced) -> Course:
    return recorded(link).course if isinstance(link, Traced) else _stepped(_Same(link))


class _Same:
    """Steps by their identity: to compare a million of them, or to hash them, for each client would take long."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __hash__(self) -> int:
        return id(self.steps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.steps is self.steps


@lru_cache(maxsize=1024)
def _stepped(same: _Same) -> Course:
    times, rates = zip(*same.steps.steps, strict=True)
    return Course(times, rates, same.steps.period)


def links_of(scenario: Scenario) -> Iterator[Capacity | None]:
    """All links of a scenario, a direction at a time."""
    server = scenario.server
    yield from (server.ingress, server.egress)
    for line in (*scenario.fleet, *(group.site for group in scenario.fleet), *scenario.regions.values()):
        if line is not None:
            yield from (line.uplink, line.down)


def followed_traces(scenario: Scenario) -> list[dict[str, Any]]:
    """Say what was recorded that a scenario follows, links and sessions: each once, with its digest.

    Raises
    ------
    ScenarioError
        If one cannot be read.
    """
    links = (link for link in links_of(scenario) if isinstance(link, Traced))
    traces = {(link.trace, link.column, link.unit): recorded(link) for link in links}
    files = (group.available.file for group in scenario.fleet if group.available is not None)
    sessions = {path: recorded_sessions(path) for path in files if path is not None}
    return [
        {
            "trace": path,
            **({"column": trace.column} if trace.column else {}),
            "sha256": trace.digest,
            "rows": trace.rows,
            "period": trace.course.period,
            "mean": units.format_bandwidth(float(f"{trace.course.mean:.6g}")),
            **({"holes": trace.holes, "left_out": trace.left_out} if trace.holes else {}),
        }
        for (path, _, _), trace in traces.items()
    ] + [{"sessions": path, "sha256": found.digest, "clients": len(found.clients)} for path, found in sessions.items()]
