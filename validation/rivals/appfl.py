"""APPFL's virtual-time simulator: computing, and each way's bytes over the client's link or its share of a pool.

`CommModel` and `SharedBandwidthPool` of src/appfl/simulator/comm_model.py say how long messages take, and
`SyncSimDriver` of sync_sim_driver.py beside it, at 4cbe9725, that a round ends with the last client that it waits for.
"""

from __future__ import annotations

from validation.case import Case, Work
from validation.rival import Rival

MEGABIT = 2**20
"""What its code divides bits by before it divides by megabits per second [bit]."""
ROUND_TRIPS = 13.01
"""Its overhead of TCP, in round trips."""


def duration(work: Work, together: int, case: Case) -> float:
    """Computing + for each way, 13.01 round trips + megabits / min(own link, pool / clients) [s].

    Its pool is one for both ways; the server's two links are told apart here, which is kind to it.
    """
    seconds = work.seconds
    for size, own, pool in ((work.down, work.downlink, case.egress), (work.up, work.uplink, case.ingress)):
        rate = own if together == 1 else min(own, pool / together)
        seconds += ROUND_TRIPS * 2 * case.latency + size * 8 / MEGABIT / (rate * 8 / 1e6)
    return seconds


RIVAL = Rival(
    name="APPFL",
    formula=("computing + for each way 13.01 round trips + bytes / min(own link, the server's / clients)"),
    source="`CommModel` of [APPFL/APPFL](https://github.com/APPFL/APPFL), 41ba2b6d",
    leaves_out="who sends when, overlap; it divides by 2^20 bits where rates are in 10^6",
    duration=duration,
)
