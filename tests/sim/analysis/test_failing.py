"""What failed in a run, as a list and as a file, by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from parasim_core.sim.analysis.failing import Failure, What, failures, write_failures
from parasim_core.sim.engine.timeline import SERVER, Kind
from parasim_core.sim.failures.dropout import Vanishing
from tests.sim.analysis.test_failing_path import Run
from tests.sim.engine import test_dropout, test_failing
from tests.sim.engine.test_failing import device, link
from tests.sim.runs import simulated

run = test_failing.run
vanishing = test_dropout.run


def test_repairs_and_what_is_begun_anew(run: Run):
    # 4 s in vain, 5 s of repair; nothing of the other client.
    result = run({1: [(4, 9)]}, device(False), rounds=1)
    assert failures(result) == [
        Failure(1, What.WASTED, Kind.COMPUTE, 0, 0, 4),
        Failure(1, What.REPAIR, None, -1, 4, 9),
    ]


def test_outages_are_listed_whether_or_not_anything_waits_for_them(run: Run):
    result = run({1: [(3, 5)]}, link("stall"), rounds=1)
    assert failures(result) == [Failure(1, What.OUTAGE, None, -1, 3, 5)]


def test_who_vanishes_and_what_it_leaves(vanishing: Run):
    # Of 10 s, 4; then it is gone.
    result = vanishing({(1, 1): Vanishing("compute", 0.4, 1)}, rounds=1)
    assert failures(result) == [
        Failure(1, What.WASTED, Kind.COMPUTE, 0, 0, 4),
        Failure(1, What.VANISHED, None, 0, 4, 4),
    ]


def test_late_updates_and_deadlines():
    # Client 0 is in at 11, the deadline passes at 20, client 1 computes until 16 and sends until 26; the next round
    # ends at 40 with client 0 alone, while client 1 fetches (27 s) and computes.
    fleet = [{}, {"speed": 10 / 16, "uplink": "10MB/s", "downlink": "100MB/s"}]
    result = simulated(method="fedbcd", rounds=2, fleet=fleet, participation={"deadline": "20s"})
    found = failures(result)
    assert found[:2] == [
        Failure(SERVER, What.DEADLINE, None, 0, 20, 20),
        Failure(SERVER, What.DEADLINE, None, 1, 40, 40),
    ]
    assert found[2:4] == [
        Failure(1, What.LATE, Kind.COMPUTE, 0, 0, 16),
        Failure(1, What.LATE, Kind.UPLOAD, 0, 16, 26),
    ]
    assert {(each.what, each.of) for each in found[4:]} == {(What.WASTED, Kind.COMPUTE)}


def test_absences_are_those_of_the_sessions(tmp_path: Path):
    # There for 15 s, gone for 5, and so on: the first update is lost with it at 15, while it is sent.
    sessions = tmp_path / "sessions.json"
    sessions.write_text(json.dumps([[[0, 15], [20, 100]]]), encoding="utf-8")
    fleet = [{"uplink": "10MB/s", "available": {"file": str(sessions)}}]
    result = simulated(method="fedbcd", rounds=1, fleet=fleet, participation={"short": "wait"})
    found = failures(result)
    assert [each for each in found if each.what in (What.VANISHED, What.ABSENT)] == [
        Failure(0, What.VANISHED, None, 0, 15, 15),
        Failure(0, What.ABSENT, None, -1, 15, 20),
    ]
    assert result.wall_clock == 40
    [path] = write_failures(result, tmp_path)
    with path.open() as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert ("0", "absent", "", "", "15.0", "20.0") in rows
    assert ("0", "wasted", "compute", "0", "0.0", "10.0") in rows


@pytest.mark.parametrize("method", ["fedbuff", "fedasync", "parablock-async"])
def test_without_rounds_there_are_no_deadlines(run: Run, method: str):
    # 4 s in vain and 5 s of repair, whatever is begun and cut off after that.
    found = failures(run({1: [(4, 9)]}, device(False), rounds=1, method=method))
    assert {each.what for each in found} <= {What.WASTED, What.REPAIR}
    assert Failure(1, What.WASTED, Kind.COMPUTE, 0, 0, 4) in found
    assert Failure(1, What.REPAIR, None, -1, 4, 9) in found


def test_what_is_left_over_in_a_buffer_is_not_late(run: Run):
    # Three clients are in at 11, of which two fill the only buffer: the third one's 10 s and 1 s are wasted.
    method = {"name": "fedbuff", "buffer": 2}
    result = run({}, device(False), rounds=1, method=method, fleet=[{"count": 3}])
    assert failures(result) == [
        Failure(2, What.WASTED, Kind.COMPUTE, 0, 0, 10),
        Failure(2, What.WASTED, Kind.UPLOAD, 0, 10, 11),
    ]
    assert result.figures()["late_updates"] == 0


def test_nothing_is_written_where_nothing_can_fail(tmp_path: Path):
    result = simulated(method="fedbcd", rounds=1)
    assert failures(result) == []
    assert write_failures(result, tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
