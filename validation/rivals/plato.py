"""Plato: computing, and each way's bytes over an even share of the server's bandwidth.

`downlink_comm_time` and `uplink_comm_time` of plato/servers/base.py say how long messages take (`compute_comm_time`),
and `get_logged_items` of fedavg.py beside it that a round takes as long as its slowest client.
"""

from __future__ import annotations

import math

from validation.case import Case, Work
from validation.rival import Rival

MEGABYTE = 2**20
"""What its code divides payloads by before it divides by megabits per second [B]."""


def duration(work: Work, together: int, case: Case) -> float:
    """Computing + megabytes down / (downlink / 8 / clients) + megabytes up / (uplink / 8 / clients) [s].

    Links are the server's, in Mbit/s. Where it has no limit, they are as many as the clients' own together, which is
    what makes the even share a client's own link.
    """
    uplink = case.ingress if math.isfinite(case.ingress) else together * work.uplink
    downlink = case.egress if math.isfinite(case.egress) else together * work.downlink
    seconds = work.seconds
    for size, rate in ((work.down, downlink), (work.up, uplink)):
        megabits = rate * 8 / 1e6
        seconds += size / MEGABYTE / (megabits / 8 / together)
    return seconds


RIVAL = Rival(
    name="Plato",
    formula="computing + for each way bytes / (the server's link / clients)",
    source="`uplink_comm_time` of [TL-System/plato](https://github.com/TL-System/plato), 60d6779a",
    leaves_out=(
        "the clients' links (an unlimited server is told theirs together), latency, overlap; it divides by 2^20 bytes "
        "where rates are in 10^6"
    ),
    duration=duration,
)
