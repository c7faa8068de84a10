"""What failures, absences and deadlines hold of the critical path, by hand; and that nothing of it is unexplained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from parasim.explanation import sentences, summary
from parasim_core.sim.analysis.critical_path import Holder, Piece, critical_path, length
from parasim_core.sim.analysis.explain import explain
from parasim_core.sim.analysis.levers import Lever
from parasim_core.sim.engine.fleet import opened_one_by_one
from parasim_core.sim.engine.incidents import Closed, Closing
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Interval
from parasim_core.sim.errors import EndedEarlyError
from parasim_core.sim.failures.dropout import Vanishing
from parasim_core.sim.failures.interruptions import Interruption, Interruptions
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import METHODS
from tests.sim.engine import test_dropout, test_failing, test_failures_random
from tests.sim.engine.test_failing import NEVER, device, link
from tests.sim.runs import prepared, simulated

Run = Callable[..., Result]
run = test_failing.run
vanishing = test_dropout.run


def path(result: Result) -> list[tuple[Holder, int, float, float]]:
    """Its pieces; those of one holder that follow one another are one."""
    pieces: list[Piece] = []
    for piece in critical_path(result).pieces:
        if pieces and pieces[-1][1:3] == piece[1:3]:
            piece = piece._replace(start=pieces.pop().start)
        pieces.append(piece)
    return [piece[1:] for piece in pieces]


def test_a_repair_after_which_computing_goes_on(run: Run):
    # 4 s, 5 s of repair, the other 6 s, 1 s up.
    result = run({1: [(4, 9)]}, device(True), rounds=1)
    assert path(result) == [
        (Holder.COMPUTING, 1, 0, 4),
        (Holder.REPAIR, 1, 4, 9),
        (Holder.COMPUTING, 1, 9, 15),
        (Holder.UPLINK, 1, 15, 16),
    ]


def test_work_that_is_begun_anew(run: Run):
    result = run({1: [(4, 9)]}, device(False), rounds=1)
    assert path(result)[:3] == [(Holder.ANEW, 1, 0, 4), (Holder.REPAIR, 1, 4, 9), (Holder.COMPUTING, 1, 9, 19)]


def test_a_repair_during_which_an_outage_begins(run: Run):
    # Both of client 1: its device from 4 to 9, its link, by the same dates, as well. It sends from 19 on.
    result = run({1: [(4, 9), (19.5, 23)]}, device(False) | link("restart"), rounds=1)
    assert path(result)[3:] == [
        (Holder.REPEATED, 1, 19, 19.5),
        (Holder.REPAIR, 1, 19.5, 23),
        (Holder.UPLINK, 1, 23, 24),
    ]


def test_outages_that_transfers_wait_for(run: Run):
    # Of a message, parts are known and not their order: its own second comes first.
    stalled = run({1: [(10.25, 40.25)]}, link("stall"), rounds=1)
    assert path(stalled)[1:] == [(Holder.UPLINK, 1, 10, 11), (Holder.OUTAGE, 1, 11, 41)]
    begun_anew = run({1: [(10.25, 40.25)]}, link("restart"), rounds=1)
    assert path(begun_anew)[1:] == [
        (Holder.REPEATED, 1, 10, 10.25),
        (Holder.OUTAGE, 1, 10.25, 40.25),
        (Holder.UPLINK, 1, 40.25, 41.25),
    ]
    # 30 s in which it could do nothing but wait for its link; client 1 of 2.
    assert begun_anew.accounts[1].failed == 30
    assert begun_anew.figures()["failed_s"] == 15


def test_what_waits_for_its_serial_part_and_then_for_its_link(run: Run):
    # ParaBlock: 3 s of round 1 forbid sending, until 13; the link is down from 12 to 15, then 1 s up. Round 1 is
    # computed until 20; nothing waits for the exchange but the end of it.
    fields = {"method": "parablock", "rounds": 2, "fleet": [{"count": 1}]}
    fields |= {"compute": {"seconds": 10, "non_overlapping": "3s"}, "payload": {"upload": "1GB"}}
    result = run({0: [(12, 15)]}, link("restart"), **fields)
    assert path(result)[:3] == [
        (Holder.COMPUTING, 0, 0, 12),
        (Holder.OUTAGE, 0, 12, 15),
        (Holder.UPLINK, 0, 15, 25),
    ]


def test_an_outage_that_began_before_a_repair_of_what_may_not_be_sent_beside(monkeypatch: pytest.MonkeyPatch):
    # ParaBlock: nothing can be sent while round 1 is computed, from 10 on, with a repair from 13 to 14, until 21. The
    # link is down from 12 to 30; then 1 s up for each of the two rounds.
    def following(self: Interruptions, client: int, time: float) -> Interruption:
        begin, end = (13.0, 14.0) if self.every == 3600 else (12.0, 30.0)
        return Interruption(begin, end) if time < end else NEVER

    monkeypatch.setattr(Interruptions, "following", following)
    fleet = [device(True) | {"outages": {"every": "2h", "last": "18s", "transfers": "restart"}}]
    result = simulated(method="parablock", rounds=2, fleet=fleet, compute={"seconds": 10, "non_overlapping": "10s"})
    assert path(result)[:3] == [
        (Holder.COMPUTING, 0, 0, 12),
        (Holder.OUTAGE, 0, 12, 30),
        (Holder.UPLINK, 0, 30, 31),
    ]


def test_a_deadline_that_is_waited_for():
    # Client 0 is in at 11, the deadline passes at 20.
    result = simulated(method="fedbcd", rounds=1, fleet=[{}, {"speed": 0.1}], participation={"deadline": "20s"})
    assert path(result)[1:] == [(Holder.UPLINK, 0, 10, 11), (Holder.DEADLINE, SERVER, 11, 20)]
    assert result.timeline.incidents.closed == {0: Closed(Closing.DEADLINE, 2, 1)}
    assert result.figures()["short_rounds"] == 1


def test_a_late_update_that_holds_up_the_next_round_of_its_client():
    # As in test_rounds_that_end: client 2 begins round 2 when it is done with round 0; here, everyone waits for it
    # then, as it alone takes part. Round 0: clients 0 to 2, ended by two of them at 11; its own 30 s and 1 s up are
    # late. Round 1: client 2 alone, from 31 on: 1 s down, 30 s, 1 s up.
    result = simulated(
        method="fedbcd",
        rounds=2,
        fleet=[{}, {}, {"speed": 1 / 3}],
        participation={"rounds": [[0, 1, 2], [2]], "quorum": 0.66},
    )
    assert path(result)[0] == (Holder.LATE, 2, 0, 31)
    assert result.wall_clock == pytest.approx(63)
    assert [closed.by for closed in result.timeline.incidents.closed.values()] == [Closing.QUORUM, Closing.EVERYONE]
    assert result.figures()["late_updates"] == 1


def test_waiting_in_vain_for_a_client_that_vanishes(vanishing: Run):
    # Client 0 is in at 11; client 1 computes a hundred seconds, of which it does half.
    result = vanishing({(1, 1): Vanishing("compute", 0.5, 1)}, rounds=1, fleet=[{}, {"speed": 0.1}])
    assert path(result)[1:] == [(Holder.UPLINK, 0, 10, 11), (Holder.VAIN, 1, 11, 50)]
    assert result.figures()["lost_updates"] == 1
    assert result.timeline.incidents.closed == {0: Closed(Closing.EVERYONE, 2, 1)}


def explained(**fields: Any) -> Any:
    return explain(*prepared(**fields))


def claims(why: Any) -> dict[Lever, Any]:
    return {claim.change.lever: claim for claim in why.claims}


def test_what_is_claimed_of_a_quorum_and_of_a_deadline():
    # Clients take 10, 20 and 40 s, and 1 s up. Two of three are enough: 21 s; one is: 11 s.
    fleet = [{"speed": speed} for speed in (1, 0.5, 0.25)]
    why = explained(method="fedbcd", rounds=1, fleet=fleet, participation={"quorum": 0.66})
    assert claims(why)[Lever.QUORUM].saves == 10
    # Ended at 30 by the deadline with two; at 15 with half of it.
    why = explained(method="fedbcd", rounds=1, fleet=fleet, participation={"deadline": "30s"})
    assert claims(why)[Lever.DEADLINE].saves == 15
    said = " ".join(sentences(why))
    assert "deadline 9 s" in said
    assert "Rounds ended: 1 at their deadline; 1 of 1 with fewer" in said
    assert summary(why)["rounds_ended_by"] == {"everyone": 0, "quorum": 0, "deadline": 1}


def test_what_is_claimed_of_failures(run: Run):
    # 4 s wasted and 5 s of repair: without failures the run would have taken 11 s instead of 20.
    when: Mapping[int, Sequence[Interval]] = {0: [(4, 9)], 1: [(4, 9)]}
    run(when, device(False), rounds=1)
    why = explained(method="fedbcd", rounds=1, fleet=[{"count": 2} | device(False)])
    assert claims(why)[Lever.FAILURES].saves == 9
    assert claims(why)[Lever.NOTHING_FAILS].saves == 9


def test_a_change_may_concern_clients_that_have_not_taken_part():
    # Which of the thirty take part depends on how long rounds take, and so on what is changed.
    fleet = [{"count": 30, "available": {"share": 0.5, "session": "20s"}}]
    fields = {"rounds": 3, "fleet": fleet, "participation": {"fraction": 0.1, "short": "wait"}}
    why = explained(method="fedbcd", **fields)
    twice = simulated(method="fedbcd", **{**fields, "fleet": [{**fleet[0], "speed": 2}]})
    assert claims(why)[Lever.SPEED].simulated == twice.wall_clock


def test_a_change_with_which_the_run_would_end_early_is_told(monkeypatch: pytest.MonkeyPatch):
    def ends_early(*of: Any) -> Result:
        raise EndedEarlyError("round 0 is short")

    monkeypatch.setattr("parasim_core.sim.analysis.explain.simulate", ends_early)
    fleet = [{"failures": {"every": "10h", "repair": "1min"}}]
    why = explained(method="fedbcd", rounds=1, fleet=fleet)
    assert not claims(why)[Lever.NOTHING_FAILS].ends
    (told,) = [claim for claim in summary(why)["claims"] if claim["lever"] == "nothing_fails"]
    assert (told["simulated_s"], told["saves_s"]) == (None, None)
    assert any("end early" in sentence for sentence in sentences(why))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(test_failures_random.scenarios())
def test_every_moment_is_explained(scenario: Scenario):
    assume(opened_one_by_one(scenario))
    ended = test_failures_random.run(scenario)
    if ended is None:
        return
    result, _ = ended
    pieces = critical_path(result).pieces
    assert length(pieces) == result.wall_clock
    assert all(one.end == other.start for one, other in pairwise(pieces))
    assert not [piece for piece in pieces if piece.holder is Holder.UNRECORDED and piece.end - piece.start > 1e-9]
    if not METHODS[scenario.method.name].shape.traits.rounds_numbered:
        return
    # How each round ended is known.
    closed = result.timeline.incidents.closed
    assert sorted(closed) == list(range(scenario.rounds))
    assert all(each.received > 0 for each in closed.values())
