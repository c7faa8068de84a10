"""Files as iperf3 3.16 (src/iperf_api.c), speedtest-cli 2.1.3, Ookla's speedtest 1.2 and mtr 0.95 write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write(path: Path, content: object) -> Path:
    """Write text, bytes, or anything else as JSON."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent="\t"))
    return path


def _sum(seconds: float, rate: float, *, sender: bool, **more: object) -> dict[str, Any]:
    return {
        "start": 0,
        "end": seconds,
        "seconds": seconds,
        "bytes": round(rate * seconds / 8),
        "bits_per_second": rate,
        **more,
        "sender": sender,
    }


def iperf(
    received: float,
    *,
    sent: float | None = None,
    reverse: bool = False,
    streams: int = 1,
    seconds: Sequence[float] = (),
    control: str = "cubic",
    host: str = "berlin-7",
    address: str = "192.168.1.7",
    server: str = "fl.example.org",
    min_rtt: int = 12_500,
    retransmits: int = 0,
) -> dict[str, Any]:
    """A test over TCP, as its client writes it: rates [bit/s], of each second if given, round trips [us]."""
    sent = received if sent is None else sent
    rates = seconds or [sent] * 3
    here = not reverse
    intervals = [
        {
            "streams": [
                {
                    "socket": 5 + 2 * stream,
                    "start": second,
                    "end": second + 1,
                    "seconds": 1.0,
                    "bytes": round(rate / 8 / streams),
                    "bits_per_second": rate / streams,
                    **({"retransmits": 0, "snd_cwnd": 367_792, "rtt": min_rtt + 900, "rttvar": 88} if here else {}),
                    "omitted": False,
                    "sender": here,
                }
                for stream in range(streams)
            ],
            "sum": _sum(1.0, rate, sender=here, omitted=False) | {"start": second, "end": second + 1},
        }
        for second, rate in enumerate(rates)
    ]
    length = float(len(rates))
    tcp = {"retransmits": retransmits, "max_rtt": 4 * min_rtt, "min_rtt": min_rtt, "mean_rtt": 2 * min_rtt}
    if reverse:
        # The round trips of the other machine are not sent over.
        tcp |= dict.fromkeys(("max_rtt", "min_rtt", "mean_rtt"), 0)
    return {
        "start": {
            "connected": [
                {
                    "socket": 5,
                    "local_host": address,
                    "local_port": 51_234,
                    "remote_host": "203.0.113.9",
                    "remote_port": 5201,
                }
            ],
            "version": "iperf 3.16",
            "system_info": f"Linux {host} 6.8.0-45-generic #45-Ubuntu SMP PREEMPT_DYNAMIC x86_64",
            "timestamp": {"time": "Mon, 04 Mar 2024 10:00:00 GMT", "timesecs": 1_709_546_400},
            "connecting_to": {"host": server, "port": 5201},
            "cookie": "6dsl2jzuqqjq6pnykdjpnz5ggyjmhrlkw2pn",
            "tcp_mss_default": 1448,
            "target_bitrate": 0,
            "test_start": {
                "protocol": "TCP",
                "num_streams": streams,
                "blksize": 131_072,
                "omit": 0,
                "duration": len(rates),
                "bytes": 0,
                "blocks": 0,
                "reverse": int(reverse),
                "tos": 0,
                "target_bitrate": 0,
                "bidir": 0,
            },
        },
        "intervals": intervals,
        "end": {
            "streams": [
                {
                    "sender": {"socket": 5, **_sum(length, sent / streams, sender=here, **tcp)},
                    "receiver": {"socket": 5, **_sum(length, received / streams, sender=here)},
                }
                for _ in range(streams)
            ],
            "sum_sent": _sum(length, sent, sender=here, retransmits=retransmits),
            "sum_received": _sum(length + 0.02, received, sender=here),
            "cpu_utilization_percent": {"host_total": 2.1, "remote_total": 3.4},
            "sender_tcp_congestion": control,
            "receiver_tcp_congestion": control,
        },
    }


def iperf_both(up: float, down: float) -> dict[str, Any]:
    """A test of both directions at once (--bidir)."""
    document = iperf(up)
    document["start"]["test_start"]["bidir"] = 1
    document["end"] |= {
        "sum_sent_bidir_reverse": _sum(3.0, 1.02 * down, sender=False, retransmits=0),
        "sum_received_bidir_reverse": _sum(3.02, down, sender=False),
        "sender_tcp_congestion": "bbr",
        "receiver_tcp_congestion": "cubic",
    }
    for interval in document["intervals"]:
        interval["sum_bidir_reverse"] = interval["sum"] | {"bits_per_second": down, "sender": False}
    return document


def iperf_udp(sent: float, lost_percent: float, *, target: float, old: bool = False) -> dict[str, Any]:
    """A test over UDP; before version 3.12, without sums of the receiver."""
    document = iperf(sent)
    start, end = document["start"], document["end"]
    start["test_start"] |= {"protocol": "UDP", "blksize": 1448, "target_bitrate": target}
    lost = {"jitter_ms": 0.03, "lost_packets": 12, "packets": 1000, "lost_percent": lost_percent}
    plain = _sum(3.0, sent, sender=True, **lost)
    for name in ("sum_sent", "sum_received", "sender_tcp_congestion", "receiver_tcp_congestion"):
        del end[name]
    end["streams"] = [{"udp": {"socket": 5, **plain, "out_of_order": 0}}]
    end["sum"] = plain
    if not old:
        end["sum_sent"] = _sum(3.0, sent, sender=True, jitter_ms=0, lost_packets=0, packets=1000, lost_percent=0)
        end["sum_received"] = _sum(3.0, sent * (1 - lost_percent / 100), sender=False, **lost)
    return document


IPERF_REFUSED = {
    "start": {"connected": [], "version": "iperf 3.16", "system_info": "Linux berlin-7 6.8.0 x86_64"},
    "intervals": [],
    "end": {},
    "error": "unable to connect to server: Connection refused",
}

SPEEDTEST_CLI = {
    "download": 93_251_742.5,
    "upload": 38_117_020.25,
    "ping": 21.4,
    "server": {
        "url": "http://speed.example.net:8080/speedtest/upload.php",
        "lat": "52.52",
        "lon": "13.40",
        "name": "Berlin",
        "country": "Germany",
        "cc": "DE",
        "sponsor": "Example",
        "id": "12345",
        "host": "speed.example.net:8080",
        "d": 5.1,
        "latency": 21.4,
    },
    "timestamp": "2024-03-04T10:00:00.000000Z",
    "bytes_sent": 48_000_000,
    "bytes_received": 117_000_000,
    "share": None,
    "client": {"ip": "84.6.0.1", "lat": "52.5", "lon": "13.4", "isp": "Example", "country": "DE"},
}

OOKLA = {
    "type": "result",
    "timestamp": "2024-03-04T10:00:00Z",
    "ping": {"jitter": 0.284, "latency": 5.728, "low": 5.1, "high": 6.2},
    "download": {
        "bandwidth": 20_309_419,
        "bytes": 176_063_552,
        "elapsed": 8815,
        "latency": {"iqm": 48.05, "low": 3.7, "high": 123.3, "jitter": 1.85},
    },
    "upload": {
        "bandwidth": 13_206_885,
        "bytes": 195_610_380,
        "elapsed": 15_015,
        "latency": {"iqm": 37.3, "low": 4.0, "high": 222.0, "jitter": 1.5},
    },
    "packetLoss": 1.25,
    "isp": "Example",
    "interface": {
        "internalIp": "192.168.1.2",
        "name": "eth0",
        "macAddr": "02:00:00:00:00:01",
        "isVpn": False,
        "externalIp": "84.6.0.1",
    },
    "server": {"id": 9, "host": "speed.example.net", "port": 8080, "name": "Example", "ip": "198.51.100.4"},
    "result": {"id": "babad438", "url": "https://www.speedtest.net/result/c/babad438", "persisted": True},
}


def mtr(*hops: tuple[str, float, float], sent: int = 100) -> dict[str, Any]:
    """A report: names, shares of lost packets in percent, and means in ms, hop by hop."""
    return {
        "report": {
            "mtr": {
                "src": "berlin-7",
                "dst": "fl.example.org",
                "tos": 0,
                "tests": sent,
                "psize": "64",
                "bitpattern": "0x00",
            },
            "hubs": [
                {
                    "count": count,
                    "host": host,
                    "Loss%": lost,
                    "Snt": sent,
                    "Last": mean,
                    "Avg": mean,
                    "Best": mean,
                    "Wrst": mean,
                    "StDev": 0.1,
                }
                for count, (host, lost, mean) in enumerate(hops, 1)
            ],
        }
    }
