"""Devices that fail, links that break, and clients whose sessions end, by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Interval, Kind
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures.interruptions import Interruption, Interruptions
from tests.sim.engine.test_dropout import spans, whose
from tests.sim.runs import of, simulated

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Simulate with interruptions as told, by client."""

    def simulate(when: Mapping[int, Sequence[Interval]], what: dict[str, Any], **fields: Any) -> Result:
        def following(self: Interruptions, client: int, time: float) -> Interruption:
            return next((Interruption(*each) for each in when.get(client, ()) if each[1] > time), NEVER)

        monkeypatch.setattr(Interruptions, "following", following)
        fleet = [{**group, **what} for group in fields.pop("fleet", [{"count": 2}])]
        return simulated(**({"method": "fedbcd", "rounds": 2, "fleet": fleet} | fields))

    return simulate


NEVER = Interruption(1e12, 1e12 + 1)


def device(resume: bool) -> dict[str, Any]:
    return {"failures": {"every": "1h", "repair": "1min", "resume": resume}}


def link(transfers: str) -> dict[str, Any]:
    return {"outages": {"every": "1h", "last": "30s", "transfers": transfers}}


def test_a_device_that_goes_on_after_its_repair(run: Run):
    # Client 1 computes 4 s, is repaired for 5 s, and computes the other 6 s until 15.
    result = run({1: [(4, 9)]}, device(True), rounds=1)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 4), (9, 15)]
    assert result.wall_clock == 16
    account = result.accounts[1]
    assert (account.compute, account.failed, account.exposed, account.waiting) == (10, 5, 1, 0)
    assert result.figures()["wasted_compute_s"] == 0
    assert result.figures()["failed_s"] == 2.5


def test_a_device_that_begins_anew_after_its_repair(run: Run):
    result = run({1: [(4, 9)]}, device(False), rounds=1)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 4), (9, 19)]
    assert result.wall_clock == 20
    assert result.figures()["wasted_compute_s"] == 4


def test_a_device_that_fails_again_and_again(run: Run):
    # 4 s, 2 s and 4 s of computing with repairs of 5 and 1 s.
    result = run({1: [(4, 9), (11, 12)]}, device(True), rounds=1)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 4), (9, 11), (12, 16)]
    assert result.accounts[1].failed == 6


def test_what_a_device_sends_when_it_fails_is_sent_anew(run: Run):
    # A quarter of its update is through at 10.25; repaired at 20, it is sent until 21.
    result = run({1: [(10.25, 20)]}, device(True), rounds=1)
    assert [(span.start, span.end, span.size) for span in of(result, Kind.UPLOAD, 1)] == [
        (10, 10.25, 25e6),
        (20, 21, 100e6),
    ]
    assert of(result, Kind.UPLOAD, 1)[0].parts.repeated == 0.25
    assert result.figures()["wasted_bytes"] == 25e6
    assert result.accounts[1].failed == 9.75


def test_what_a_device_receives_when_it_fails_is_received_anew(run: Run):
    result = run({1: [(11.5, 20)]}, device(True))
    assert [(span.start, span.end, span.size) for span in of(result, Kind.DOWNLOAD, 1)] == [
        (11, 11.5, 50e6),
        (20, 21, 100e6),
    ]
    assert spans(result, Kind.COMPUTE, 1)[1] == (21, 31)


def test_a_device_that_is_down_when_its_round_opens_begins_when_it_is_repaired(run: Run):
    # From 11.0 on, when round 0 is aggregated and it waits for nothing but that.
    result = run({0: [(10.9, 14)], 1: [(0, 3)]}, device(True), rounds=1, fleet=[{"uplink": "1GB/s"}, {}])
    # Client 1 computes from 3 to 13; client 0 is in at 10.1 already, and its repair changes nothing.
    assert spans(result, Kind.COMPUTE, 1) == [(3, 13)]
    assert result.wall_clock == 14
    assert result.accounts[1].failed == 3
    assert result.accounts[0].failed == pytest.approx(14 - 10.9)


def test_a_device_that_fails_while_it_computes_and_sends(run: Run):
    # ParaBlock: round 1 from 10 on, beside which the update of round 0 is sent until 11. At 10.5 both stop, until 15:
    # the update is sent from 15 to 16, the rest of round 1 is computed until 24.5.
    fields = {"method": "parablock", "rounds": 2, "fleet": [{"count": 1}]}
    result = run({0: [(10.5, 15)]}, device(True), **fields)
    assert spans(result, Kind.COMPUTE, 0) == [(0, 10), (10, 10.5), (15, 24.5)]
    assert [(span.start, span.end, span.size) for span in of(result, Kind.UPLOAD, 0)] == [
        (10, 10.5, 50e6),
        (15, 16, 100e6),
        (24.5, 25.5, 100e6),
    ]


def test_nothing_is_sent_before_the_serial_part_is_over_repairs_or_not(run: Run):
    # 3 s of round 1 forbid sending: until 13 without, and until 18 with a repair from 11 to 16.
    fields = {"method": "parablock", "rounds": 2, "fleet": [{"count": 1}]}
    fields["compute"] = {"seconds": 10, "non_overlapping": "3s"}
    assert spans(run({}, device(True), **fields), Kind.UPLOAD, 0)[0] == (13, 14)
    assert spans(run({0: [(11, 16)]}, device(True), **fields), Kind.UPLOAD, 0)[0] == (18, 19)
    # Begun anew, all of it: until 19.
    assert spans(run({0: [(11, 16)]}, device(False), **fields), Kind.UPLOAD, 0)[0] == (19, 20)


@pytest.mark.parametrize("serial", ["10s", "40s"])
def test_computing_beside_which_nothing_can_be_sent(run: Run, serial: str):
    # No second of round 1 allows sending: the update of round 0 is sent when round 1 is computed, from 20 to 21, what
    # is made of it is received until 22, and the update of round 1 is sent until 23. A repair from 11 to 16 puts all of
    # it off by 5 s; begun anew, round 1 is computed from 16 to 26.
    fields = {"method": "parablock", "rounds": 2, "fleet": [{"count": 1}]}
    fields["compute"] = {"seconds": 10, "non_overlapping": serial}
    assert spans(run({}, device(True), **fields), Kind.UPLOAD, 0) == [(20, 21), (22, 23)]
    assert spans(run({0: [(11, 16)]}, device(True), **fields), Kind.UPLOAD, 0) == [(25, 26), (27, 28)]
    assert spans(run({0: [(11, 16)]}, device(False), **fields), Kind.UPLOAD, 0) == [(26, 27), (28, 29)]


def test_a_link_that_stalls(run: Run):
    # A quarter is through when nothing goes for 30 s.
    result = run({1: [(10.25, 40.25)]}, link("stall"), rounds=1)
    (upload,) = of(result, Kind.UPLOAD, 1)
    assert (upload.start, upload.end) == (10, 41)
    assert upload.parts.stalled == 30
    assert result.figures()["wasted_bytes"] == 0
    # Computing goes on meanwhile.
    result = run({1: [(5, 35)]}, link("stall"), rounds=1)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 10)]
    assert spans(result, Kind.UPLOAD, 1) == [(10, 36)]
    assert result.accounts[1].failed == 0


def test_a_link_on_which_transfers_begin_anew(run: Run):
    result = run({1: [(10.25, 40.25)]}, link("restart"), rounds=1)
    assert spans(result, Kind.UPLOAD, 1) == [(10, 10.25), (40.25, 41.25)]
    assert of(result, Kind.UPLOAD, 1)[0].parts.repeated == 0.25
    assert result.figures()["wasted_bytes"] == 25e6
    result = run({1: [(5, 35)]}, link("restart"), rounds=1)
    assert spans(result, Kind.UPLOAD, 1) == [(35, 36)]


def test_a_region_s_client_receives_anew_what_its_region_has(run: Run):
    # Its region has round 0 at 13; the client receives it from 13 on, anew from 20 on.
    fleet = [{"region": "south", "count": 2}]
    regions = {"south": {"uplink": "100MB/s", "aggregates": True}}
    result = run({1: [(13.5, 20)]}, link("restart"), fleet=fleet, regions=regions)
    assert spans(result, Kind.DOWNLOAD, 1) == [(13, 13.5), (20, 21)]


@pytest.fixture
def sessions(tmp_path) -> Callable[..., dict[str, Any]]:
    def recorded(*clients: Sequence[Interval]) -> dict[str, Any]:
        file = tmp_path / "sessions.json"
        file.write_text(str([[list(session) for session in own] for own in clients]))
        return {"available": {"file": str(file)}, "count": len(clients)}

    return recorded


FAR = 1e6


def test_who_leaves_while_it_computes_is_back_with_its_next_session(sessions):
    # Client 1 leaves at 14, in round 1 that takes from 11 to 23, and is back at 20: for round 2.
    fleet = [sessions([(0, FAR)], [(0, 14), (20, FAR)])]
    result = simulated(method="fedbcd", rounds=3, fleet=fleet, blocks={"count": 4, "schedule": "sequential"})
    assert spans(result, Kind.COMPUTE, 1) == [(0, 10), (12, 14), (24, 34)]
    assert whose(result) == [{0, 1}, {0}, {0, 1}]
    assert result.provenance["updates"] == {"lost": 1}
    # It fetched block 0 in round 1, and misses block 1.
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 1)] == [(0,), (1,)]
    assert result.accounts[1].offline == 23 - 14


def test_who_leaves_while_it_waits_has_done_its_part(sessions):
    fleet = [sessions([(0, FAR)], [(0, 13), (20, FAR)]) | {"count": 2}, {"speed": 0.5}]
    result = simulated(method="fedbcd", rounds=1, fleet=fleet)
    assert whose(result) == [{0, 1, 2}]
    assert "updates" not in result.provenance
    assert result.accounts[1].waiting == 13 - 11
    assert result.accounts[1].offline == 21 - 13


def test_only_who_is_there_when_a_round_opens_can_be_selected(sessions):
    fleet = [sessions([(0, FAR)], [(5, FAR)], [(0, 5), (11, FAR)])]
    result = simulated(method="fedbcd", rounds=2, fleet=fleet)
    assert whose(result) == [{0}, {0, 1, 2}]
    assert result.accounts[1].offline == 11


def test_a_round_that_nobody_is_there_for_ends_the_run_or_waits(sessions):
    fleet = [sessions([(0, 11), (100, FAR)], [(0, 11), (200, FAR)])]
    with pytest.raises(SimulationError, match=r"round 1 is short at 11 s, .* nobody is there"):
        simulated(method="fedbcd", rounds=2, fleet=fleet)
    result = simulated(method="fedbcd", rounds=2, fleet=fleet, participation={"short": "wait"})
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [11, 112]
    assert whose(result)[1] == {0}


def test_an_overlapped_client_that_leaves_and_comes_back(sessions):
    # Round 1 from 10 on; the update of round 0 is in at 11 and counts; the aggregate is there at 12. It leaves at 15.
    fleet = [sessions([(0, FAR)], [(0, 15), (18, FAR)])]
    result = simulated(method="parablock", rounds=4, fleet=fleet, blocks={"count": 4, "schedule": "sequential"})
    assert whose(result) == [{0, 1}, {0}, {0}, {0, 1}]
    # Back for round 3, opened at 21.
    assert spans(result, Kind.DOWNLOAD, 1) == [(11, 12), (21, 22)]
    assert spans(result, Kind.COMPUTE, 1) == [(0, 10), (10, 15), (22, 32)]


def test_what_never_gets_done_ends_the_run_with_a_statement(run: Run):
    # 10 s of computing, or 3 s of sending, with a repair every other second.
    often = {0: [(float(t), t + 1.0) for t in range(1, 9000, 2)]}
    with pytest.raises(SimulationError, match=r"client 0 has begun its update of round 0 1,000 times by 1999 s"):
        run(often, device(False), rounds=1)
    with pytest.raises(SimulationError, match=r"client 0 has begun its upload 1,000 times"):
        run(often, device(True), rounds=1, payload={"upload": "300MB"})
