"""Asynchronous ParaBlock: nobody waits, and ParaBlock to the byte where everyone is alike and the buffer is for all."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind, write_csv
from parasim_core.sim.errors import ScenarioError
from tests.sim.runs import of, simulated

BLOCKS = {"blocks": {"count": 3, "schedule": "sequential"}}
UNEVEN = {"fleet": [{"uplink": "100MB/s"}, {"uplink": "20MB/s", "speed": 0.5}], **BLOCKS}


def parablock_async(**parameters: Any) -> dict[str, Any]:
    return {"name": "parablock-async", **parameters}


def timeline(result: Result, rounds: int) -> list[str]:
    """Lines of `timeline.csv`, but for updates that no round is left for."""
    file = io.StringIO()
    spans = [span for span in result.timeline.spans if span.round < rounds]
    write_csv(file, spans, dict(result.counts), collapse=False)
    return sorted(file.getvalue().splitlines())


def same_as_parablock(**fields: Any) -> None:
    clients = sum(group.get("count", 1) for group in fields["fleet"])
    own_pace = simulated(method=parablock_async(buffer=clients), **fields)
    in_rounds = simulated(method="parablock", **fields)
    assert own_pace.wall_clock == in_rounds.wall_clock
    assert timeline(own_pace, fields["rounds"]) == timeline(in_rounds, fields["rounds"])
    for part in ("uploaded", "downloaded"):
        assert own_pace.total(part) == in_rounds.total(part)


@settings(max_examples=60, deadline=None)
@given(
    clients=st.integers(1, 5),
    rounds=st.integers(1, 6),
    seconds=st.floats(0, 30),
    rate=st.sampled_from([4, 7, 20, 50]),
    serialization=st.sampled_from([0.0, 0.2]),
    ingress=st.sampled_from([None, "30MB/s"]),
    schedule=st.sampled_from(["sequential", "random"]),
)
def test_alike_clients_and_a_buffer_for_all_are_parablock(
    clients, rounds, seconds, rate, serialization, ingress, schedule
):
    same_as_parablock(
        fleet=[{"count": clients, "uplink": f"{rate}MB/s", "latency": "100ms"}],
        compute={"seconds": seconds},
        server={"ingress": ingress},
        wire={"serialization": serialization},
        blocks={"count": 3, "schedule": schedule},
        rounds=rounds,
    )


@settings(max_examples=40, deadline=None)
@given(
    rates=st.lists(st.sampled_from([20, 50, 100]), min_size=1, max_size=4),
    rounds=st.integers(1, 6),
    seconds=st.floats(5, 30),
    aggregation=st.floats(0, 5),
)
def test_so_are_others_whose_aggregate_is_there_before_they_have_computed(rates, rounds, seconds, aggregation):
    # 100 MB up, aggregated, and down again while everyone computes: nobody is ever ahead of another.
    assume(2 * 100 / min(rates) + aggregation < seconds)
    same_as_parablock(
        fleet=[{"uplink": f"{rate}MB/s"} for rate in rates],
        compute={"seconds": seconds},
        server={"aggregation": aggregation},
        rounds=rounds,
        **BLOCKS,
    )


def test_who_is_fast_goes_on_and_blocks_have_buffers_of_their_own():
    # Client 0: 10 s of computing, 1 s one way. Client 1: 20 s and 5 s. Blocks 0, 1, 2, 0, ... for each by itself.
    result = simulated(method=parablock_async(buffer=2), rounds=4, **UNEVEN)
    # 0 is in at 11, 21, 31, ... with blocks 0, 1, 2, 0, ...; 1 at 25, 45, 65, ... So block 0 has two at 25 (11, 25),
    # block 1 at 45 (21, 45), block 2 at 61 (31, 61: both of client 0), and block 0 again at 71 (41, 71).
    aggregated = [(span.start, span.blocks) for span in of(result, Kind.AGGREGATE)]
    assert aggregated == [(25, (0,)), (45, (1,)), (61, (2,)), (71, (0,))]
    # Client 0 waits for something newer beside its computing, no longer: from 11 to 20 there is nothing, from 21 on
    # there is at 25, and so on; at 61 it comes with its own update.
    assert [(s.start, s.blocks) for s in of(result, Kind.DOWNLOAD, 0)] == [(25, (0,)), (45, (1,)), (61, (2,))]
    # It never stops computing, and client 1 does for nothing but its own messages, which are beside it.
    starts = [span.start for span in of(result, Kind.COMPUTE, 0)]
    assert starts == [0, 10, 20, 30, 40, 50, 60, 70]
    assert [span.start for span in of(result, Kind.COMPUTE, 1)] == [0, 20, 40, 60]
    # At 71 both compute, and of blocks 1 and 2 there is one update each, of 51 and 65.
    dropped = {"left over: no aggregation was left": 2}
    assert result.provenance["updates"] == {"dropped": dropped, "cancelled": 2}


def test_links_slower_than_computing_are_waited_for():
    # 10 s of computing, 15 s one way, alone: 0-10; up 10-25 beside 10-20; aggregated at 25, down 25-40; 40-50 beside
    # the next upload 40-55, aggregated at 55.
    result = simulated(method=parablock_async(buffer=1), rounds=2, fleet=[{}], payload={"upload": "1500MB"}, **BLOCKS)
    assert [span.start for span in of(result, Kind.COMPUTE)] == [0, 10, 40]
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [25, 55]


def test_who_computes_gives_its_place_to_who_has_waited():
    # One place, two clients of 10 s, 5 s one way, a buffer of one; block 0, 1, 2, ... of each.
    result = simulated(
        method=parablock_async(buffer=1, concurrency=1), rounds=4, fleet=[{"count": 2, "uplink": "20MB/s"}], **BLOCKS
    )
    # 0 computes 0-10, sends 10-15 (aggregation 0). 1 computes 10-20, sends 20-25 (1). 0 queued at 15: at 20 it fetches
    # block 0 until 25 and computes 25-35 (block 1), sends 35-40 (2). 1 at 35: fetches block 0 (of aggregation 1; it
    # has nothing), 35-40, computes 40-50 (block 1), sends 50-55 (3). 0 fetches blocks 0 and 1 from 50 on.
    assert [(s.client, s.start) for s in of(result, Kind.COMPUTE)] == [(0, 0), (1, 10), (0, 25), (1, 40)]
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [15, 25, 40, 55]
    assert [(s.client, s.start) for s in of(result, Kind.DOWNLOAD)] == [(0, 20), (1, 35), (0, 50)]


def test_staleness_counts_aggregations_of_all_blocks():
    # As above with a buffer of one: 0's are in at 11, 21, 31, ...: client 1's first one, at 25, is two behind (at 11
    # and 21). With a bound of 1 it is dropped.
    result = simulated(method=parablock_async(buffer=1, max_staleness=1), rounds=3, **UNEVEN)
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [11, 21, 31]
    assert result.provenance["updates"]["dropped"] == {"more than 1 aggregations stale": 1}


def test_every_activity_waited_for_what_began_it():
    fleet = [{"uplink": "100MB/s"}, {"uplink": "50MB/s", "speed": 0.7}, {"uplink": "20MB/s"}] * 2
    for parameters in ({"buffer": 2}, {"buffer": 2, "concurrency": 3}, {"buffer": 1, "concurrency": 5}):
        result = simulated(method=parablock_async(**parameters), fleet=fleet, rounds=12, **BLOCKS)
        spans = result.timeline.spans
        for span in spans:
            reached = max((spans[cause].end for cause in span.causes), default=0.0)
            assert span.start == pytest.approx(reached, abs=1e-9), span
            assert span.client == SERVER or span.causes or span.start == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"method": parablock_async(buffer=0)}, "method.buffer"),
        ({"method": parablock_async(staleness=2)}, "method.staleness"),
        ({"method": "parablock-async", "participation": {"fraction": 0.5}}, "participation"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], field: str):
    with pytest.raises(ScenarioError, match=rf"{field}:"):
        simulated(**fields)
