"""FedBuff's shape: everyone at their own pace, and the synchronous method where the buffer waits for all."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind, write_csv
from parasim_core.sim.errors import ScenarioError
from tests.sim.runs import of, simulated

FLEET = [{"uplink": "100MB/s"}, {"uplink": "50MB/s"}, {"uplink": "20MB/s"}]


def timeline(result: Result) -> str:
    file = io.StringIO()
    write_csv(file, result.timeline.spans, dict(result.counts), collapse=False)
    return file.getvalue()


def fedbuff(**parameters: Any) -> dict[str, Any]:
    return {"name": "fedbuff", **parameters}


@settings(max_examples=60, deadline=None)
@given(
    clients=st.integers(1, 5),
    rounds=st.integers(1, 5),
    data=st.data(),
    aggregation=st.sampled_from([0.0, 0.7]),
    serialization=st.sampled_from([0.0, 0.2]),
    ingress=st.sampled_from([None, "30MB/s"]),
)
def test_a_buffer_for_everyone_is_the_synchronous_method(clients, rounds, data, aggregation, serialization, ingress):
    of_clients = {"min_size": clients, "max_size": clients}
    rates = data.draw(st.lists(st.sampled_from([7, 20, 50]), **of_clients))
    fields = {
        "fleet": [{"uplink": f"{rate}MB/s", "latency": "100ms"} for rate in rates],
        "compute": {"seconds": data.draw(st.lists(st.floats(0, 30), **of_clients))},
        "server": {"aggregation": aggregation, "ingress": ingress},
        "wire": {"serialization": serialization},
        "rounds": rounds,
    }
    buffered = simulated(method=fedbuff(buffer=clients, concurrency=clients), **fields)
    synchronous = simulated(method="full-ft", **fields)
    assert timeline(buffered) == timeline(synchronous)
    assert buffered.figures() | {"method": ""} == synchronous.figures() | {"method": ""}


def test_who_is_fast_does_not_wait_for_who_is_slow():
    # 100 MB messages: 1, 2 and 5 s one way; computing 10, 12 and 17 s; every update is aggregated by itself.
    result = simulated(method="fedasync", fleet=FLEET, compute={"seconds": [10, 12, 17]}, rounds=6)
    # Client 0: up 10-11, down 11-12, 12-22, up 22-23, down 23-24, 24-34, up 34-35. Client 1: up 12-14, down 14-16,
    # 16-28, up 28-30. Client 2: up 17-22.
    aggregated = [(span.start, span.round) for span in of(result, Kind.AGGREGATE)]
    assert aggregated == [(11, 0), (14, 1), (22, 2), (23, 3), (30, 4), (35, 5)]
    # Client 0 fetches at 23 what came at 14, 22 and 23; its download brings the newest, 3.
    assert [(span.start, span.round) for span in of(result, Kind.DOWNLOAD, 0)] == [(11, 0), (23, 3)]
    assert result.wall_clock == 35


def test_what_is_under_way_at_the_end_is_cut_off():
    # Two aggregations of single updates: at 11 and 14. Client 0 has fetched by 12 and computes; client 2 computes.
    result = simulated(method="fedasync", fleet=FLEET, compute={"seconds": [10, 12, 17]}, rounds=2)
    computing = {(span.client, span.start): span.end for span in of(result, Kind.COMPUTE)}
    assert computing == {(0, 0): 10, (1, 0): 12, (2, 0): 14, (0, 12): 14}
    assert result.provenance["updates"] == {"cancelled": 2}


def test_a_message_under_way_at_the_end_has_sent_what_it_had_sent():
    # Client 1's 100 MB at 20 MB/s from 10 on: 1 s of them, 20 MB, when client 0's update ends the run at 11.
    result = simulated(method="fedasync", fleet=[FLEET[0], FLEET[2]], rounds=1)
    (cut,) = of(result, Kind.UPLOAD, 1)
    assert (cut.start, cut.end, cut.size) == (10, 11, 20e6)
    assert cut.parts is not None
    assert cut.parts.alone == 1


def test_places_go_round_in_the_order_of_clients():
    # One place, three clients of 10 s + 1 s up (and 1 s down from the second turn on), two updates an aggregation.
    result = simulated(method=fedbuff(buffer=2, concurrency=1), rounds=2)
    # 0: 0-11. 1: 11-22, aggregated. 2: down 22-23, 23-33, up 34. 0: down 34-35, 35-45, up 46: aggregated.
    assert [(span.client, span.start) for span in of(result, Kind.COMPUTE)] == [(0, 0), (1, 11), (2, 23), (0, 35)]
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [22, 46]


def test_no_more_than_so_many_aggregations_are_made():
    # Four alike clients arrive together: the first of them is the one aggregation that was asked for.
    result = simulated(method="fedasync", fleet=[{"count": 4}], rounds=1)
    assert len(of(result, Kind.AGGREGATE)) == 1
    assert result.provenance["updates"] == {"dropped": {"left over: no aggregation was left": 3}}


def test_alike_clients_that_arrive_together_are_stale_to_one_another():
    # Trained on the same version, they are 0, 1, 2 and 3 aggregations old when they are aggregated one by one.
    result = simulated(method={"name": "fedasync", "max_staleness": 1}, fleet=[{"count": 4}], rounds=2)
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [11, 11]
    one = simulated(method={"name": "fedasync", "max_staleness": 0}, fleet=[{"count": 4}], rounds=2)
    # Three are dropped as the first of them is aggregated; all begin again: 1 s down, 10 s, 1 s up; and again three.
    assert [span.start for span in of(one, Kind.AGGREGATE)] == [11, 23]
    assert one.provenance["updates"]["dropped"] == {"more than 0 aggregations stale": 6}


@pytest.mark.parametrize("serialization", [0.0, 3.0])
def test_parts_of_what_is_cut_off_add_up(serialization: float):
    fleet = [{"count": 6, "uplink": "40MB/s", "downlink": "30MB/s", "latency": "2s"}]
    seconds = [10, 11.3, 12.1, 13.7, 14.9, 15.2]
    fields = {"fleet": fleet, "compute": {"seconds": seconds}, "wire": {"serialization": serialization}}
    for rounds in range(1, 6):
        result = simulated(method=fedbuff(buffer=2), rounds=rounds, **fields)
        for span in result.timeline.spans:
            if span.parts is not None:
                assert sum(span.parts) == pytest.approx(span.end - span.start, abs=1e-9)
                assert min(span.parts) >= -1e-9


def test_what_is_too_stale_is_dropped_and_said_to_be():
    # Client 2's update of 17 + 5 s arrives at 22 after the aggregations at 11 and 14: two behind.
    fields = {"fleet": FLEET, "compute": {"seconds": [10, 12, 17]}, "rounds": 4}
    strict = simulated(method={"name": "fedasync", "max_staleness": 1}, **fields)
    assert [span.start for span in of(strict, Kind.AGGREGATE)] == [11, 14, 23, 30]
    dropped = strict.provenance["updates"]["dropped"]
    assert dropped == {"more than 1 aggregations stale": 1}
    lenient = simulated(method={"name": "fedasync", "max_staleness": 2}, **fields)
    assert [span.start for span in of(lenient, Kind.AGGREGATE)] == [11, 14, 22, 23]
    assert "dropped" not in lenient.provenance["updates"]


def test_every_activity_waited_for_what_began_it():
    # Whatever a client does begins at the latest end of its causes.
    result = simulated(method=fedbuff(buffer=2, concurrency=2), fleet=FLEET * 2, rounds=6)
    spans = result.timeline.spans
    for span in spans:
        reached = max((spans[cause].end for cause in span.causes), default=0.0)
        assert span.start == pytest.approx(reached, abs=1e-9), span
        assert span.client == SERVER or span.causes or span.start == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"method": fedbuff(buffer=4)}, "method.buffer"),
        ({"method": fedbuff(buffer=0)}, "method.buffer"),
        ({"method": {"name": "fedasync", "buffer": 1}}, "method.buffer"),
        ({"method": "fedbuff", "participation": {"fraction": 0.5}}, "participation"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], field: str):
    with pytest.raises(ScenarioError, match=rf"{field}:"):
        simulated(**fields)
