"""Clients without rounds that come and go: who gets a place, what is lost, and when a run stands still, by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind, write_csv
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures.dropout import Dropouts, Vanishing
from tests.sim.runs import of, simulated

Fates = Mapping[tuple[int, int], Vanishing]
"""By client and how often it took part before."""
BLOCKS = {"blocks": {"count": 3, "schedule": "sequential"}}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Simulate with clients that vanish as told."""

    def simulate(fates: Fates, **fields: Any) -> Result:
        monkeypatch.setattr(Dropouts, "draw", lambda self, client, number: fates.get((client, number)))
        fleet = [{**group, "dropout": {"rate": 0.5}} for group in fields.pop("fleet", [{"count": 3}])]
        return simulated(fleet=fleet, **fields)

    return simulate


def fedbuff(**parameters: Any) -> dict[str, Any]:
    return {"name": "fedbuff", **parameters}


def parablock_async(**parameters: Any) -> dict[str, Any]:
    return {"name": "parablock-async", **parameters}


def spans(result: Result, kind: Kind, client: int) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in of(result, kind, client)]


def aggregated(result: Result) -> list[float]:
    return [span.start for span in of(result, Kind.AGGREGATE)]


def test_a_place_goes_to_the_next_one_when_its_client_vanishes(run):
    # One place, 10 s of computing, 1 s one way. Client 0 stops after 4 s; 1 takes its place, 4-14, and sends until 15;
    # 2 is in at 26, which fills the buffer. So 0 is back: down 26-27, 27-37, up 38; and 1 is in at 50.
    fields = {"method": fedbuff(buffer=2, concurrency=1), "rounds": 2}
    result = run({(0, 0): Vanishing("compute", 0.4, 1)}, **fields)
    computed = [(span.client, span.start, span.end) for span in of(result, Kind.COMPUTE)]
    assert computed == [(0, 0, 4), (1, 4, 14), (2, 15, 25), (0, 27, 37), (1, 39, 49)]
    assert aggregated(result) == [26, 50]
    assert result.provenance["updates"] == {"lost": 1}
    assert result.figures()["wasted_compute_s"] == 4
    # From 4 on it is gone, until it gets a place again; from 38 on it waits.
    assert (result.accounts[0].offline, result.accounts[0].waiting) == (22, 12)


def test_who_is_away_for_longer_is_passed_over(run):
    # As above, but client 0 is away for 3 participations of others: at 26 there have been two, and client 1 is next.
    fields = {"method": fedbuff(buffer=2, concurrency=1), "rounds": 2}
    result = run({(0, 0): Vanishing("compute", 0.4, 3)}, **fields)
    assert [(span.client, span.start) for span in of(result, Kind.COMPUTE)] == [
        (0, 0),
        (1, 4),
        (2, 15),
        (1, 27),
        (2, 39),
    ]


def test_a_round_away_is_an_update_of_everyone_else(run):
    # All three at work in step: client 1 vanishes at 4, and is back when the other two are in at 11. It does what they
    # did, until 22, and fills the buffer for all.
    result = run({(1, 0): Vanishing("compute", 0.4, 1)}, method=fedbuff(buffer=3), rounds=1)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 4), (11, 21)]
    assert aggregated(result) == [22]
    # Client 2 is in at 6, at 13, and at 20, when the run is over; client 0 takes 100 s. Two participations are as many
    # as others were at work at 4, so that client 1 is back at 13, and has what is new at 14.
    fleet = [{"speed": 0.1}, {}, {"speed": 2}]
    result = run({(1, 0): Vanishing("compute", 0.4, 1)}, method="fedasync", rounds=3, fleet=fleet)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 4), (14, 20)]


@pytest.mark.parametrize(
    ("fate", "uploads", "downloads", "wasted"),
    [
        (Vanishing("upload", 0.25, 1), [(10, 11), (22, 22.25)], [(11, 12)], 20),
        (Vanishing("download", 0.25, 1), [(10, 11)], [(11, 11.25)], 10),
    ],
)
def test_what_is_cut_off_while_it_is_exchanged(fate, uploads, downloads, wasted, run):
    # Three clients in step: in at 11, of which two fill a buffer; fetched by 12, computed by 22. At 23 client 0's
    # update fills the next one, and the run is over: client 2's, in at the same time, is left over, 10 s and 100 MB.
    result = run({(1, 1): fate}, method=fedbuff(buffer=2), rounds=2)
    assert spans(result, Kind.UPLOAD, 1) == uploads
    assert spans(result, Kind.DOWNLOAD, 1) == downloads
    assert result.provenance["updates"]["lost"] == 1
    assert result.figures()["wasted_compute_s"] == wasted
    assert result.figures()["wasted_bytes"] == 25e6 + 100e6


def test_who_waits_for_a_new_model_begins_again_where_there_would_be_none(run):
    # A buffer for all three, and client 1 vanishes at 10.25 for long. The others are in at 11: they train on the same
    # model again, and the first of them to be in at 22 fills the buffer.
    result = run({(1, 0): Vanishing("upload", 0.25, 9)}, method=fedbuff(buffer=3), rounds=1)
    assert spans(result, Kind.COMPUTE, 0) == spans(result, Kind.COMPUTE, 2) == [(0, 10), (11, 21)]
    assert aggregated(result) == [22]
    assert result.provenance["updates"] == {"lost": 1, "dropped": {"left over: no aggregation was left": 1}}


def test_what_is_on_its_way_from_a_region_is_waited_for_first(run):
    # Client 0's update is at its region at 11 and on its way to the server until 21: perhaps it fills a buffer. It does
    # not, so that client 0 begins again: 21-31, 32, 42.
    south = {"south": {"uplink": "10MB/s", "aggregates": True}}
    fleet = [{"count": 2, "region": "south"}]
    fates = {(1, 0): Vanishing("compute", 0.25, 9)}
    result = run(fates, method=fedbuff(buffer=2), rounds=1, fleet=fleet, regions=south)
    assert spans(result, Kind.COMPUTE, 0) == [(0, 10), (21, 31)]
    assert aggregated(result) == [42]


def sessions(folder: Path, *clients: list[tuple[float, float]]) -> list[dict[str, Any]]:
    (folder / "sessions.json").write_text(json.dumps(clients))
    return [{"count": len(clients), "available": {"file": str(folder / "sessions.json")}}]


def test_places_go_to_those_who_are_there(tmp_path: Path):
    # Client 0 is there until 5, and from 20 on; client 1 from 8 on. One place, every update by itself: 8-18, 19.
    fleet = sessions(tmp_path, [(0, 5), (20, 1000)], [(8, 1000)])
    fields = {"method": {"name": "fedasync", "concurrency": 1}, "fleet": fleet}
    with pytest.raises(
        SimulationError, match=r"round 0 is short at 5 s, with 0 of 2 rounds aggregated: nobody is there"
    ):
        simulated(rounds=2, **fields)
    result = simulated(rounds=2, participation={"short": "wait"}, **fields)
    # At 19 client 0 is not there: client 1 goes on, down 19-20, 20-30, 31.
    assert [(span.client, span.start, span.end) for span in of(result, Kind.COMPUTE)] == [
        (0, 0, 5),
        (1, 8, 18),
        (1, 20, 30),
    ]
    assert aggregated(result) == [19, 31]
    assert result.accounts[1].offline == 8


@pytest.mark.parametrize("first", [[(0, 5), (20, 1000)], [(0, 12), (20, 1000)], [(0, 15), (20, 1000)]])
def test_who_was_away_begins_as_soon_as_it_is_there_again(first: list[tuple[float, float]], tmp_path: Path):
    # A buffer for both. Client 1 is gone at 18, before its 20 s of computing are over, until 300. Client 0 vanishes
    # at 5 while it computes; or has sent its update by 11, waits for the next model, and is gone by 18. At 20 it is
    # there again, and nobody is at work: 20-30, 31. That fills the buffer if it had sent one before; else it needs
    # another one, 31-41, 42.
    fleet = sessions(tmp_path, first, [(0, 18), (300, 301)])
    compute = {"seconds": [10, 20]}
    result = simulated(
        method=fedbuff(buffer=2), fleet=fleet, compute=compute, rounds=1, participation={"short": "wait"}
    )
    assert (20, 30) in spans(result, Kind.COMPUTE, 0)
    assert aggregated(result) == [31 if first[0][1] > 11 else 42]


def test_who_vanishes_is_given_a_place_again_beside_others(tmp_path: Path):
    # Client 1 computes until 100. Client 0 is there until 15, and again from 40 on, when it goes on with what it has
    # computed by 10 and could not send (6 s): 40-50 beside 40-46, which is aggregated at once.
    fleet = [*sessions(tmp_path, [(0, 15), (40, 1000)]), {"speed": 0.1}]
    fields = {"payload": {"upload": "600MB"}, "rounds": 1, "participation": {"short": "wait"}}
    result = simulated(method=parablock_async(buffer=1), fleet=fleet, **fields)
    assert spans(result, Kind.COMPUTE, 0)[2] == (40, 50)


def test_nobody_will_ever_be_there(tmp_path: Path):
    fleet = sessions(tmp_path, [], [(0, 5)])[:1]
    fleet[0]["count"] = 1
    with pytest.raises(SimulationError, match="nobody will ever be there"):
        simulated(method="fedasync", fleet=fleet, participation={"short": "wait"})


def test_who_is_away_is_not_waited_for_in_vain(run):
    # The only client vanishes at 4, for three of others: as there are none, it begins again at once.
    fields = {"method": "fedasync", "rounds": 1, "fleet": [{}]}
    fates = {(0, 0): Vanishing("compute", 0.4, 3)}
    with pytest.raises(SimulationError, match=r"nobody is there \(0 vanished before\)"):
        run(fates, **fields)
    result = run(fates, participation={"short": "wait"}, **fields)
    assert spans(result, Kind.COMPUTE, 0) == [(0, 4), (4, 14)]


SLOW = {"fleet": [{"count": 2, "uplink": "20MB/s"}], **BLOCKS}


def test_an_overlapping_client_loses_what_it_computes_and_what_it_sends(run):
    # 10 s of computing, 5 s one way, every update by itself. Client 1 stops 2 s into its second update, of which the
    # first is being sent. Client 0's blocks 0, 1, 2, 0, 1, 2 are in at 15, 25, 35, 45, 55, 65; computed by 20, 30, 40.
    result = run({(1, 1): Vanishing("compute", 0.2, 3)}, method=parablock_async(buffer=1), rounds=7, **SLOW)
    # So client 1 is back at 40: it fetches three blocks until 55, and goes on with its third update, of block 2: 55-65,
    # in at 70.
    aggregations = [(span.start, span.blocks) for span in of(result, Kind.AGGREGATE)]
    assert aggregations == [*((15 + 10 * number, (number % 3,)) for number in range(6)), (70, (2,))]
    assert spans(result, Kind.COMPUTE, 1) == [(0, 10), (10, 12), (55, 65), (65, 70)]
    assert spans(result, Kind.UPLOAD, 1) == [(10, 12), (65, 70)]
    assert [(span.start, span.end, span.blocks) for span in of(result, Kind.DOWNLOAD, 1)] == [(40, 55, (0, 1, 2))]
    assert result.provenance["updates"]["lost"] == 2


@pytest.mark.parametrize(
    ("number", "fate", "lost", "end"),
    [
        # Its first update is sent from 10 to 15, beside its second one.
        (0, Vanishing("upload", 0.2, 1), 2, 11),
        (1, Vanishing("upload", 0.2, 1), 2, 11),
        # Both in at 15, aggregated, fetched from 15 on; what it computes is lost.
        (1, Vanishing("download", 0.2, 1), 1, 16),
        (0, Vanishing("download", 0.2, 1), 1, 0),
    ],
)
def test_an_overlapping_client_that_vanishes_while_it_exchanges(number, fate, lost, end, run):
    result = run({(1, number): fate}, method=parablock_async(buffer=2), rounds=3, **SLOW)
    ends = [span.end for span in result.timeline.spans if span.client == 1]
    assert max([after for after in ends if after < 17], default=0) == end
    assert result.provenance["updates"]["lost"] == lost


def test_who_leaves_its_place_may_vanish_while_it_sends(run):
    # One place: client 0 leaves it at 10 and sends; 1 computes 10-20.
    fates = {(0, 0): Vanishing("upload", 0.2, 1)}
    result = run(fates, method=parablock_async(buffer=1, concurrency=1), rounds=1, **SLOW)
    assert spans(result, Kind.UPLOAD, 0) == [(10, 11)]
    assert (aggregated(result), result.provenance["updates"]["lost"]) == ([25], 1)


def test_a_repair_stops_both_threads():
    # No dropout at all, devices that fail: nothing is lost, and parts add up (the property test has the rest).
    fleet = [{"count": 3, "failures": {"every": "20s", "repair": "3s", "resume": True}}]
    result = simulated(method=parablock_async(buffer=2), fleet=fleet, rounds=12, seed=1, **BLOCKS)
    assert "lost" not in result.provenance["updates"]
    assert result.figures()["failed_s"] > 0


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_rates_that_never_strike_change_nothing(data: st.DataObject):
    draw = data.draw
    fleet = [
        {"count": draw(st.integers(1, 3)), "uplink": f"{draw(st.sampled_from([20, 50, 100]))}MB/s", "speed": speed}
        for speed in draw(st.lists(st.sampled_from([0.5, 1, 1.3]), min_size=1, max_size=3))
    ]
    clients = sum(group["count"] for group in fleet)
    name = draw(st.sampled_from(["fedbuff", "fedasync", "parablock-async"]))
    method = {"name": name, "concurrency": draw(st.integers(1, clients))}
    if name != "fedasync":
        method["buffer"] = draw(st.integers(1, clients))
    fields = {
        "method": method,
        "rounds": draw(st.integers(1, 8)),
        "server": {"aggregation": draw(st.sampled_from([0, 0.7]))},
    }
    plain = simulated(fleet=fleet, **fields, **BLOCKS)
    never = simulated(fleet=[group | {"dropout": {"rate": 1e-12}} for group in fleet], **fields, **BLOCKS)
    assert timeline(never) == timeline(plain)
    for span in never.timeline.spans:
        reached = max((never.timeline.spans[cause].end for cause in span.causes), default=0.0)
        assert span.start == pytest.approx(reached, abs=1e-9)


def timeline(result: Result) -> list[str]:
    """All of it but what begins in the very instant in which the run ends, of which nothing comes."""
    file = io.StringIO()
    spans = [span for span in result.timeline.spans if span.start < result.wall_clock or span.client == SERVER]
    write_csv(file, spans, dict(result.counts), collapse=False)
    return sorted(file.getvalue().splitlines())
