"""Tables of clients with units in cells or columns, recorded traces as tables, and traces of Mahimahi."""

from __future__ import annotations

from pathlib import Path

import pytest

from parasim.importing.formats import read_file
from parasim.importing.measurement import Measurement
from parasim_core.sim.errors import ScenarioError
from tests.parasim.importing.samples import write


def read(tmp_path: Path, text: str) -> list[Measurement]:
    return read_file(write(tmp_path / "test", text))


@pytest.mark.parametrize(
    "text",
    [
        "name,uplink,downlink,latency,loss,count\nlyon,20Mbit/s,25MB/s,9ms,0.1%,3\n",
        "name,uplink_mbit_s,downlink_MB_s,latency_ms,loss,count\nlyon,20,25,9,0.001,3\n",
        "Client,Upload (Mbit/s),Download [MB/s],RTT ms,Loss %,clients\nlyon,20,25,18,0.1,3\n",
        "site;up_mbps;down_MBps;round trip (s);packet_loss_percent;number of clients\nlyon;20,0;25,0;0,018;0,1;3\n",
        "name\tupload_Mbps\tdownload\tping_ms\tloss\tcount\n\n lyon \t 20 \t 200 Mbps \t 18 \t 0.1% \t 3 \n",
        '\ufeffname,uplink_mbit_s,downlink,latency,loss,count\r\n"lyon",20,25MB/s,9ms,0.1%,3\r\n',
        "name,uplink_kbit_s,downlink,latency,loss,count\nlyon,2e4,25MB/s,9 ms,0.1%,3\n",
        "name,uplink_mbit_s,downlink_mbit_s,latency_ms,loss,count\nlyon,2.5MB/s,200,0.009s,0.1%,3\n",
    ],
    ids=range(8),
)
def test_units_in_cells_or_in_columns(tmp_path: Path, text: str):
    [one] = read(tmp_path, text)
    assert one.uplink is not None
    assert one.downlink is not None
    assert one.round_trip is not None
    assert one.loss is not None
    assert (one.name, one.count) == ("lyon", 3)
    assert one.uplink.mean == pytest.approx(2.5e6)
    assert one.downlink.mean == pytest.approx(25e6)
    assert one.round_trip.seconds == pytest.approx(0.018)
    assert one.loss.share == pytest.approx(0.001)


def test_cells_that_hold_nothing_are_not_known(tmp_path: Path):
    one, other = read(tmp_path, "name,uplink_mbit_s,loss,isp\nlyon,20,-,orange\nporto,,n/a,\n")
    assert one.uplink is not None
    assert other.uplink is None
    assert one.loss is other.loss is None
    assert any("isp" in note for note in one.notes)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name,uplink\nlyon,20\n", "line 2, column 'uplink': '20' has no unit"),
        ("name,uplink,latency\nlyon,20Mbit/s,12\n", "line 2, column 'latency': '12' has no unit"),
        ("name,uplink_mb_s\nlyon,20\n", "unknown unit"),
        ("name,uplink_furlongs\nlyon,20\n", "unknown unit"),
        ("name,uplink\nlyon,20parsec\n", "parsec"),
        ("name,uplink_mbit_s\nlyon,-20\n", "line 2.*-20"),
        ("name,uplink_mbit_s\nlyon,0\n", "line 2, uplink"),
        ("name,uplink_mbit_s\nlyon,nan\n", "line 2.*nan"),
        ("name,uplink_mbit_s\nlyon,inf\n", "line 2.*inf"),
        ("name,uplink_mbit_s\nlyon,1e300\n", "line 2.*1e300"),
        ("name,uplink_mbit_s\nlyon,1_000\n", "line 2.*1_000"),
        ("name,uplink_mbit_s,loss\nlyon,20,3\n", "line 2, column 'loss'"),
        ("name,uplnk_mbit_s,downlink_mbit_s\nlyon,20,20\n", "did you mean"),
        ("name,uplink_mbit_s,upload_mbit_s\nlyon,20,20\n", "both say the uplink"),
        ("name,uplink_mbit_s,latency_ms,rtt_ms\nlyon,20,3,6\n", "line 2"),
        ("name,uplink_mbit_s,count\nlyon,20,0\n", "number of clients"),
        ("name,uplink_mbit_s,count\nlyon,20,1.5\n", "number of clients"),
        ("name,uplink_mbit_s\nlyon,20\n\nlyon,30\n", "line 4: 'lyon' stands already in line 2"),
        ("name,uplink_mbit_s\nlyon,20,30\n", "line 2: has 3 cells"),
        ("name,uplink_mbit_s\n", "without rows"),
        ("name,colour\nlyon,red\n", "none of"),
        ("uplink_mbit_s\n" + "20\n" * 5_001, "5,000 rows"),
        ("seconds,uplink_mbit_s\n0,20\n2,x\n", "x"),
        ("seconds,uplink_mbit_s\n0,20\n2,-1\n", "negative"),
        ("seconds,uplink_mbit_s\n2,20\n1,30\n", "back"),
    ],
    ids=range(25),
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, reason: str):
    with pytest.raises(ScenarioError, match=reason) as refusal:
        read(tmp_path, text)
    assert str(tmp_path / "test") in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_table_over_time_is_a_trace(tmp_path: Path):
    # 8 Mbit/s for 1 s, 16 for 1 s, 0 for 1 s: 8 in the mean.
    [one] = read(tmp_path, "seconds,downlink_mbit_s,latency_ms\n0,8,20\n1,16,20\n2,0,24\n")
    assert one.uplink is None
    assert one.downlink is not None
    assert one.round_trip is not None
    assert one.downlink.mean == pytest.approx(1e6)
    assert one.downlink.course == ((0.0, 1e6), (1.0, 2e6), (2.0, 0.0))
    assert one.downlink.period == 3.0
    assert one.round_trip.seconds == pytest.approx(0.04)


def test_a_trace_of_mahimahi(tmp_path: Path):
    # Packets of 1500 B at 400, 900, 900, 1500 and 2000 ms: 5 in 2 s. Each is carried from the time before it on: that
    # at 1500 ms from 900 ms on, a sixth of it in the first second.
    [one] = read(tmp_path, "400\n900\n900\n1500\n2000\n")
    assert one.uplink is not None
    assert one.uplink.mean == pytest.approx(5 * 1500 / 2)
    assert not one.uplink.is_payload
    assert [time for time, _ in one.uplink.course] == [0.0, 1.0]
    assert [rate for _, rate in one.uplink.course] == pytest.approx([(3 + 1 / 6) * 1500, (1 + 5 / 6) * 1500])
    assert one.uplink.period == 2.0


def test_a_trace_of_mahimahi_that_ends_between_seconds(tmp_path: Path):
    # A packet each 10 ms for 1.5 s: 1.2 Mbit/s throughout.
    [one] = read(tmp_path, "".join(f"{time}\n" for time in range(10, 1501, 10)))
    assert one.uplink is not None
    assert [time for time, _ in one.uplink.course] == [0.0, 1.0]
    assert [8 * rate for _, rate in one.uplink.course] == pytest.approx([1.2e6, 1.2e6])


@pytest.mark.parametrize("text", ["5\n4\n", "0\n0\n", "1\n2\nx\n", "1\n2\n3.5\n"])
def test_a_wrong_trace_of_mahimahi(tmp_path: Path, text: str):
    with pytest.raises(ScenarioError) as refusal:
        read(tmp_path, text)
    assert str(tmp_path / "test") in str(refusal.value)


def test_a_latency_of_one_way_is_not_said_to_be_a_round_trip(tmp_path: Path):
    [one] = read(tmp_path, "name,uplink_mbit_s,latency_ms\nlyon,20,12.5\n")
    assert one.round_trip is not None
    assert one.round_trip.seconds == 0.025
    # Before it stands "half of the round trip of".
    assert one.round_trip.how.startswith("25 ms")
