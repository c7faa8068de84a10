"""Very many clients of which few take part at a time: neither a round's cost nor what is kept grows with them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, given, settings

from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.fleet import Fleet, opened_one_by_one
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.simulate import prepare, simulate
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.scenario.scenario import Scenario
from tests.growth import bytecodes
from tests.sim.engine.test_failures_random import scenarios

METHODS = ["fedbcd", "parablock"]


def population(clients: int, rounds: int, method: str = "fedbcd", **fields: Any) -> Scenario:
    """Twenty wanted clients a round, of which some vanish, some are late and most come but once."""
    group = {
        "uplink": "20MB/s",
        "available": {"share": 0.5, "session": "1h"},
        "dropout": {"rate": 0.1, "back_after": 3},
    }
    return Scenario.parse(
        {
            "method": method,
            "rounds": rounds,
            "fleet": [group | {"count": clients // 2}, group | {"count": clients // 2, "speed": 0.4}],
            "participation": {"fraction": 20 / clients, "over_selection": 1.3, "quorum": 0.7, "short": "wait"},
            "compute": {"seconds": 100},
            "payload": {"upload": "100MB"},
            "blocks": {"count": 4},
        }
        | fields
    )


def simulated(scenario: Scenario, *, timeline: bool = False) -> Result:
    costs = GivenSeconds(scenario, Fleet(scenario.fleet))
    return simulate(prepare(scenario, None), costs, timeline=timeline)


def work(clients: int, method: str) -> Callable[[], object]:
    scenario = population(clients, 12, method)
    return lambda: simulated(scenario).figures()


@pytest.mark.parametrize("method", METHODS)
def test_a_round_costs_the_same_among_a_thousand_and_a_hundred_thousand(method: str):
    work(1000, method)()
    assert bytecodes(work(100_000, method)) == pytest.approx(bytecodes(work(1000, method)), rel=0.1)


def kept(clients: int, rounds: int, method: str) -> int:
    """Memory at the end of a run, before its figures are worked out [B]."""
    scenario = population(clients, rounds, method)
    simulated(scenario)
    tracemalloc.start()
    try:
        result = simulated(scenario)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        assert len(result.timeline) > 26 * rounds
    finally:
        tracemalloc.stop()
    return held


@pytest.mark.parametrize("method", METHODS)
def test_little_is_kept_of_who_took_part(method: str):
    # 26 begin a round, with about three spans each (33 B, as their arrays grow by an eighth up to 40 B), a time of
    # presence (a tuple of two floats, 112 B) and a number for each span that was wasted.
    few, many = (kept(100, rounds, method) for rounds in (50, 150))
    assert (many - few) / (100 * 26) < 400


@pytest.mark.parametrize("method", METHODS)
def test_clients_at_rest_hold_nothing_of_the_network(method: str):
    runs: list[Run] = []
    finish = Run.finish

    def noted(run: Run, *arguments: Any) -> None:
        finish(run, *arguments)
        runs.append(run)

    with patch.object(Run, "finish", noted):
        simulated(population(10_000, 40, method))
    [run] = runs
    fallible = [site for site in run.sites if isinstance(site, Fallible)]
    at_rest = [site for site in fallible if not (site.present or site.at_work)]
    assert len(at_rest) > 500
    assert not [site for site in at_rest if hasattr(site, "port") or site.latest or site.owed or site.deliveries]
    # Those who know the same have it once, and processes that have ended are forgotten.
    assert len({id(site.known) for site in at_rest}) < 100
    assert len(run._processes) < 1200
    # What will never be aggregated is settled: only those at work have anything that is not.
    assert len(run.world.unsettled) <= len(fallible) - len(at_rest)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios())
def test_figures_are_the_same_without_a_timeline(scenario: Scenario):
    assume(opened_one_by_one(scenario))
    try:
        whole = simulated(scenario, timeline=True)
    except SimulationError:
        return
    outline = simulated(scenario)
    assert outline.figures() == whole.figures()
    assert outline.groups() == whole.groups()
    assert outline.levels() == whole.levels()
    assert outline.accounts == whole.accounts
    assert outline.provenance == whole.provenance


def test_without_a_timeline_there_are_no_spans():
    result = simulated(population(100, 2))
    with pytest.raises(SimulationError, match="of this run only the figures were kept: simulate it with its timeline"):
        _ = result.timeline.spans
