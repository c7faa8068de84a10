"""Output of ping on Linux, macOS, BSD, busybox and Windows, in several languages, and of mtr."""

from __future__ import annotations

from pathlib import Path

import pytest

from parasim.importing.formats import read_file
from parasim.importing.measurement import Measurement
from parasim_core.sim.errors import ScenarioError
from tests.parasim.importing.samples import mtr, write

LINUX = """PING fl.example.org (203.0.113.9) 56(84) bytes of data.
64 bytes from fl.example.org (203.0.113.9): icmp_seq=1 ttl=57 time=12.6 ms
64 bytes from fl.example.org (203.0.113.9): icmp_seq=2 ttl=57 time=12.2 ms
64 bytes from fl.example.org (203.0.113.9): icmp_seq=4 ttl=57 time=12.4 ms

--- fl.example.org ping statistics ---
4 packets transmitted, 3 received, 25% packet loss, time 3005ms
rtt min/avg/max/mdev = 12.200/12.400/12.600/0.163 ms, pipe 2
"""
LINUX_WITH_ERRORS = """PING 10.9.8.7 (10.9.8.7) 56(84) bytes of data.
From 10.9.8.1 icmp_seq=1 Destination Host Unreachable
64 bytes from 10.9.8.7: icmp_seq=2 ttl=64 time=0.500 ms

--- 10.9.8.7 ping statistics ---
2 packets transmitted, 1 received, +1 errors, 50% packet loss, time 1001ms
rtt min/avg/max/mdev = 0.500/0.500/0.500/0.000 ms
"""
LINUX_SIX = """PING fl.example.org(fl6.example.org (2001:db8::9)) 56 data bytes
64 bytes from fl6.example.org (2001:db8::9): icmp_seq=1 ttl=55 time=31.0 ms
64 bytes from fl6.example.org (2001:db8::9): icmp_seq=2 ttl=55 time=33.0 ms

--- fl.example.org ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 1001ms
rtt min/avg/max/mdev = 31.000/32.000/33.000/1.000 ms
"""
LINUX_GERMAN = """PING fl.example.org (203.0.113.9) 56(84) Bytes an Daten.
64 Bytes von 203.0.113.9: icmp_seq=1 ttl=57 Zeit=12.6 ms

--- fl.example.org ping-Statistiken ---
10 Pakete übertragen, 9 empfangen, 10% packet loss, time 9012ms
rtt min/avg/max/mdev = 12.200/12.400/12.600/0.163 ms
"""
MACOS = """PING fl.example.org (203.0.113.9): 56 data bytes
64 bytes from 203.0.113.9: icmp_seq=0 ttl=57 time=24.101 ms
Request timeout for icmp_seq 1
64 bytes from 203.0.113.9: icmp_seq=2 ttl=57 time=25.899 ms

--- fl.example.org ping statistics ---
3 packets transmitted, 2 packets received, 33.3% packet loss
round-trip min/avg/max/stddev = 24.101/25.000/25.899/0.899 ms
"""
MACOS_SIX = """PING6(56=40+8+8 bytes) 2001:db8:1::7 --> 2001:db8::9
16 bytes from 2001:db8::9, icmp_seq=0 hlim=45 time=7.943 ms
16 bytes from 2001:db8::9, icmp_seq=1 hlim=45 time=12.057 ms

--- fl.example.org ping6 statistics ---
2 packets transmitted, 2 packets received, 0.0% packet loss
round-trip min/avg/max/std-dev = 7.943/10.000/12.057/2.057 ms
"""
BUSYBOX = """PING 203.0.113.9 (203.0.113.9): 56 data bytes
64 bytes from 203.0.113.9: seq=0 ttl=56 time=47.407 ms
64 bytes from 203.0.113.9: seq=1 ttl=56 time=46.593 ms

--- 203.0.113.9 ping statistics ---
2 packets transmitted, 2 packets received, 0% packet loss
round-trip min/avg/max = 46.593/47.000/47.407 ms
"""
WINDOWS = """
Pinging fl.example.org [203.0.113.9] with 32 bytes of data:
Reply from 203.0.113.9: bytes=32 time=18ms TTL=113
Request timed out.
Reply from 203.0.113.9: bytes=32 time=19ms TTL=113
Reply from 203.0.113.9: bytes=32 time=20ms TTL=113

Ping statistics for 203.0.113.9:
    Packets: Sent = 4, Received = 3, Lost = 1 (25% loss),
Approximate round trip times in milli-seconds:
    Minimum = 18ms, Maximum = 20ms, Average = 19ms
"""
WINDOWS_UNREACHABLE = """
Pinging 192.168.7.9 with 32 bytes of data:
Reply from 192.168.7.1: Destination host unreachable.
Reply from 192.168.7.9: bytes=32 time<1ms TTL=128

Ping statistics for 192.168.7.9:
    Packets: Sent = 2, Received = 2, Lost = 0 (0% loss),
Approximate round trip times in milli-seconds:
    Minimum = 0ms, Maximum = 0ms, Average = 0ms
"""
WINDOWS_GERMAN = """
Ping wird ausgeführt für fl.example.org [203.0.113.9] mit 32 Bytes Daten:
Antwort von 203.0.113.9: Bytes=32 Zeit=7ms TTL=55
Antwort von 203.0.113.9: Bytes=32 Zeit=6ms TTL=55
Antwort von 203.0.113.9: Bytes=32 Zeit=9ms TTL=55
Antwort von 203.0.113.9: Bytes=32 Zeit=9ms TTL=55

Ping-Statistik für 203.0.113.9:
    Pakete: Gesendet = 4, Empfangen = 4, Verloren = 0
    (0% Verlust),
Ca. Zeitangaben in Millisek.:
    Minimum = 6ms, Maximum = 9ms, Mittelwert = 7ms
"""


def read(tmp_path: Path, content: object) -> Measurement:
    [found] = read_file(write(tmp_path / "test", content))
    return found


@pytest.mark.parametrize(
    ("text", "milliseconds", "lost", "sent"),
    [
        (LINUX, 12.4, 1, 4),
        (LINUX.replace("\n", "\r\n"), 12.4, 1, 4),
        (LINUX_WITH_ERRORS, 0.5, 1, 2),
        (LINUX_SIX, 32.0, 0, 2),
        (LINUX_GERMAN, 12.4, 1, 10),
        (MACOS, 25.0, 1, 3),
        (MACOS_SIX, 10.0, 0, 2),
        (BUSYBOX, 47.0, 0, 2),
        (WINDOWS, 19.0, 1, 4),
        (WINDOWS.encode("utf-16"), 19.0, 1, 4),  # as PowerShell writes what it redirects
        (WINDOWS_GERMAN.encode("cp850"), 7.0, 0, 4),  # as the command line of Windows does
        (WINDOWS_GERMAN, 7.0, 0, 4),
        (WINDOWS_UNREACHABLE, 0.0, 1, 2),  # a router's answer counts as received there
    ],
    ids=range(13),
)
def test_mean_of_the_round_trips_and_lost_packets(
    tmp_path: Path, text: str | bytes, milliseconds: float, lost: int, sent: int
):
    one = read(tmp_path, text)
    assert one.round_trip is not None
    assert one.loss is not None
    assert one.round_trip.seconds == pytest.approx(milliseconds / 1000)
    assert one.round_trip.replies == sent - lost
    assert (one.loss.lost, one.loss.sent, one.loss.share) == (lost, sent, lost / sent)


@pytest.mark.parametrize("text", [LINUX, LINUX_SIX, MACOS, MACOS_SIX])
def test_whom_it_asked(tmp_path: Path, text: str):
    assert "fl.example.org" in read(tmp_path, text).server


@pytest.mark.parametrize("text", [LINUX, MACOS, BUSYBOX, WINDOWS, WINDOWS_GERMAN])
def test_at_which_address(tmp_path: Path, text: str):
    assert "203.0.113.9" in read(tmp_path, text).server


def test_without_a_summary_there_is_no_loss(tmp_path: Path):
    one = read(tmp_path, LINUX.partition("\n\n")[0])
    assert one.round_trip is not None
    assert one.round_trip.seconds == pytest.approx(0.0124)
    assert one.loss is None
    assert one.notes


@pytest.mark.parametrize(
    "text",
    [
        "PING 10.9.8.7 (10.9.8.7) 56(84) bytes of data.\n\n--- 10.9.8.7 ping statistics ---\n"
        "3 packets transmitted, 0 received, 100% packet loss, time 2030ms\n",
        "Pinging 10.9.8.7 with 32 bytes of data:\nReply from 10.9.8.1: Destination host unreachable.\n\n"
        "Ping statistics for 10.9.8.7:\n    Packets: Sent = 1, Received = 1, Lost = 0 (0% loss),\n",
    ],
)
def test_where_nothing_answers_nothing_is_known(tmp_path: Path, text: str):
    one = read(tmp_path, text)
    assert one.round_trip is None
    assert one.loss is None
    assert one.notes


@pytest.mark.parametrize(
    "text",
    ["ping: nowhere.example: Name or service not known\n", "ping: cannot resolve nowhere.example: Unknown host\n"],
)
def test_a_ping_that_did_not_run_says_why(tmp_path: Path, text: str):
    with pytest.raises(ScenarioError, match="nowhere"):
        read(tmp_path, text)


def test_mtr_says_what_its_last_hop_says(tmp_path: Path):
    # The router on the way answers one packet of three, which is its own affair.
    one = read(tmp_path, mtr(("192.168.1.1", 66.7, 1.2), ("203.0.113.9", 2.0, 18.5)))
    assert one.round_trip is not None
    assert one.loss is not None
    assert one.round_trip.seconds == pytest.approx(0.0185)
    assert (one.loss.share, one.loss.lost, one.loss.sent) == (pytest.approx(0.02), 2, 100)


def test_older_versions_of_mtr_write_numbers_as_text(tmp_path: Path):
    report = mtr(("203.0.113.9", 2.0, 18.5))
    for hub in report["report"]["hubs"]:
        hub |= {"Loss%": "2.0%", "Snt": "100", "Avg": "18.5"}
    one = read(tmp_path, report)
    assert one.loss is not None
    assert one.loss.share == pytest.approx(0.02)


def test_a_last_hop_of_mtr_that_is_silent_says_nothing(tmp_path: Path):
    one = read(tmp_path, mtr(("192.168.1.1", 0.0, 1.2), ("???", 100.0, 0.0)))
    assert one.round_trip is None
    assert one.loss is None
    assert one.notes
