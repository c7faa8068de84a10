"""What is taken from iperf3: directions, rates at the receiver, round trips, congestion control, seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parasim.importing.formats import read_file
from parasim.importing.measurement import Measurement
from parasim_core.sim.errors import ScenarioError
from tests.parasim.importing.samples import IPERF_REFUSED, iperf, iperf_both, iperf_udp, write


def read(tmp_path: Path, content: object) -> Measurement:
    [found] = read_file(write(tmp_path / "test", content))
    return found


def refused(tmp_path: Path, content: object) -> str:
    with pytest.raises(ScenarioError) as refusal:
        read_file(write(tmp_path / "test", content))
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / 'test'}: ")
    assert "\n" not in message
    return message


def test_without_reverse_the_client_sends(tmp_path: Path):
    one = read(tmp_path, iperf(94.2e6, sent=98e6, retransmits=7))
    assert one.uplink is not None
    assert one.uplink.mean == 94.2e6 / 8  # at the receiver, not the 98 that the sender wrote
    assert one.uplink.is_payload
    assert one.downlink is None
    assert one.control == {"uplink": "cubic"}
    assert one.loss is None  # 7 retransmissions of a test that fills the link are none


def test_in_reverse_the_server_sends(tmp_path: Path):
    one = read(tmp_path, iperf(94.2e6, sent=98e6, reverse=True))
    assert one.uplink is None
    assert one.downlink is not None
    assert one.downlink.mean == 94.2e6 / 8
    assert one.round_trip is None  # the sender's TCP saw it, and its machine did not tell
    assert one.control == {"downlink": "cubic"}


def test_both_at_once(tmp_path: Path):
    one = read(tmp_path, iperf_both(20e6, 80e6))
    assert one.uplink is not None
    assert one.downlink is not None
    assert (one.uplink.mean, one.downlink.mean) == (2.5e6, 10e6)
    assert {rate for _, rate in one.downlink.course} == {10e6}
    assert one.control == {"uplink": "cubic", "downlink": "bbr"}


def test_all_streams_together(tmp_path: Path):
    one = read(tmp_path, iperf(80e6, streams=4))
    assert one.uplink is not None
    assert one.uplink.mean == 10e6
    assert "4 streams" in one.uplink.how


def test_the_least_round_trip_is_taken_as_others_wait_in_the_tests_own_queue(tmp_path: Path):
    one = read(tmp_path, iperf(80e6, min_rtt=12_500))
    assert one.round_trip is not None
    assert one.round_trip.seconds == pytest.approx(0.0125)
    older = iperf(80e6, min_rtt=12_500)
    for stream in older["end"]["streams"]:
        for name in ("min_rtt", "mean_rtt", "max_rtt"):
            del stream["sender"][name]
    one = read(tmp_path, older)
    assert one.round_trip is not None
    assert one.round_trip.seconds == pytest.approx(0.0134)  # of the intervals


def test_round_trips_of_macos_are_in_another_unit(tmp_path: Path):
    document = iperf(80e6)
    document["start"]["system_info"] = "Darwin mac.local 23.1.0 Darwin Kernel Version 23.1.0 arm64"
    one = read(tmp_path, document)
    assert one.round_trip is None
    assert one.notes


@pytest.mark.parametrize("old", [True, False])
def test_datagrams_that_arrived(tmp_path: Path, old: bool):
    one = read(tmp_path, iperf_udp(50e6, 20.0, target=50e6, old=old))
    assert one.uplink is not None
    assert one.uplink.mean == pytest.approx(0.8 * 50e6 / 8)
    assert one.loss is None
    assert not one.control
    assert not one.uplink.is_payload


def test_a_test_that_was_held_back_says_so(tmp_path: Path):
    assert any("--bitrate" in note for note in read(tmp_path, iperf_udp(1e6, 0.0, target=1e6)).notes)
    assert not any("--bitrate" in note for note in read(tmp_path, iperf_udp(9e6, 50.0, target=10e6)).notes)


def test_seconds_of_the_receiver_are_as_they_are(tmp_path: Path):
    one = read(tmp_path, iperf(20e6, reverse=True, seconds=[8e6, 40e6, 12e6]))
    assert one.downlink is not None
    assert one.downlink.course == ((0.0, 1e6), (1.0, 5e6), (2.0, 1.5e6))
    assert one.downlink.period == 3.0


def test_seconds_of_the_sender_are_scaled_to_what_arrived(tmp_path: Path):
    # Sent: 40, 20, 20 Mbit in a second each, 80 in all; arrived: 60 in 3 s. Each second is taken for 3/4 of its own.
    one = read(tmp_path, iperf(20e6, sent=80e6 / 3, seconds=[40e6, 20e6, 20e6]))
    assert one.uplink is not None
    assert [8 * rate for _, rate in one.uplink.course] == pytest.approx([30e6, 15e6, 15e6])
    assert one.uplink.doubt


def test_seconds_that_the_server_told_are_the_receivers(tmp_path: Path):
    document = iperf(20e6, sent=80e6 / 3, seconds=[40e6, 20e6, 20e6])
    document["server_output_json"] = {"intervals": iperf(20e6, seconds=[8e6, 40e6, 12e6])["intervals"]}
    one = read(tmp_path, document)
    assert one.uplink is not None
    assert [8 * rate for _, rate in one.uplink.course] == pytest.approx([8e6, 40e6, 12e6])
    assert not one.uplink.doubt


def test_seconds_before_the_test_proper_are_left_out(tmp_path: Path):
    document = iperf(20e6, reverse=True, seconds=[8e6, 40e6, 12e6])
    document["intervals"][0]["sum"]["omitted"] = True
    one = read(tmp_path, document)
    assert one.downlink is not None
    assert one.downlink.course == ((0.0, 5e6), (1.0, 1.5e6))
    assert one.downlink.period == 2.0


def by_the_server(document: dict[str, Any]) -> dict[str, Any]:
    start = document["start"]
    del start["connecting_to"]
    start["accepted_connection"] = {"host": "84.6.0.1", "port": 40_000}
    return document


def test_a_file_of_the_server_is_about_the_same_client(tmp_path: Path):
    one = read(tmp_path, by_the_server(iperf(94.2e6, sent=0.0)))
    assert one.uplink is not None
    assert one.uplink.mean == 94.2e6 / 8
    assert one.machine >= {"84.6.0.1"}
    # What arrives at the client the server never hears of: what it sent is all that there is, and said to be.
    one = read(tmp_path, by_the_server(iperf(0.0, sent=98e6, reverse=True)))
    assert one.downlink is not None
    assert one.downlink.mean == 98e6 / 8
    assert "at the sender" in one.downlink.how


def test_a_stream_of_events_says_the_same(tmp_path: Path):
    document = iperf(20e6, reverse=True, seconds=[8e6, 40e6, 12e6])
    events = [
        ("start", document["start"]),
        *(("interval", one) for one in document["intervals"]),
        ("end", document["end"]),
    ]
    lines = "\n".join(json.dumps({"event": name, "data": data}) for name, data in events)
    assert read(tmp_path, lines + "\n") == read(tmp_path, document)
    assert "broken off" in refused(tmp_path, lines.rpartition("\n")[0] + "\n")


def changed(**end: object) -> dict[str, Any]:
    document = iperf(20e6)
    document["end"] |= end
    return document


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (IPERF_REFUSED, "unable to connect to server"),
        ('{"event":"error","data":"the server is busy"}\n{"event":"end","data":{}}\n', "the server is busy"),
        (json.dumps(iperf(20e6))[:2000], "not well-formed JSON"),
        (iperf(0.0, sent=20e6), "nothing arrived"),
        ({"start": {}, "intervals": [], "end": {}}, "sum_received"),
        (changed(sum_received={"bits_per_second": -1}), "sum_received.bits_per_second"),
        (changed(sum_received={"bits_per_second": "fast"}), "sum_received.bits_per_second"),
        (changed(sum_received={"bits_per_second": True}), "sum_received.bits_per_second"),
        (changed(sum_received={"bits_per_second": 1e300}), "sum_received.bits_per_second"),
        (changed(sum_received=[1]), "sum_received"),
        (changed(streams={"sender": 1}), "streams"),
        (json.dumps(iperf(20e6)).replace('"bits_per_second": 20000000.0', '"bits_per_second": NaN'), "NaN"),
        (iperf(20e6) | {"intervals": [{"sum": {"start": 1, "end": 2, "bits_per_second": 3}}] * 2}, "start"),
    ],
    ids=range(13),
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, content: object, reason: str):
    assert reason in refused(tmp_path, content)
