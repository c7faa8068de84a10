"""ParaBlock's shape: the exchange of round t - s covers, and is covered by, the computation of round t."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.engine.timeline import SERVER, Kind
from tests.oracles import overlapped as oracle
from tests.sim.runs import of, rotating, simulated


@given(rounds=st.integers(1, 8), compute=st.floats(0, 50), megabytes=st.integers(1, 3000), serial=st.floats(0, 3))
def test_parablock_takes_what_the_formula_says(rounds: int, compute: float, megabytes: int, serial: float):
    # C + (R - 1) max(C, 2 b + o) + b, with o = what cannot overlap, at most all of C.
    result = simulated(
        rounds=rounds,
        compute={"seconds": compute, "non_overlapping": serial},
        payload={"upload": f"{megabytes}MB"},
    )
    b, o = megabytes / 100, min(serial, compute)
    assert result.wall_clock == pytest.approx(compute + (rounds - 1) * max(compute, 2 * b + o) + b, rel=1e-12)


@given(staleness=st.integers(1, 5), rounds=st.integers(1, 9))
def test_staleness_adds_round_trips_at_the_end(staleness: int, rounds: int):
    # Compute-bound: R C, then s - 1 round trips and the last upload; no more than R updates are pending.
    result = simulated(method={"name": "parablock", "staleness": staleness}, rounds=rounds)
    pending = min(staleness, rounds)
    assert result.wall_clock == pytest.approx(10 * rounds + 2 * (pending - 1) + 1, rel=1e-12)
    # Every update goes up; the aggregate of the last one is not fetched by anyone.
    assert result.total("uploaded") == 3 * rounds * 10**8
    assert result.total("downloaded") == 3 * (rounds - 1) * 10**8


def test_communication_is_hidden_behind_computing():
    # 4 rounds of 10 s; 3 round trips of 2 s hidden; the last upload of 1 s is exposed.
    figures = simulated().figures()
    assert figures["wall_clock_s"] == pytest.approx(41)
    assert figures["hidden_communication_s"] == pytest.approx(6)
    assert figures["exposed_communication_s"] == pytest.approx(1)
    assert figures["stalled_communication_s"] == 0


def test_what_is_not_hidden_stalls():
    # 20 MB/s: a round trip of 10 s beside 6 s of computing leaves 4 s exposed in each of 3 rounds, and 5 at the end.
    figures = simulated(compute={"seconds": 6}, fleet=[{"uplink": "20MB/s"}]).figures()
    assert figures["wall_clock_s"] == pytest.approx(6 + 3 * 10 + 5)
    assert figures["exposed_communication_s"] == pytest.approx(3 * 4 + 5)
    # The last computation begins after the second stall; what follows it is not counted as stalled.
    assert figures["stalled_communication_s"] == pytest.approx(2 * 4)


def test_uneven_clients_go_on_by_themselves():
    # Client 0: 10 s, client 1: 16 s of computing; messages of 1 s. Client 0 begins round 1 at 10 and uploads by 11,
    # client 1 by 17; aggregated at 17, fetched by 18. So client 0 begins round 2 at 20, client 1 at 32.
    result = simulated(fleet=[{}, {}], compute={"seconds": [10, 16]}, rounds=3)
    assert [span.start for span in of(result, Kind.COMPUTE, 0)] == pytest.approx([0, 10, 20])
    assert [span.start for span in of(result, Kind.COMPUTE, 1)] == pytest.approx([0, 16, 32])
    # Round 1 of client 0 is uploaded from 20 on, that of client 1 from 32 on.
    assert [span.start for span in of(result, Kind.AGGREGATE)] == pytest.approx([17, 33, 49])
    assert result.wall_clock == pytest.approx(49)


def test_partial_participation_overlaps_the_whole_exchange():
    # Cohorts A B C D A B ... of one client each, blocks 0 1 2 ...: while round t computes (10 s), round t - 1 uploads
    # (1 s), and the client of round t + 1 downloads what it misses: blocks 0 .. t - 1, at most the 4 since the round
    # before its last one.
    result = simulated(
        rounds=8,
        fleet=[{"count": 4}],
        participation={"rounds": rotating(4, 1, 8)},
        blocks={"count": 8, "schedule": "sequential"},
    )
    downloads = {(span.client, span.round): span.blocks for span in of(result, Kind.DOWNLOAD)}
    assert downloads == {
        (2, 0): (0,),  # in round 1, for round 2: what is aggregated by then
        (3, 1): (0, 1),
        (0, 2): (0, 1, 2),  # took part in round 0, whose aggregate it never fetched
        (1, 3): (0, 1, 2, 3),
        (2, 4): (1, 2, 3, 4),  # had block 0 from its first participation
        (3, 5): (2, 3, 4, 5),
    }
    # Everything is covered: 8 rounds of 10 s and the last upload.
    assert result.wall_clock == pytest.approx(81)


def test_partial_participation_is_paced_by_the_exchange_where_that_is_longer():
    # Two clients in turn, 2 s of computing, messages of 1 s, always block 0: round t = 1 upload + 1 download once
    # there is something to exchange, so round 0 takes 2, rounds 1 and 2 take 2 (1 + 1), round 3 has no download: 2.
    result = simulated(
        rounds=4,
        fleet=[{"count": 2}],
        compute={"seconds": 0.5},
        participation={"rounds": rotating(2, 1, 4)},
        blocks={"count": 1, "schedule": "sequential"},
    )
    # Round 0: 0.5. Rounds 1, 2: 1 up + 1 down. Round 3: 1 up, and beside it 0.5 of computing and the last upload.
    assert result.wall_clock == pytest.approx(0.5 + 2 + 2 + 0.5 + 1)


def test_the_last_update_is_sent_as_soon_as_it_is_computed():
    # Algorithm 2, lines 12 to 14. B alone computes until 10; then A until 11, and B until 20. A's 10 MB at 1 MB/s need
    # not wait for B: they are there at 21, B's at 20.01.
    result = simulated(
        rounds=2,
        compute={"seconds": [1, 10]},
        payload={"upload": "10MB", "download": "1B"},
        blocks={"count": 2, "schedule": [0, 1]},
        fleet=[{"uplink": "1MB/s", "downlink": "1GB/s"}, {"uplink": "1GB/s"}],
        participation={"rounds": [[1], [0, 1]]},
    )
    assert [(span.start, span.end) for span in of(result, Kind.UPLOAD, 0)] == [(11, 21)]
    assert result.wall_clock == 21


def test_who_computed_before_the_last_round_sends_when_that_has_been_computed():
    # Staleness 2: A's update of round 0 is due in round 2, which begins when B has computed round 1, at 2; B goes on by
    # itself. A's second upload follows its first, and a download of one byte.
    result = simulated(
        method={"name": "parablock", "staleness": 2},
        rounds=3,
        compute={"seconds": 1},
        payload={"upload": "1MB", "download": "1B"},
        fleet=[{"count": 2, "uplink": "1MB/s", "downlink": "1GB/s"}],
        participation={"rounds": [[0], [0], [1]]},
    )
    # Round 0: until 1. Round 1: until 2. Round 2: B computes from 2 to 3 while A sends round 0's; then both send.
    assert [(span.round, span.start) for span in of(result, Kind.UPLOAD)] == [(0, 2), (2, 3), (1, 3 + 1e-9)]


@pytest.mark.parametrize(("parallel", "begins", "end"), [(False, [3, 13], 23), (True, [3, 3], 13)])
def test_a_server_aggregates_one_round_after_the_other(parallel: bool, begins: list[float], end: float):
    # Both uploads, of rounds 0 and 1, are there at 3, and an aggregation takes 10 s.
    result = simulated(
        method={"name": "parablock", "staleness": 2},
        rounds=2,
        compute={"seconds": 1},
        payload={"upload": "1MB", "download": "1B"},
        server={"aggregation": "10s", "parallel": parallel},
        fleet=[{"count": 2, "uplink": "1MB/s", "downlink": "1GB/s"}],
        participation={"rounds": [[0], [1]]},
    )
    assert [span.start for span in of(result, Kind.AGGREGATE, SERVER)] == begins
    assert result.wall_clock == end


@pytest.mark.parametrize(("parallel", "begins"), [(False, [13, 23]), (True, [13, 13])])
def test_rounds_are_aggregated_in_their_order(parallel: bool, begins: list[float]):
    # Round 1's update is in at 3, that of round 0, over a slow uplink, at 13.
    result = simulated(
        method={"name": "parablock", "staleness": 2},
        rounds=2,
        compute={"seconds": 1},
        payload={"upload": "11MB", "download": "1B"},
        server={"aggregation": "10s", "parallel": parallel},
        fleet=[{"uplink": "1MB/s", "downlink": "1GB/s"}, {"uplink": "11MB/s", "downlink": "1GB/s"}],
        participation={"rounds": [[0], [1]]},
    )
    spans = of(result, Kind.AGGREGATE, SERVER)
    assert [span.round for span in spans] == [0, 1]
    assert [span.start for span in spans] == begins


@given(staleness=st.integers(1, 3), count=st.integers(1, 4), rounds=st.integers(1, 6))
def test_listing_everyone_is_full_participation(staleness: int, count: int, rounds: int):
    method = {"name": "parablock", "staleness": staleness}
    full = simulated(method=method, fleet=[{"count": count}], rounds=rounds)
    listed = simulated(
        method=method,
        fleet=[{"count": count}],
        rounds=rounds,
        participation={"rounds": [list(range(count))] * rounds},
    )
    assert listed.figures() == full.figures()


@given(staleness=st.integers(1, 3), rounds=st.integers(1, 6))
def test_the_same_few_in_every_round_are_like_a_fleet_of_those(staleness: int, rounds: int):
    method = {"name": "parablock", "staleness": staleness}
    few = simulated(method=method, fleet=[{"count": 2}], rounds=rounds)
    listed = simulated(method=method, fleet=[{"count": 5}], rounds=rounds, participation={"rounds": [[1, 3]] * rounds})
    assert listed.wall_clock == few.wall_clock
    assert listed.accounts[1] == few.accounts[0]


@st.composite
def fleets_in_part(draw: st.DrawFn) -> dict[str, Any]:
    clients, rounds = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    seconds = st.lists(st.integers(1, 20), min_size=clients, max_size=clients)
    members = st.sets(st.integers(0, clients - 1), min_size=1)
    return {
        "participants": draw(st.lists(members, min_size=rounds, max_size=rounds)),
        "schedule": draw(st.lists(st.integers(0, 2), min_size=rounds, max_size=rounds)),
        "staleness": draw(st.integers(1, 3)),
        "compute": draw(seconds),
        "up": draw(seconds),
        "down": draw(seconds),
        "aggregation": draw(st.integers(0, 5)),
    }


@given(drawn=fleets_in_part())
def test_changing_participation_is_what_rounds_worked_out_one_by_one_give(drawn: dict[str, Any]):
    fleet = oracle.Fleet(drawn["compute"], drawn["up"], drawn["down"], drawn["aggregation"])
    # Messages of 1 MB, sent and fetched in the seconds that are drawn.
    result = simulated(
        method={"name": "parablock", "staleness": drawn["staleness"]},
        rounds=len(drawn["participants"]),
        compute={"seconds": drawn["compute"]},
        payload={"upload": "1MB"},
        blocks={"count": 3, "schedule": drawn["schedule"]},
        server={"aggregation": drawn["aggregation"]},
        fleet=[
            {"uplink": f"{1e6 / up!r}B/s", "downlink": f"{1e6 / down!r}B/s"}
            for up, down in zip(drawn["up"], drawn["down"], strict=True)
        ],
        participation={"rounds": [sorted(members) for members in drawn["participants"]]},
    )
    expected = oracle.wall_clock(fleet, drawn["participants"], drawn["schedule"], drawn["staleness"])
    assert result.wall_clock == pytest.approx(expected, rel=1e-9)


def test_overlap_composes_with_adapters():
    assert simulated(method="overlapped-lora").wall_clock == simulated().wall_clock


@given(
    seconds=st.lists(st.floats(0.1, 20), min_size=3, max_size=3),
    rounds=st.integers(1, 6),
    staleness=st.integers(1, 3),
    fraction=st.sampled_from([None, 0.34, 0.67]),
)
def test_every_span_begins_when_what_it_waited_for_ended(seconds, rounds, staleness, fraction):
    participation = {} if fraction is None else {"fraction": fraction}
    result = simulated(
        method={"name": "parablock", "staleness": staleness},
        compute={"seconds": seconds},
        participation=participation,
        rounds=rounds,
    )
    spans = result.timeline.spans
    for span in spans:
        ended = [spans[cause].end for cause in span.causes]
        assert span.start == (max(ended) if ended else 0)
