"""Measured TCP: all rows are there, bounds hold, and what is predicted goes through the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from parasim_core.calibration.transport.compare import TransportComparison, compare, measured, summaries
from parasim_core.sim.errors import OutputError


@pytest.fixture(scope="module")
def comparisons() -> list[TransportComparison]:
    return compare(measured())


def test_every_row_is_compared(comparisons: list[TransportComparison]):
    rows = [row["kind"] for row in measured()]
    assert len(rows) == 53
    # Two directions, two senders; the logs of traces are not shipped.
    figures = {"two-way": 2, "sharing": 2}
    assert {kind: summary.rows for kind, summary in summaries(comparisons).items()} == {
        kind: rows.count(kind) * figures.get(kind, 1) for kind in dict.fromkeys(rows) if kind != "trace"
    }


def test_predictions_are_as_close_as_they_are(comparisons: list[TransportComparison]):
    assert [one for one in comparisons if one.holds is False] == []
    found = summaries(comparisons)
    assert all(summary.holds for kind, summary in found.items() if kind != "sharing")
    # Fluid sharing knows nothing of round trips: reported, not bound.
    assert found["sharing"].holds is None
    assert found["loss"].mean_pct < 5
    assert max(abs(one.error_pct) for one in comparisons if one.kind == "start-up" and one.bound_pct == 2) < 1


def test_a_hand_case():
    # 10,000 packets/s: 0.1 s and two packets are 1002 packets. Seven flights of 10, 20 ... 640, each a round trip of
    # 0.1002 s, send 1270 segments; the other 8730 take 0.873 s.
    row = {"kind": "start-up", "control": "cubic", "link_mbit_s": 120, "round_trip_ms": 100, "bytes": 1448e4}
    (one,) = compare([row | {"seconds": 2.0}])
    assert one.predicted == pytest.approx(0.15 + 7 * 0.1002 + 0.873)
    assert one.error_pct == pytest.approx(100 * (one.predicted / 2 - 1))
    assert (one.bound_pct, one.holds) == (2, False)


def test_traces_are_compared_by_their_mean(tmp_path: Path):
    # 120 Mbit/s, then nothing for 0.4 s, too short for the timer, then 12 Mbit/s. 402 packets are a round trip with two
    # more: 10 + 20 ... + 320 = 630 segments in six of them.
    (tmp_path / "4g-bus-0001.csv").write_text("seconds,downlink_mbit_s\n0.0,120\n0.5,0\n0.9,12\n")
    through = (0.5 - (0.06 + 6 * 0.0402)) * 10_000
    seconds = 0.9 + (10_000 - 630 - through) / 1000
    row = {"kind": "trace", "control": "cubic", "trace": "bus_0001", "bytes": 1448e4, "round_trip_ms": 40}
    found = compare([row | {"seconds": seconds}, row | {"seconds": seconds / 1.1}], tmp_path)
    assert [one.predicted for one in found] == pytest.approx([seconds] * 2)
    assert summaries(found)["trace"] == pytest.approx((2, 5.0, 10.0, True))
    assert compare([row | {"seconds": 1.0}]) == []
    (tmp_path / "4g-bus-0001.csv").write_text("time,rate\n0.0,120\n")
    with pytest.raises(OutputError, match="columns"):
        compare([row | {"seconds": 1.0}], tmp_path)
