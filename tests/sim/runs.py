"""Small scenarios for the tests, with numbers that can be checked by hand."""

from __future__ import annotations

from typing import Any

from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Setup, prepare, simulate
from parasim_core.sim.engine.timeline import Kind, Span
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import with_parameter

DEFAULTS: dict[str, Any] = {
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "fleet": [{"count": 3, "uplink": "100MB/s"}],
    "rounds": 4,
}


def simulated(**fields: Any) -> Result:
    """Simulate explicit seconds and bytes: by default 10 s of computing, and 100 MB messages on 100 MB/s links."""
    return simulate(*prepared(**fields))


def prepared(**fields: Any) -> tuple[Setup, GivenSeconds]:
    """Work out such a scenario without running it."""
    scenario = Scenario.parse(DEFAULTS | fields)
    return prepare(scenario, None), GivenSeconds(scenario, Fleet(scenario.fleet))


def with_staleness(name: str, staleness: int) -> dict[str, Any]:
    """Write a method with its staleness, if it is one that has any."""
    return {"name": name} | ({"staleness": staleness} if name in with_parameter("staleness") else {})


def of(result: Result, kind: Kind, client: int | None = None) -> list[Span]:
    """Spans of one kind (of one client), by start."""
    spans = [s for s in result.timeline.spans if s.kind is kind and client in (None, s.client)]
    return sorted(spans, key=lambda s: (s.start, s.client))


def rotating(clients: int, cohort: int, rounds: int) -> list[list[int]]:
    """Cohorts that take turns: with 6 clients in cohorts of 2, clients 0 1, 2 3, 4 5, 0 1, ..."""
    return [[(round * cohort + member) % clients for member in range(cohort)] for round in range(rounds)]
