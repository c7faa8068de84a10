"""How runs with regions end: by the last aggregation, by being ended, or standing still."""

from __future__ import annotations

import numpy as np
import pytest

from parasim_core.sim.analysis.critical_path import Holder, critical_path
from parasim_core.sim.engine.aggregation import Quorum
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.shape import Params, Traits
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.engine.world import Process
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.workload.methods import METHODS, Method, Trains
from tests.sim.engine.test_aggregators import EU, FLEET, REGIONS, US, times
from tests.sim.runs import of, simulated


class _Quorum(Synchronous[Params]):
    """Half of the clients are enough."""

    traits = Traits()

    def __init__(self, run: Run, params: Params):
        super().__init__(run, params)
        run.server.policy = Quorum(0.5)

    def server(self) -> Process:
        yield from super().server()
        self.run.stop()


class _Silent(Synchronous[Params]):
    """Client 1 never sends."""

    def client(self, site: Site) -> Process:
        if site.client != 1:
            yield from super().client(site)


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, shape in (("quorum", _Quorum), ("silent", _Silent)):
        monkeypatch.setitem(METHODS, name, Method(name, shape, Trains.EVERYTHING, ""))


@pytest.mark.usefixtures("_registered")
def test_where_some_are_enough_nobody_waits_for_the_slowest():
    # Clients 0 and 1 of eu, of 50 and 1 MB/s: 2 and 100 s. Half of the three: client 0's through eu at 12 + 5 s, and
    # client 2's at 15 + 1 s. What is under way when the run ends is cancelled: nothing is lost.
    fleet = [{"uplink": "50MB/s", "region": "eu"}, {"uplink": "1MB/s", "region": "eu"}, FLEET[1]]
    result = simulated(method="quorum", rounds=1, fleet=fleet, regions=REGIONS)
    assert result.wall_clock == 17
    assert result.provenance["updates"] == {"cancelled": 1}


@pytest.mark.usefixtures("_registered")
def test_what_a_region_has_when_the_run_is_ended_is_cancelled():
    # eu passes both updates on at once, 12 + 1 + 8 s; those of us share its 100 MB/s from 15 to 17 s, and are half.
    fleet = [FLEET[0], {"count": 2, "uplink": "20MB/s", "region": "us"}]
    result = simulated(method="quorum", rounds=1, fleet=fleet, regions=REGIONS)
    assert times(result, Kind.UPLOAD, US) == [(15, 17)] * 2
    # From 13 to 17 s, at 12.5 MB/s each.
    assert [(span.start, span.end, span.size) for span in of(result, Kind.UPLOAD, EU)] == [(12, 17, 50e6)] * 2
    assert result.provenance["updates"] == {"cancelled": 2}


@pytest.mark.usefixtures("_registered")
def test_what_a_region_waits_for_in_vain_is_said():
    with pytest.raises(SimulationError) as stopped:
        simulated(method="silent", rounds=2, fleet=FLEET, regions=REGIONS)
    assert "region eu holds what 1 of its clients sent in round 0 and waits for 1 more" in str(stopped.value)


def test_a_dead_link_of_a_region_is_named():
    regions = REGIONS | {"eu": {"uplink": {"steps": [["0s", "10MB/s"], ["15s", "0MB/s"]]}, "aggregates": True}}
    with pytest.raises(SimulationError) as stopped:
        simulated(method="fedbcd", rounds=1, fleet=FLEET, regions=regions)
    assert "region eu waits for its upload (the uplink carries nothing from 15 s on)" in str(stopped.value)


def test_who_waits_for_a_region_is_said():
    # eu's downlink breaks off at 18.5 s. What it brings was aggregated, and asked for, at 17 s.
    down = {"steps": [["0s", "10MB/s"], ["18.5s", "0MB/s"]]}
    regions = {"eu": REGIONS["eu"] | {"downlink": down}}
    with pytest.raises(SimulationError) as stopped:
        simulated(method="fedbcd", rounds=2, fleet=FLEET[:1], regions=regions)
    said = str(stopped.value)
    assert "client 0 waits for its region to have what it downloads since 17 s" in said
    assert "region eu waits for its download (the downlink carries nothing from 18.5 s on)" in said


@pytest.mark.parametrize("method", ["fedbuff", "fedasync", "quorum"])
@pytest.mark.usefixtures("_registered")
def test_whatever_is_under_way_when_a_run_is_ended(method: str):
    """Nothing is lost, and everything that is recorded took place, wherever the end comes."""
    for seed in range(60):
        draws = np.random.default_rng(seed)
        names = [*("a", "b")[: int(draws.integers(1, 3))], None]

        def rate(draws: np.random.Generator = draws) -> str:
            return f"{float(np.exp(draws.uniform(0, 5)))!r}MB/s"

        fleet = [
            {"uplink": rate(), "downlink": rate(), "latency": float(draws.uniform(0, 1)), "region": draws.choice(names)}
            for _ in range(int(draws.integers(2, 8)))
        ]
        regions = {
            name: {"uplink": rate(), "downlink": rate(), "latency": float(draws.uniform(0, 2)), "aggregates": True}
            for name in names
            if name is not None
        }
        seconds = [float(own) for own in draws.uniform(1, 20, len(fleet))]
        result = simulated(
            method=method, rounds=int(draws.integers(1, 9)), fleet=fleet, regions=regions, compute={"seconds": seconds}
        )
        assert all(
            0 <= span.start <= span.end <= result.wall_clock and span.round >= 0 for span in result.timeline.spans
        )
        assert all(
            sum(span.parts) == pytest.approx(span.end - span.start) for span in result.timeline.spans if span.parts
        )
        assert Holder.UNRECORDED not in {piece.holder for piece in critical_path(result).pieces}
