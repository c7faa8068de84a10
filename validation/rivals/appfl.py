"""APPFL's virtual-time simulator: computing, and each way's bytes over the client's link or its share of a pool."""

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
    formula=(
        "computing + for each way, 13.01 round trips + bytes / min(the client's link, the server's / the round's "
        "clients)"
    ),
    source=(
        "`CommModel`, comm_model.py, and `SyncSimDriver`, sync_sim_driver.py, "
        "[APPFL/APPFL](https://github.com/APPFL/APPFL) at 41ba2b6d and 4cbe9725"
    ),
    leaves_out="who sends when, and overlap; it divides by 2^20 bits where rates are in 10^6",
    duration=duration,
)
