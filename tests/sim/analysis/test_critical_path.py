"""The critical path: hand-solved runs, and that it is the wall-clock without any rounding."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.analysis.critical_path import Holder, Piece, critical_path, length, pieces_of
from parasim_core.sim.analysis.slack import slack
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind, Parts, Span, Timeline
from parasim_core.sim.scenario.scenario import Scenario
from tests.sim.runs import simulated
from tests.sim.whatifs import scenarios


def held(result: Result) -> dict[tuple[Holder, int], float]:
    return critical_path(result).held()


def slack_of(result: Result, kind: Kind, client: int, round: int) -> float:
    slacks = slack(result)
    [number] = [n for n, s in enumerate(result.timeline.spans) if (s.kind, s.client, s.round) == (kind, client, round)]
    return slacks[number]


def test_one_round_of_fedbcd_is_computing_and_the_uplink_of_the_slower_client():
    # Client 0: 10 + 1 s, client 1: 30 + 1 s. The path is client 1's; client 0 could be 20 s later.
    result = simulated(method="fedbcd", rounds=1, fleet=[{}, {}], compute={"seconds": [10, 30]})
    assert held(result) == {(Holder.COMPUTING, 1): 30.0, (Holder.UPLINK, 1): 1.0}
    assert slack_of(result, Kind.COMPUTE, 0, 0) == slack_of(result, Kind.UPLOAD, 0, 0) == 20.0
    assert slack_of(result, Kind.COMPUTE, 1, 0) == slack_of(result, Kind.UPLOAD, 1, 0) == 0.0


def test_a_transfer_is_divided_into_its_parts():
    # Two rounds, one client: compute 10, pack 2, latency 0.5, up 1, aggregate 3, latency 0.5, down 4, unpack 2,
    # compute 10, pack 2, latency 0.5, up 1, aggregate 3.
    result = simulated(
        method="fedbcd",
        rounds=2,
        fleet=[{"latency": "500ms", "downlink": "25MB/s"}],
        wire={"serialization": "2s"},
        server={"aggregation": "3s"},
    )
    path = critical_path(result)
    assert [(piece.holder, piece.end - piece.start) for piece in path.pieces] == [
        (Holder.COMPUTING, 10.0),
        (Holder.SERIALIZATION, 2.0),
        (Holder.LATENCY, 0.5),
        (Holder.UPLINK, 1.0),
        (Holder.AGGREGATION, 3.0),
        (Holder.LATENCY, 0.5),
        (Holder.DOWNLINK, 4.0),
        (Holder.SERIALIZATION, 2.0),
        (Holder.COMPUTING, 10.0),
        (Holder.SERIALIZATION, 2.0),
        (Holder.LATENCY, 0.5),
        (Holder.UPLINK, 1.0),
        (Holder.AGGREGATION, 3.0),
    ]


def test_what_the_server_adds_to_a_transfer_is_the_servers():
    # 3 clients of 100 MB/s behind an ingress of 100 MB/s: an upload takes 3 s, 1 s of which its own link would take.
    result = simulated(method="fedbcd", rounds=1, server={"ingress": "100MB/s"})
    assert held(result) == {(Holder.COMPUTING, 0): 10.0, (Holder.INGRESS, SERVER): 2.0, (Holder.UPLINK, 0): 1.0}


def test_a_server_link_that_does_not_bind_holds_nothing():
    result = simulated(method="fedbcd", rounds=2, server={"ingress": "300MB/s", "egress": "1GB/s"})
    assert {holder for holder, _ in held(result)} == {Holder.COMPUTING, Holder.UPLINK, Holder.DOWNLINK}


def test_parablock_is_computing_where_that_covers_the_exchange():
    # 4 rounds of 10 s and the last upload; the exchanges of 2 s could be 8 s later.
    result = simulated(fleet=[{}])
    assert held(result) == {(Holder.COMPUTING, 0): 40.0, (Holder.UPLINK, 0): 1.0}
    assert slack_of(result, Kind.UPLOAD, 0, 0) == slack_of(result, Kind.DOWNLOAD, 0, 0) == 8.0


def test_parablock_is_its_links_where_they_take_longer():
    # 20 MB/s: 6 s of computing, then 3 round trips of 5 + 5 s and the last upload of 5 s.
    result = simulated(fleet=[{"uplink": "20MB/s"}], compute={"seconds": 6})
    assert held(result) == {(Holder.UPLINK, 0): 20.0, (Holder.DOWNLINK, 0): 15.0, (Holder.COMPUTING, 0): 6.0}
    # Computing beside a round trip of 10 s takes 6.
    assert slack_of(result, Kind.COMPUTE, 0, 1) == 4.0


def test_the_serial_part_of_a_computation_is_on_the_path_of_the_exchange_that_waits_for_it():
    # Each exchange begins 2 s into computing: 6 + 3 (2 + 5 + 5) + 5. The computation of round 1 must begin when it
    # does, though its end has 12 - 6 = 6 s of slack.
    result = simulated(fleet=[{"uplink": "20MB/s"}], compute={"seconds": 6, "non_overlapping": 2})
    assert held(result) == {(Holder.UPLINK, 0): 20.0, (Holder.DOWNLINK, 0): 15.0, (Holder.COMPUTING, 0): 12.0}
    assert slack_of(result, Kind.COMPUTE, 0, 1) == 0.0


def test_a_fetch_without_an_upload_waits_for_the_serial_part_too():
    # Rounds of clients 0, then 1, then 1: in round 1, client 1 computes (8 s) while client 0 uploads its update
    # (1 s), and client 1, next again, fetches it: after 3 s, its serial part. Download: 10 s.
    result = simulated(
        rounds=3,
        fleet=[{}, {"downlink": "10MB/s"}],
        participation={"rounds": [[0], [1], [1]]},
        compute={"seconds": 8, "non_overlapping": 3},
        blocks={"count": 1},
    )
    [fetch] = [span for span in result.timeline.spans if span.kind is Kind.DOWNLOAD and span.round == 0]
    assert (fetch.start, fetch.end) == (11.0, 21.0)
    path = critical_path(result)
    assert [(p.holder, p.client, p.start, p.end) for p in path.pieces][:3] == [
        (Holder.COMPUTING, 0, 0.0, 8.0),
        (Holder.COMPUTING, 1, 8.0, 11.0),
        (Holder.DOWNLINK, 1, 11.0, 21.0),
    ]


def test_rounding_belongs_to_what_took_time():
    # The clock says 0.8 + 0.1 + 0.1, in the end, to be a little more than 1: that is no work of the server's link.
    span = Span(4, 0, Kind.UPLOAD, 0.8, math.nextafter(1.0, 2), 1e6, (), (), spent=Parts(0.0, 0.1, 0.1))
    assert [(p.holder, p.client, p.start, p.end) for p in pieces_of(0, span)] == [
        (Holder.LATENCY, 4, 0.8, 0.8 + 0.1),
        (Holder.UPLINK, 4, 0.8 + 0.1, span.end),
    ]


def test_rounding_of_a_message_that_takes_no_time_belongs_to_its_first_part():
    span = Span(4, 0, Kind.DOWNLOAD, 3.0, math.nextafter(3.0, 4), 1e6, (), (), spent=Parts(0.0, 0.0, 0.0))
    assert list(pieces_of(0, span)) == [Piece(0, Holder.LATENCY, 4, span.start, span.end)]


def test_time_that_no_cause_explains_is_said_to_be_so():
    timeline = Timeline()
    first = timeline.record(0, 0, Kind.COMPUTE, 0.0, 5.0)
    timeline.record(0, 0, Kind.COMPUTE, 7.0, 8.0, causes=(first,))
    scenario = Scenario.parse({"compute": {"seconds": 1}, "payload": {"upload": "1MB"}})
    path = critical_path(Result(scenario, timeline, {0: 10}, {0: [(0.0, 8.0)]}, {}))
    assert [(piece.holder, piece.start, piece.end) for piece in path.pieces] == [
        (Holder.COMPUTING, 0.0, 5.0),
        (Holder.UNRECORDED, 5.0, 7.0),
        (Holder.COMPUTING, 7.0, 8.0),
    ]


def test_a_run_without_spans_has_an_empty_path():
    scenario = Scenario.parse({"compute": {"seconds": 1}, "payload": {"upload": "1MB"}})
    result = Result(scenario, Timeline(), {}, {}, {})
    assert critical_path(result).pieces == ()
    assert length(critical_path(result).pieces) == 0.0
    assert slack(result) == []


@settings(max_examples=150, deadline=None)
@given(fields=scenarios(server=False) | scenarios(server=True))
def test_the_path_is_the_wall_clock_and_knows_what_all_of_it_was(fields):
    result = simulated(**fields)
    path = critical_path(result)
    assert length(path.pieces) == result.wall_clock
    # Each piece begins where the one before it ends, the first at 0.
    ends = [0.0, *(piece.end for piece in path.pieces)]
    assert [piece.start for piece in path.pieces] == ends[:-1]
    assert ends[-1] == result.wall_clock
    assert all(piece.holder is not Holder.UNRECORDED for piece in path.pieces)
    assert math.fsum(path.held().values()) == pytest.approx(result.wall_clock, rel=1e-12)


@settings(max_examples=150, deadline=None)
@given(fields=scenarios(server=False) | scenarios(server=True))
def test_every_span_begins_exactly_when_the_last_thing_it_waited_for_is_done(fields):
    spans = simulated(**fields).timeline.spans
    for number, span in enumerate(spans):
        ready = [spans[cause].end for cause in span.causes]
        if span.beside is not None:
            work = spans[span.beside]
            assert (work.kind, work.client) == (Kind.COMPUTE, span.client)
            ready.append(work.start + work.serial)
        assert span.start == max(ready, default=0.0)
        assert all(cause < number for cause in span.causes)


@settings(max_examples=60, deadline=None)
@given(fields=scenarios(), pick=st.integers(0, 10**6))
def test_slack_is_what_the_definition_says(fields, pick):
    # Delay one span by just its slack, and everything after it as it must: the run ends when it did; more is too much.
    result = simulated(**fields)
    spans = result.timeline.spans
    number = pick % len(spans)
    own = slack(result)[number]
    assert own >= 0
    assert end_with_delay(spans, number, own) == pytest.approx(result.wall_clock, rel=1e-12)
    assert end_with_delay(spans, number, own + 1.0) == pytest.approx(result.wall_clock + 1.0, rel=1e-9)


def end_with_delay(spans, delayed, by):
    starts, ends = [], []
    for number, span in enumerate(spans):
        ready = [ends[cause] for cause in span.causes]
        if span.beside is not None:
            ready.append(starts[span.beside] + spans[span.beside].serial)
        starts.append(max(ready, default=0.0) + (by if number == delayed else 0.0))
        ends.append(starts[-1] + span.end - span.start)
    return max(ends)
