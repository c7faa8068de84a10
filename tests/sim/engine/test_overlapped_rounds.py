"""Rounds that end early, and clients that vanish, where computing and exchanging overlap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures.dropout import Phase, Vanishing
from tests.sim.engine.test_dropout import Fates, spans, whose
from tests.sim.engine.test_dropout import run as run_
from tests.sim.runs import of, rotating, simulated

run = run_
FLEET = [{"count": 3}, {"count": 2, "uplink": "30MB/s", "latency": "70ms"}, {"count": 1, "speed": 0.6}]
RARE = {"rate": 1e-12}


def aggregated(result: Result) -> list[float]:
    return [span.start for span in of(result, Kind.AGGREGATE)]


@pytest.mark.parametrize("staleness", [1, 2, 4])
@pytest.mark.parametrize("rounds", [1, 2, 3, 6])
@pytest.mark.parametrize("region", [{}, {"region": "south"}])
def test_whoever_goes_on_by_itself_does_so_in_rounds_opened_one_by_one(staleness: int, rounds: int, region: Any):
    fields: dict[str, Any] = {
        "method": {"name": "parablock", "staleness": staleness},
        "rounds": rounds,
        "server": {"ingress": "120MB/s", "aggregation": "1s"},
        "wire": {"serialization": "300ms"},
        "compute": {"seconds": 2, "non_overlapping": "500ms"},
        "blocks": {"count": 3},
        "regions": {"south": {"uplink": "50MB/s", "aggregates": True}} if region else {},
        "seed": 3,
    }
    before = simulated(**fields, fleet=[group | region for group in FLEET])
    opened = simulated(**fields, fleet=[group | region | {"dropout": RARE} for group in FLEET])
    assert opened.wall_clock == before.wall_clock
    assert aggregated(opened) == aggregated(before)
    for figure, value in before.figures().items():
        assert opened.figures()[figure] == pytest.approx(value, rel=1e-12), figure
    assert opened.provenance == before.provenance
    if not region:
        late = simulated(**fields, fleet=FLEET, participation={"deadline": "1000h"})
        assert aggregated(late) == aggregated(before)


@pytest.mark.parametrize("staleness", [1, 2, 3])
@pytest.mark.parametrize("cohort", [2, 3, 4])
def test_clients_that_change_take_the_times_that_they_did(staleness: int, cohort: int):
    # Of 6 clients, cohorts in turn: everyone in a round waits for the round before, as where it is known beforehand.
    fields: dict[str, Any] = {
        "method": {"name": "parablock", "staleness": staleness},
        "rounds": 7,
        "participation": {"rounds": rotating(6, cohort, 7)},
        "blocks": {"count": 3},
    }
    before = simulated(**fields, fleet=FLEET)
    opened = simulated(**fields, fleet=[group | {"dropout": RARE} for group in FLEET])
    assert aggregated(opened) == pytest.approx(aggregated(before))
    for name in ("compute_s", "exposed_communication_s", "uploaded_bytes", "downloaded_bytes", "wall_clock_s"):
        assert opened.figures()[name] == pytest.approx(before.figures()[name]), name


Run = Callable[..., Result]
PARABLOCK = {"method": "parablock", "rounds": 4, "blocks": {"count": 4, "schedule": "sequential"}}


def test_who_vanishes_while_it_computes_loses_what_is_pending_if_that_has_not_arrived(run: Run):
    # Round t takes from 10 t to 10 t + 10; what it computed is sent in the first second after that, and the aggregate
    # received in the next one; round 3 is sent from 40 to 41.
    # In round 1 client 1 vanishes after 0.5 s: half of its update of round 0 has got through. Both are lost.
    result = run({(1, 2): Vanishing("compute", 0.05, 1)}, **PARABLOCK)
    assert spans(result, Kind.COMPUTE, 1)[:2] == [(0, 10), (10, 10.5)]
    assert next((span.end, span.size) for span in of(result, Kind.UPLOAD, 1)) == (10.5, 50e6)
    assert whose(result)[:2] == [{0, 2}, {0, 2}]
    assert result.provenance["updates"] == {"lost": 2}
    assert result.figures()["wasted_compute_s"] == 10.5
    assert result.figures()["wasted_bytes"] == 50e6
    # Round 2 is opened at 11: it is back, fetches block 0 and computes round 2 from 12 to 22; it sends that when the
    # others do, in round 3, from 30 on, that it begins at 22 and ends at 32.
    assert spans(result, Kind.DOWNLOAD, 1)[0] == (11, 12)
    assert of(result, Kind.DOWNLOAD, 1)[0].blocks == (0,)
    assert spans(result, Kind.COMPUTE, 1)[2] == (12, 22)


def test_an_update_that_had_arrived_counts(run: Run):
    # After 5 s of round 1, its update of round 0 is in since 11.
    result = run({(1, 2): Vanishing("compute", 0.5, 2)}, **PARABLOCK)
    assert whose(result) == [{0, 1, 2}, {0, 2}, {0, 2}, {0, 1, 2}]
    # It had been chosen for round 2 as well, which was opened at 11.
    assert result.provenance["updates"] == {"lost": 2}
    # Back in round 3, which is opened at 21: it has missed block 1 only, as it had fetched block 0 at 12.
    assert of(result, Kind.DOWNLOAD, 1)[1].blocks == (1,)
    assert spans(result, Kind.DOWNLOAD, 1)[1] == (21, 22)
    assert spans(result, Kind.COMPUTE, 1)[2] == (22, 32)


def test_who_vanishes_while_it_sends(run: Run):
    # It computes round 1 for a quarter of a second, and sends a quarter of what it computed in round 0.
    result = run({(1, 2): Vanishing("upload", 0.25, 1)}, **PARABLOCK)
    assert of(result, Kind.UPLOAD, 1)[0].size == 25e6
    assert spans(result, Kind.COMPUTE, 1)[1] == (10, 10.25)
    assert whose(result)[:2] == [{0, 2}, {0, 2}]


def test_who_vanishes_while_it_receives(run: Run):
    # Half of block 0 at 11.5; its update of round 0 is in.
    result = run({(1, 2): Vanishing("download", 0.5, 1)}, **PARABLOCK)
    assert spans(result, Kind.COMPUTE, 1)[1] == (10, 11.5)
    assert whose(result)[:2] == [{0, 1, 2}, {0, 2}]
    # Round 2 had been opened at 11, with it: it is lost as well. From round 3 on it is there again, with both blocks.
    assert of(result, Kind.DOWNLOAD, 1)[1].blocks == (0, 1)


@pytest.mark.parametrize("phase", ["upload", "download"])
def test_with_nothing_to_exchange_it_vanishes_when_it_would_begin_to(run: Run, phase: Phase):
    # Nothing is sent or received in round 0.
    result = run({(1, 1): Vanishing(phase, 0.25, 1)}, **PARABLOCK)
    assert spans(result, Kind.COMPUTE, 1)[0] == (0, 0)
    assert whose(result)[0] == {0, 2}
    # It is back in round 1, which is opened when the others are done with round 0.
    assert spans(result, Kind.COMPUTE, 1)[1] == (10, 20)


def test_a_quorum_goes_on_without_the_late(run: Run):
    # Client 2 takes 30 s. The others are in at 11, and 21, 31 and 41.
    fleet = [{"count": 2}, {"speed": 1 / 3}]
    result = run({}, **PARABLOCK, fleet=fleet, participation={"quorum": 0.6})
    assert aggregated(result) == [11, 21, 31, 41]
    # It is done with round 0 at 30; what it computed is sent from then on, while it computes round 1 - which is not
    # waited for any more since 21, so that it is round 2, of which nobody has sent anything yet.
    assert spans(result, Kind.COMPUTE, 2)[0] == (0, 30)
    assert {span.round for span in of(result, Kind.COMPUTE, 2)} == {0, 2}


def test_a_round_of_which_nobody_is_left_ends_the_run(run: Run):
    fates: Fates = {(client, 2): Vanishing("compute", 0.5, 1) for client in range(3)}
    with pytest.raises(SimulationError, match=r"round 1 is short at 15 s, with 1 of 4 rounds .* \(they were 0, 1, 2\)"):
        run(fates, **PARABLOCK)


def test_a_stale_client_that_vanishes_loses_all_that_it_had_not_sent(run: Run):
    # With two rounds between, rounds 0 and 1 are pending in round 2; half of the first has got through.
    fields = PARABLOCK | {"method": {"name": "parablock", "staleness": 2}}
    result = run({(1, 3): Vanishing("compute", 0.05, 9)}, **fields)
    assert result.provenance["updates"] == {"lost": 3}
    assert whose(result) == [{0, 2}] * 4


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fraction", [None, 0.5])
@pytest.mark.parametrize("late", ["discard", "next-round"])
def test_any_of_it_comes_to_an_end(seed: int, fraction: float | None, late: str):
    fleet = [group | {"dropout": {"rate": 0.06, "back_after": 2}} for group in FLEET]
    told = {"quorum": 0.6, "late": late, "short": "wait"} | (
        {"fraction": fraction, "over_selection": 1.4} if fraction else {}
    )
    result = simulated(
        method={"name": "parablock", "staleness": 2}, rounds=12, seed=seed, fleet=fleet, participation=told
    )
    assert len(aggregated(result)) == 12


def test_a_round_of_which_nobody_is_left_is_opened_anew_and_so_are_those_after_it(run: Run):
    # Round 0 is in at 11 and round 2 is opened then; all stop at 15, with block 0, in the middle of round 1. They are
    # back at once: round 1 from 15 to 25, round 2 from 25 to 35 and beside it round 1 up and down, 26 and 27; round 3
    # from 35 to 45, with round 2 in at 36; round 3 is in at 46.
    fates: Fates = {(client, 2): Vanishing("compute", 0.5, 1) for client in range(3)}
    result = run(fates, **PARABLOCK, participation={"short": "wait"})
    assert aggregated(result) == [11, 26, 36, 46]
    assert whose(result) == [{0, 1, 2}] * 4
    assert spans(result, Kind.COMPUTE, 0) == [(0, 10), (10, 15), (15, 25), (25, 35), (35, 45)]
    assert [span.blocks for span in of(result, Kind.COMPUTE, 0)] == [(0,), (1,), (1,), (2,), (3,)]
    assert spans(result, Kind.DOWNLOAD, 0) == [(11, 12), (26, 27), (36, 37)]
    # Lost are the updates of rounds 1 and 2, of which 5 s had been computed.
    assert result.provenance["updates"] == {"lost": 6}
    assert result.figures()["wasted_compute_s"] == 15


def test_with_two_rounds_between_three_rounds_are_opened_anew(run: Run):
    # Round 0 is in at 21, beside round 2, and round 3 opened; all stop at 25, with 10 s of round 1 and 5 s of round 2.
    # Rounds 1, 2 and 3 from 25, 35 and 45 on; round 1 is in at 46, beside round 3. Then one after the other: round 2 up
    # and down, 56 and 57, round 3 up, 58.
    fields = PARABLOCK | {"method": {"name": "parablock", "staleness": 2}}
    fates: Fates = {(client, 3): Vanishing("compute", 0.5, 1) for client in range(3)}
    result = run(fates, **fields, participation={"short": "wait"})
    assert aggregated(result) == [21, 46, 56, 58]
    assert spans(result, Kind.COMPUTE, 2)[2:] == [(20, 25), (25, 35), (35, 45), (45, 55)]
    assert result.provenance["updates"] == {"lost": 9}
    assert result.figures()["wasted_compute_s"] == 45


def test_who_vanished_catches_up_while_the_others_wait_as_far_as_the_staleness_lets_them(run: Run):
    # Client 1 vanishes at 10.5, while it sends round 0 and computes round 1. All are needed, so that both rounds are
    # opened anew for it: round 0 from 10.5 to 20.5, round 1 until 30.5, and beside that round 0 up until 21.5, where it
    # is aggregated. The others have sent round 0 by 11 and computed round 1 by 20; they go on when they have block 0,
    # at 22.5. Round 1 is in at 31.5.
    result = run({(1, 2): Vanishing("compute", 0.05, 1)}, **PARABLOCK, participation={"quorum": 1, "short": "wait"})
    assert aggregated(result)[:2] == [21.5, 31.5]
    assert whose(result) == [{0, 1, 2}] * 4
    assert spans(result, Kind.COMPUTE, 1)[2:4] == [(10.5, 20.5), (20.5, 30.5)]
    assert spans(result, Kind.COMPUTE, 0)[2] == (22.5, 32.5)
    figures = result.figures()
    assert (figures["wasted_compute_s"], figures["wasted_bytes"]) == (10.5, 50e6)


def test_a_client_that_computes_only_a_round_that_is_opened_anew_sends_it_at_once(run: Run):
    # Client 1 is only wanted in round 0; gone at 5, it is back at once, and has computed it by 15. Its time to send
    # came at 10, when client 0 was done and round 1 was opened without it: it is in at 16.
    told = {"rounds": [[0, 1], [0], [0], [0]], "quorum": 1, "short": "wait"}
    result = run({(1, 1): Vanishing("compute", 0.5, 1)}, **PARABLOCK, participation=told)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 5), (5, 15)]
    assert spans(result, Kind.UPLOAD, 1) == [(15, 16)]
    assert aggregated(result)[0] == 16
    assert whose(result) == [{0, 1}, {0}, {0}, {0}]


@pytest.mark.parametrize("staleness", [1, 2, 3])
def test_the_last_rounds_are_opened_anew_as_well(run: Run, staleness: int):
    # All vanish at 39.5, half a second before round 3 is computed; the last s rounds have not been sent.
    fields = PARABLOCK | {"method": {"name": "parablock", "staleness": staleness}}
    fates: Fates = {(client, 4): Vanishing("compute", 0.95, 1) for client in range(3)}
    result = run(fates, **fields, participation={"short": "wait"})
    assert whose(result) == [{0, 1, 2}] * 4
    assert result.provenance["updates"] == {"lost": 3 * staleness}
    # They are computed one after the other, s x 10 s, and then sent: s messages up, and s - 1 down between them.
    assert aggregated(result)[-1] == 39.5 + 10 * staleness + staleness + (staleness - 1)


def test_late_clients_send_what_they_have_where_nothing_is_left_to_compute():
    # Client 2 takes 40 s for round 0 and is no member of the others; two are enough. What it has is sent at 40, when
    # rounds 1 and 2 are aggregated, at 21 and 31, and dropped.
    fleet = [{"count": 2}, {"speed": 0.25}]
    told = {"rounds": [[0, 1, 2], [0, 1], [0, 1], [0, 1], [0, 1], [0, 1]], "quorum": 0.6}
    result = simulated(**PARABLOCK | {"rounds": 6, "blocks": {"count": 4}}, fleet=fleet, participation=told)
    assert spans(result, Kind.UPLOAD, 2) == [(40, 41)]
    assert result.provenance["updates"] == {"dropped": {"late: its round had been aggregated": 1}}
