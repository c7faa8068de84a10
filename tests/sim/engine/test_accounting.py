from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim import simulate
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind, Span, account
from parasim_core.sim.workload.methods import METHODS
from tests.sim.runs import simulated, with_staleness

SECONDS = st.floats(0, 100)
COMPRESSION = st.fixed_dictionaries(
    {},
    optional={"top_k": st.floats(0.01, 1), "bits": st.integers(1, 16), "group_size": st.integers(1, 512)},
)
GROUP = st.fixed_dictionaries(
    {"count": st.integers(1, 3), "uplink": st.floats(1e5, 1e9).map(lambda rate: f"{rate!r}B/s")},
    optional={
        "downlink": st.floats(1e5, 1e9).map(lambda rate: f"{rate!r}B/s"),
        "latency": st.floats(0, 2),
        "speed": st.floats(0.1, 10),
        "duplex": st.sampled_from(["full", "half"]),
    },
)


@st.composite
def scenarios(draw: st.DrawFn, method: str) -> dict[str, Any]:
    """Small scenarios of one method with everything else at random."""
    cyclic = method == "fedcybgd"
    rounds = draw(st.integers(1, 6))
    fleet = draw(st.lists(GROUP, min_size=1, max_size=3))
    clients = sum(group["count"] for group in fleet)
    members = st.lists(st.integers(0, clients - 1), min_size=1, max_size=1 if cyclic else clients, unique=True)
    lists = st.lists(members, min_size=rounds, max_size=rounds).map(lambda chosen: {"rounds": chosen})
    fractions = st.floats(0.05, 1).map(lambda fraction: {"fraction": fraction})
    ways = [st.just({}), lists, fractions][: 2 if cyclic else 3 if METHODS[method].shape.traits.rounds_numbered else 1]
    row = st.lists(SECONDS, min_size=clients, max_size=clients)
    scenario = {
        "model": "smollm2-135m",
        "method": with_staleness(method, draw(st.integers(1, 4))),
        "rounds": rounds,
        "fleet": fleet,
        "participation": draw(st.one_of(*ways)),
        "compute": {
            "seconds": draw(st.one_of(SECONDS, row, st.lists(row, min_size=rounds, max_size=rounds))),
            "non_overlapping": draw(st.floats(0, 5)),
        },
        "wire": {
            "serialization": draw(st.sampled_from([0.0, 0.3])),
            "upload": draw(COMPRESSION),
            "download": draw(COMPRESSION),
        },
        "server": {"aggregation": draw(st.sampled_from([0.0, 0.7]))}
        | draw(st.fixed_dictionaries({}, optional={"ingress": st.just("3MB/s"), "egress": st.just("7MB/s")})),
        "cyclic": {"download_fraction": draw(st.floats(0, 1))},
        "seed": draw(st.integers(0, 100)),
    }
    if draw(st.booleans()):
        scenario["payload"] = {"upload": "1MB", "download": draw(st.sampled_from(["1MB", "0.3MB", "0"]))}
    if not cyclic:
        schedules = ["random", "sequential", "reverse", "gradient"]
        scenario["blocks"] = {
            "layers": draw(st.sampled_from([0.5, 2, 30])),
            "schedule": draw(st.sampled_from(schedules)),
        }
    return scenario


def assert_accounted(result: Result) -> None:
    """Check compute + exposed + waiting + offline = wall-clock for every client, within 4 units in the last place."""
    wall_clock = result.wall_clock
    assert math.isfinite(wall_clock)
    for own in result.accounts.values():
        parts = (own.compute, own.exposed, own.waiting, own.offline)
        assert min(parts) >= 0
        assert abs(math.fsum(parts) - wall_clock) <= 4 * math.ulp(wall_clock)
        assert 0 <= own.hidden <= own.compute
        assert 0 <= own.stalled <= own.exposed


@pytest.mark.parametrize("method", sorted(METHODS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_second_of_every_client_is_accounted_for(method: str, data: st.DataObject):
    result = simulate(data.draw(scenarios(method)))
    assert_accounted(result)
    assert sum(result.counts.values()) <= result.scenario.clients
    for span in result.timeline.spans:
        assert 0 <= span.start <= span.end <= result.wall_clock


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.sampled_from(list(Kind)[:3])), max_size=9), st.data()
)
def test_one_thing_after_the_other_is_divided_as_anything_else(lengths: list[tuple[float, float, Kind]], data: Any):
    # A presence that is told in two pieces has every change looked at.
    spans, now = [], 0.0
    for pause, length, kind in lengths:
        spans.append(Span(0, 0, kind, now + pause, now + pause + length, 1.0, (), ()))
        now += pause + length
    gone = now + data.draw(st.floats(0, 1e4))
    middle, end = gone / 3, gone + data.draw(st.floats(0, 1e4))
    assert account(spans, [(0.0, gone)], end) == account(spans, [(0.0, middle), (middle, gone)], end)


def test_each_group_has_the_means_of_its_clients():
    # One round, 10 s of computing, 100 MB: the near ones send for 1 s; the far one computes for 5 s and sends for 10.
    result = simulated(
        method="fedbcd",
        rounds=1,
        fleet=[{"name": "near", "count": 2, "uplink": "100MB/s"}, {"name": "far", "uplink": "10MB/s", "speed": 2}],
    )
    near, far = result.groups()
    assert near == {
        "name": "near",
        "clients": 2,
        "compute_s": 10,
        "exposed_communication_s": 1,
        "waiting_s": 4,
        "offline_s": 0,
        "hidden_communication_s": 0,
    }
    assert (far["clients"], far["compute_s"], far["exposed_communication_s"], far["waiting_s"]) == (1, 5, 10, 0)
