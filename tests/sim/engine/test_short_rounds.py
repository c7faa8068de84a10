"""Rounds that cannot reach their quorum: they end the run, or are opened anew for further clients, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parasim_core.sim.engine.incidents import Closed, Closing
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures.dropout import Dropouts, Vanishing
from tests.sim.engine.test_dropout import run as run_
from tests.sim.engine.test_dropout import spans, whose
from tests.sim.engine.test_failing import FAR
from tests.sim.engine.test_failing import sessions as sessions_
from tests.sim.runs import of, simulated

run, sessions = run_, sessions_
Run = Callable[..., Result]
Sessions = Callable[..., dict[str, Any]]


def aggregated(result: Result) -> list[float]:
    return [span.start for span in of(result, Kind.AGGREGATE)]


def test_without_a_quorum_those_that_are_left_are_enough(run: Run):
    # 10 s of computing and 1 s up; client 3 takes 20 s. With two gone, two are aggregated.
    fates = {(0, 1): Vanishing("compute", 0.1, 1), (1, 1): Vanishing("compute", 0.2, 1)}
    result = run(fates, fleet=[{"count": 3}, {"speed": 0.5}], rounds=1)
    assert aggregated(result) == [21]
    assert whose(result) == [{2, 3}]


def test_a_quorum_that_cannot_be_reached_ends_the_run(run: Run):
    # 3 of 4 are needed; client 0 is gone after 1 s, client 1 while it sends, at 10.5: two are left, still at work.
    fates = {(0, 1): Vanishing("compute", 0.1, 1), (1, 1): Vanishing("upload", 0.5, 1)}
    with pytest.raises(SimulationError) as short:
        run(fates, fleet=[{"count": 4}], participation={"quorum": 0.75})
    assert short.value.exit_status == 1
    message = str(short.value)
    assert "round 0 is short at 10.5 s, with 0 of 3 rounds aggregated" in message
    assert "0 updates are in, and its quorum is 3; vanished: 0, 1; still at work: 2, 3" in message
    assert "\n" not in message


def test_what_is_in_is_kept_where_a_round_is_opened_anew(run: Run):
    # The same; client 1 stays away. Client 0 is back at once, computes from 10.5 to 20.5, and is the third one in at
    # 21.5, beside what clients 2 and 3 have sent by 11. Lost: 1 s of client 0, and 10 s and 50 MB of client 1.
    fates = {(0, 1): Vanishing("compute", 0.1, 1), (1, 1): Vanishing("upload", 0.5, 9)}
    told = {"quorum": 0.75, "short": "wait"}
    result = run(fates, fleet=[{"count": 4}], participation=told, rounds=1)
    assert aggregated(result) == [21.5]
    assert whose(result) == [{0, 2, 3}]
    assert spans(result, Kind.COMPUTE, 0) == [(0, 1), (10.5, 20.5)]
    assert [len(of(result, Kind.COMPUTE, client)) for client in (1, 2, 3)] == [1, 1, 1]
    assert result.provenance["updates"] == {"lost": 2}
    figures = result.figures()
    assert (figures["wasted_compute_s"], figures["wasted_bytes"]) == (11, 50e6)
    # Client 0 is away from 1 to 10.5, client 1 from 10.5 on; clients 2 and 3 wait from 11 on.
    assert [result.accounts[client].offline for client in range(4)] == [9.5, 11, 0, 0]
    assert [result.accounts[client].waiting for client in range(4)] == [0, 0, 10.5, 10.5]


def test_a_quorum_of_one_asks_for_all_that_were_wanted(run: Run):
    # Client 2 is gone at 5, and back for the opening that follows: computing until 15, in at 16.
    fates = {(2, 1): Vanishing("compute", 0.5, 1)}
    result = run(fates, participation={"quorum": 1, "short": "wait"}, rounds=1)
    assert aggregated(result) == [16]
    assert whose(result) == [{0, 1, 2}]


def test_further_clients_are_drawn_from_the_rest(run: Run):
    # 3 of 5 are wanted; one of them is gone after 4 s, for long: another one computes from 4 to 14, and is in at 15.
    fates = {(client, 1): Vanishing("compute", 0.4, 9) for client in range(5)}
    members = {span.client for span in of(run({}, fleet=[{"count": 5}], rounds=1, **FRACTION), Kind.COMPUTE)}
    [gone] = sorted(members)[:1]
    result = run({(gone, 1): fates[gone, 1]}, fleet=[{"count": 5}], rounds=1, **FRACTION)
    assert aggregated(result) == [15]
    [further] = whose(result)[0] - members
    assert whose(result) == [members - {gone} | {further}]
    assert spans(result, Kind.COMPUTE, further) == [(4, 14)]


FRACTION = {"participation": {"fraction": 0.6, "quorum": 1, "short": "wait"}}


def test_over_selection_is_filled_up_to_what_it_was(run: Run):
    # 2 of 8 are wanted, 4 selected, and 2 needed: with three gone at 5, one is left, and three others begin.
    told = {"fraction": 0.25, "over_selection": 2, "quorum": 1, "short": "wait"}
    members = {span.client for span in of(run({}, fleet=[{"count": 8}], rounds=1, participation=told), Kind.COMPUTE)}
    left = max(members)
    fates = {(client, 1): Vanishing("compute", 0.5, 9) for client in members - {left}}
    result = run(fates, fleet=[{"count": 8}], rounds=1, participation=told)
    assert [len(spans(result, Kind.COMPUTE, client)) for client in members] == [1] * 4
    assert sorted(span.start for span in of(result, Kind.COMPUTE)) == [0] * 4 + [5] * 3
    # They are in at 16, in the order of their numbers: the first of them is enough.
    assert aggregated(result) == [16]
    assert len(whose(result)[0]) == 2


def test_a_round_that_is_opened_anew_is_short_of_what_was_wanted_at_first(run: Run):
    # 4 are wanted, and 2 are enough. At 20 client 0 is in alone, and the other three go on; client 1 is in at 26 then.
    fleet = [{}, {"speed": 0.4}, {"speed": 0.1}, {"speed": 0.1}]
    told = {"quorum": 0.5, "deadline": "20s", "short": "wait"}
    result = run({}, fleet=fleet, participation=told, rounds=1)
    assert aggregated(result) == [26]
    assert result.timeline.incidents.closed == {0: Closed(Closing.QUORUM, 4, 2)}
    assert result.figures()["short_rounds"] == 1


def test_of_those_that_are_left_of_a_round_that_is_opened_anew_all_may_be_in(run: Run):
    # As above, 3 of 4 are needed: clients 0 and 1 are gone by 10.5, and client 0, which is back, is the last of three.
    fates = {(0, 1): Vanishing("compute", 0.1, 1), (1, 1): Vanishing("upload", 0.5, 9)}
    told = {"quorum": 0.75, "short": "wait"}
    result = run(fates, fleet=[{"count": 4}], participation=told, rounds=1)
    assert result.timeline.incidents.closed == {0: Closed(Closing.EVERYONE, 4, 3)}
    assert result.figures()["short_rounds"] == 1


def test_of_a_list_only_those_on_it_are_asked(run: Run):
    told = {"rounds": [[0, 1]], "quorum": 1, "short": "wait"}
    result = run({(0, 1): Vanishing("compute", 0.5, 3)}, fleet=[{"count": 4}], rounds=1, participation=told)
    # Nobody else may: tries pass until client 0 is back, at once.
    assert aggregated(result) == [16]
    assert whose(result) == [{0, 1}]


def test_whoever_comes_next_is_taken(sessions: Sessions):
    # Client 1 leaves at 5 and is back at 100; client 0 is in at 11 and waits until 111. Client 2 comes at 40, is in at
    # 51, and three are wanted, as client 3 was there when the round was opened: it leaves at 3 and comes at 60.
    fleet = [sessions([(0, FAR)], [(0, 5), (100, FAR)], [(40, FAR)], [(0, 3), (60, FAR)])]
    told = {"quorum": 1, "short": "wait"}
    result = simulated(method="fedbcd", rounds=1, fleet=fleet, participation=told)
    assert aggregated(result) == [71]
    assert whose(result) == [{0, 2, 3}]
    assert result.provenance["updates"] == {"lost": 2}


def test_with_nobody_left_and_nothing_in_it_begins_from_nothing(sessions: Sessions):
    # Two were wanted at first; of those that are there at 50, which is client 0, one is.
    fleet = [sessions([(0, 5), (50, FAR)], [(0, 5), (200, FAR)])]
    result = simulated(method="fedbcd", rounds=1, fleet=fleet, participation={"quorum": 1, "short": "wait"})
    assert aggregated(result) == [61]
    assert whose(result) == [{0}]


SLOW = [{"count": 2}, {"speed": 0.1}]


def test_a_deadline_before_the_quorum_is_in_ends_the_run():
    with pytest.raises(SimulationError) as short:
        simulated(method="fedbcd", rounds=1, fleet=SLOW, participation={"quorum": 1, "deadline": "20s"})
    assert "round 0 is short at 20 s" in str(short.value)
    assert "its deadline has passed: 2 updates are in, and its quorum is 3; nobody" in str(short.value)
    assert "still at work: 2" in str(short.value)


def test_a_deadline_before_the_quorum_is_in_begins_anew():
    # Client 2 goes on, and is in at 101: nothing is wasted.
    told = {"quorum": 1, "deadline": "20s", "short": "wait"}
    result = simulated(method="fedbcd", rounds=1, fleet=SLOW, participation=told)
    assert aggregated(result) == [101]
    assert result.figures()["wasted_compute_s"] == 0
    assert result.timeline.incidents.closed == {0: Closed(Closing.EVERYONE, 3, 3)}
    # Of the quorum that is in by then nothing is short.
    result = simulated(method="fedbcd", rounds=1, fleet=SLOW, participation={"quorum": 0.6, "deadline": "20s"})
    assert aggregated(result) == [11]


def test_a_round_s_deadline_begins_anew_with_it(run: Run):
    # Of three, two are needed. 0 and 1 vanish at 8; back at once, they are in at 19, after the first deadline at 15 and
    # before the second at 23; client 2 takes 100 s.
    fates = {(client, 1): Vanishing("compute", 0.8, 1) for client in (0, 1)}
    told = {"quorum": 0.6, "deadline": "15s", "short": "wait"}
    result = run(fates, fleet=SLOW, rounds=1, participation=told)
    assert aggregated(result) == [19]
    assert whose(result) == [{0, 1}]


@pytest.mark.parametrize("region", [{}, {"region": "south"}])
@pytest.mark.parametrize("method", ["fedbcd", "parablock"])
@pytest.mark.parametrize("told", [{}, {"fraction": 0.5}])
def test_a_quorum_of_one_is_none_where_nobody_vanishes(method: str, region: dict[str, str], told: dict[str, Any]):
    fields: dict[str, Any] = {
        "method": method,
        "rounds": 5,
        "fleet": [{"count": 4, "dropout": {"rate": 1e-12}, **region}, {"count": 2, "uplink": "30MB/s"}],
        "regions": {"south": {"uplink": "80MB/s", "aggregates": True}} if region else {},
    }
    one = simulated(**fields, participation=told)
    assert simulated(**fields, participation=told | {"quorum": 1}).timeline == one.timeline


def test_a_round_that_would_never_be_done_ends_the_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Dropouts, "draw", lambda self, client, number: Vanishing("compute", 0.5, 1))
    fleet = [{"count": 2, "dropout": {"rate": 1}}]
    with pytest.raises(SimulationError, match="it has been opened 2,000 times"):
        simulated(method="fedbcd", fleet=fleet, participation={"short": "wait"})


def test_what_was_received_before_its_client_left_counts(sessions: Sessions):
    # Client 0 is in at 11 and leaves at 13, for good; client 1 leaves at 5 and is back at 30: it is in at 41.
    fleet = [sessions([(0, 13), (1000, FAR)], [(0, 5), (30, FAR)])]
    result = simulated(method="fedbcd", rounds=1, fleet=fleet, participation={"quorum": 1, "short": "wait"})
    assert aggregated(result) == [41]
    assert whose(result) == [{0, 1}]
    # 5 s were cut off; client 0 is gone from 13 on, client 1 for 25 s.
    assert result.figures()["wasted_compute_s"] == 5
    assert [result.accounts[client].offline for client in (0, 1)] == [28, 25]
