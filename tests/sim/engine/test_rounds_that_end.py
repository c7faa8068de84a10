"""Rounds that end before everyone is in: over-selection, quorum, deadlines, and what becomes of the late."""

from __future__ import annotations

from typing import Any

import pytest

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.replay.replay import record
from tests.sim.runs import of, prepared, simulated

LATE = "late: its round had been aggregated"


def aggregated(result: Result) -> list[float]:
    """When each round was."""
    return [span.start for span in of(result, Kind.AGGREGATE)]


def speeds(*speeds: float) -> list[dict[str, float]]:
    """Clients that compute their 10 s so many times as fast."""
    return [{"speed": speed} for speed in speeds]


def run(**fields: Any) -> Result:
    return simulated(**({"method": "fedbcd", "rounds": 3} | fields))


def test_a_quorum_is_aggregated_without_the_late():
    # 10 s of computing, 1 s up: clients 0 and 1 are in at 11, two thirds of three. From then on 1 s down, 10 s, 1 s up:
    # 23 and 35. Client 2 takes 30 s: it is in at 31, when round 1 has been aggregated without it, too. So it begins
    # round 2: it fetches both blocks, and computes from 33 on until the run is over.
    result = run(fleet=speeds(1, 1, 1 / 3), participation={"quorum": 0.66})
    assert aggregated(result) == [11, 23, 35]
    assert [(span.start, span.end) for span in of(result, Kind.COMPUTE, 2)] == [(0, 30), (33, 35)]
    # Its first update is dropped, its second one under way at the end, its third not begun.
    assert result.provenance["updates"] == {"dropped": {LATE: 1}, "cancelled": 1, "never_begun": 1}


def test_the_late_are_aggregated_with_the_next_round_if_so_wished():
    # As before; what client 2 computed for round 0 is in at 31 and comes with round 2, at 35.
    result = run(fleet=speeds(1, 1, 1 / 3), participation={"quorum": 0.66, "late": "next-round"})
    assert result.provenance["updates"] == {"cancelled": 1, "never_begun": 1}
    spans = result.timeline.spans
    waited = [
        {(spans[cause].client, spans[cause].round) for cause in span.causes} for span in of(result, Kind.AGGREGATE)
    ]
    assert waited == [{(0, 0), (1, 0)}, {(0, 1), (1, 1)}, {(2, 0), (0, 2), (1, 2)}]


def test_whoever_is_in_at_the_deadline_is_aggregated():
    # Clients 0 and 1 are in at 11 and 16; the deadline passes at 20, then 20 s later again and again.
    result = run(fleet=speeds(1, 10 / 15, 0.1), participation={"deadline": "20s"})
    assert aggregated(result) == [20, 40, 60]
    assert result.provenance["updates"] == {"cancelled": 1, "never_begun": 2}
    # Until the deadline the fast ones wait: 9 s in the first round, 8 s in the others.
    assert result.accounts[0].waiting == 9 + 8 + 8


def test_what_arrives_at_the_deadline_is_in_time():
    assert aggregated(run(fleet=speeds(1, 1), participation={"deadline": "11s"}))[0] == 11
    assert "updates" not in run(rounds=1, fleet=speeds(1, 1), participation={"deadline": "11s"}).provenance


def test_after_a_deadline_with_nobody_there_the_first_is_enough():
    result = run(rounds=1, fleet=speeds(0.5, 0.25), participation={"deadline": "5s"})
    assert aggregated(result) == [21]
    assert result.provenance["updates"] == {"cancelled": 1}


def test_a_deadline_that_follows_the_rounds():
    # Rounds of 11, 12 and 12 s with a client that slows down: 31 s in round 3 without a deadline. The median is 12, the
    # median of |11 - 12|, 0, 0 is 0: round 3 ends 12 + 3 x 0 s after its opening, with client 0 alone.
    seconds = [[10, 10], [10, 10], [10, 10], [10, 29]]
    result = run(
        rounds=4, fleet=[{}, {}], compute={"seconds": seconds}, participation={"deadline": {"median": 1, "mad": 3}}
    )
    assert aggregated(result) == [11, 23, 35, 47]
    assert result.provenance["updates"] == {"cancelled": 1}
    # Half the median more leaves it until 35 + 18.
    later = run(
        rounds=4, fleet=[{}, {}], compute={"seconds": seconds}, participation={"deadline": {"median": 1.5, "mad": 3}}
    )
    assert aggregated(later)[-1] == 53


def test_over_selection_takes_the_first_of_more():
    # 2 of 4 are wanted, 1.5 times as many chosen, and 2 are enough.
    result = run(
        rounds=1,
        fleet=speeds(1, 0.5, 0.25, 0.125),
        participation={"fraction": 0.5, "over_selection": 1.5, "quorum": 1.0},
    )
    assert len(of(result, Kind.COMPUTE)) == 3
    assert len(of(result, Kind.AGGREGATE)[0].causes) == 2
    assert result.provenance["updates"] == {"cancelled": 1}


def test_who_is_wanted_is_drawn_as_without_over_selection():
    told = {"fleet": [{"count": 20}], "rounds": 6}
    plain = run(**told, participation={"fraction": 0.2})
    more = run(**told, participation={"fraction": 0.2, "over_selection": 1.5})

    def chosen(result: Result) -> list[set[int]]:
        return [{span.client for span in of(result, Kind.COMPUTE) if span.round == t} for t in range(6)]

    assert all(few < many and len(many) == 6 for few, many in zip(chosen(plain), chosen(more), strict=True))


@pytest.mark.parametrize("method", ["fedbcd", "fedit", "ffa-lora", "flora", "full-ft"])
@pytest.mark.parametrize("told", [{}, {"fraction": 0.3}, {"rounds": [[0, 4], [1, 2, 3], [4], [0, 1, 2, 3, 4]]}])
def test_rounds_that_wait_for_everyone_are_the_same_opened_one_by_one(method: str, told: dict[str, Any]):
    # A deadline that never comes.
    fields = {
        "method": method,
        "rounds": 4,
        "fleet": [{"count": 3}, {"count": 2, "uplink": "30MB/s", "latency": "70ms"}],
        "server": {"ingress": "120MB/s", "aggregation": "1s"},
        "wire": {"serialization": "300ms"},
        "blocks": {"count": 3},
        "seed": 3,
    }
    before = simulated(**fields, participation=told)
    opened = simulated(**fields, participation=told | {"deadline": "1000h"})
    assert opened.wall_clock == before.wall_clock
    nothing = ("wasted_compute_s", "wasted_bytes", "failed_s", "short_rounds", "lost_updates", "late_updates")
    assert opened.figures() == before.figures() | dict.fromkeys(nothing, 0)
    # Alike clients are simulated one by one here.
    for client in range(5):
        if client in before.counts and client in opened.counts:
            assert opened.accounts[client] == before.accounts[client]
    assert opened.provenance == before.provenance


def test_a_region_passes_updates_on_at_once_where_not_everyone_is_waited_for():
    # Clients 0 and 1 are in at their region at 11, 12 s after which client 2 is; 1 s more to the server, for each.
    result = run(
        rounds=1,
        fleet=[{"region": "south", "count": 2}, {"region": "south", "speed": 0.5}],
        regions={"south": {"uplink": "200MB/s", "aggregates": True}},
        participation={"quorum": 0.6},
    )
    assert aggregated(result) == [12]
    assert result.provenance["updates"] == {"cancelled": 1}


def test_flora_sends_down_the_stack_of_those_that_were_aggregated():
    result = run(method="flora", rounds=2, fleet=speeds(1, 1, 0.25), participation={"quorum": 0.6})
    assert {span.size for span in of(result, Kind.DOWNLOAD)} == {2e8}


def test_what_was_wasted_is_counted():
    # Client 1 computes 40 s for nothing in round 0, of a run of 11 s.
    result = run(rounds=1, fleet=speeds(1, 0.25), participation={"quorum": 0.5})
    assert (result.figures()["wasted_compute_s"], result.figures()["wasted_bytes"]) == (11, 0)
    # In the run of 3 rounds above, that of 30 s, of which 100 MB were sent, and 2 s.
    result = run(fleet=speeds(1, 1, 1 / 3), participation={"quorum": 0.66})
    assert (result.figures()["wasted_compute_s"], result.figures()["wasted_bytes"]) == (32, 1e8)


def test_such_a_run_is_not_replayed():
    assert "depends on how long" in record(*prepared(method="fedbcd", participation={"quorum": 0.5})).not_replayable


@pytest.mark.parametrize("method", ["fedbuff", "fedasync", "fedcybgd"])
def test_a_method_without_such_rounds_says_so(method: str):
    with pytest.raises(ScenarioError, match="quorum"):
        simulated(method=method, participation={"quorum": 0.5})
